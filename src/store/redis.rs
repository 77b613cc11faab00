//! Redis through lanes: a few connections checked out of the pool and kept, their handles cloned for each request.
//!
//! A check-out per request costs two extra round trips and holds the connection alone; a shared multiplexed one reaches
//! Redis' own limit. A lane that broke is replaced by the next call that finds it broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value,
};
use deadpool_redis::{Connection, Manager, Pool, Runtime, Timeouts};
use tokio::sync::Mutex;

use super::script::{Call, incarnation};
use crate::clock;
use crate::error::Fault;

/// How many characters of Redis' run id tell one start of Redis from another.
const RUN_CHARACTERS: usize = 8;

/// Connections beyond the lanes, for what is rare or blocks.
const SPARE_CONNECTIONS: usize = 4;

/// The way to Redis.
pub struct Redis {
    pool: Pool,
    lanes: Vec<Slot>,
    next: AtomicUsize,
}

/// A place for one lane; empty until its first use, and after it broke.
#[derive(Default)]
struct Slot {
    lane: ArcSwapOption<Lane>,
    repair: Mutex<()>,
}

struct Lane {
    /// Kept so that the pool counts it; the handle below is a clone of it.
    _kept: Connection,
    handle: MultiplexedConnection,
    run: Arc<str>,
}

impl Redis {
    /// Prepares the pool; connections are made when first needed.
    pub fn new(url: &str, lanes: usize, timeout: Duration) -> Result<Self, Fault> {
        let settings =
            AsyncConnectionConfig::new().set_response_timeout(Some(timeout)).set_connection_timeout(Some(timeout));
        let manager = Manager::new_with_config(url, settings).map_err(unserved)?;
        let waits = Timeouts { wait: Some(timeout), create: Some(timeout), recycle: Some(timeout) };
        let pool = Pool::builder(manager)
            .max_size(lanes + SPARE_CONNECTIONS)
            .timeouts(waits)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Fault::Defect(e.to_string()))?;
        let lanes = (0..lanes).map(|_| Slot::default()).collect();
        Ok(Self { pool, lanes, next: AtomicUsize::new(0) })
    }

    /// Runs a script and reads its answer.
    pub(crate) async fn call<T: FromRedisValue>(&self, call: Call) -> Result<T, Fault> {
        let (slot, lane) = self.lane().await?;
        self.run_call(slot, &lane, call).await
    }

    /// Runs a script that checks the epoch. Its first argument is what we believe: the epoch and Redis' run.
    /// `rest` adds the others.
    pub(crate) async fn call_in<T: FromRedisValue>(
        &self,
        epoch: i64,
        call: Call,
        rest: impl FnOnce(Call) -> Call,
    ) -> Result<T, Fault> {
        let (slot, lane) = self.lane().await?;
        let call = rest(call.arg(incarnation(epoch, &lane.run)));
        self.run_call(slot, &lane, call).await
    }

    /// Runs a plain command.
    pub(crate) async fn command<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, Fault> {
        let (slot, lane) = self.lane().await?;
        let mut handle = lane.handle.clone();
        let answer = handle.send_packed_command(cmd).await;
        read(slot, &lane, answer)
    }

    /// The run of the Redis that answers now: the first characters of its run id.
    pub async fn run(&self) -> Result<Arc<str>, Fault> {
        Ok(Arc::clone(&self.lane().await?.1.run))
    }

    async fn run_call<T: FromRedisValue>(&self, slot: &Slot, lane: &Arc<Lane>, call: Call) -> Result<T, Fault> {
        let started = clock::now();
        let mut handle = lane.handle.clone();
        let mut answer = handle.send_packed_command(&call.cmd).await.and_then(Value::extract_error);
        if matches!(&answer, Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            let loaded = redis::cmd("SCRIPT").arg("LOAD").arg(call.script.source).exec_async(&mut handle).await;
            answer = match loaded {
                Ok(()) => handle.send_packed_command(&call.cmd).await.and_then(Value::extract_error),
                Err(e) => Err(e),
            };
        }
        call.script.duration().record(started.elapsed().as_secs_f64());
        read(slot, lane, answer)
    }

    async fn lane(&self) -> Result<(&Slot, Arc<Lane>), Fault> {
        let slot = &self.lanes[self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len()];
        if let Some(lane) = slot.lane.load_full() {
            return Ok((slot, lane));
        }
        let _one_repairs = slot.repair.lock().await;
        if let Some(lane) = slot.lane.load_full() {
            return Ok((slot, lane));
        }
        // Boxed: it is rare, and would make every future that asks Redis ten times as large.
        let lane = Arc::new(Box::pin(self.connect()).await?);
        slot.lane.store(Some(Arc::clone(&lane)));
        Ok((slot, lane))
    }

    async fn connect(&self) -> Result<Lane, Fault> {
        let kept = self.pool.get().await.map_err(|e| Fault::Redis(e.to_string()))?;
        let mut handle = (*kept).clone();
        let told: String = redis::cmd("INFO").arg("server").query_async(&mut handle).await.map_err(unserved)?;
        let run = told.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        let run = run.chars().take(RUN_CHARACTERS).collect::<String>().into();
        Ok(Lane { _kept: kept, handle, run })
    }
}

/// Whether Redis answers, and what about it would lose data: no AOF, or an eviction policy.
pub async fn redis_safety(redis: &Redis) -> Result<Vec<String>, Fault> {
    let told: String = redis.command(redis::cmd("INFO").arg("persistence")).await?;
    let memory: String = redis.command(redis::cmd("INFO").arg("memory")).await?;
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim_start_matches(':').to_owned()
    };
    let mut warnings = Vec::new();
    if field(&told, "aof_enabled") != "1" {
        warnings.push("Redis keeps no append-only file: a restart loses the line (set appendonly yes)".to_owned());
    }
    let policy = field(&memory, "maxmemory_policy");
    if policy != "noeviction" {
        warnings.push(format!("Redis may evict keys of the line (set maxmemory-policy noeviction, not {policy})"));
    }
    Ok(warnings)
}

/// Reads an answer; a lane that broke on the way is given up.
fn read<T: FromRedisValue>(slot: &Slot, lane: &Arc<Lane>, answer: Result<Value, RedisError>) -> Result<T, Fault> {
    match answer {
        Ok(value) => T::from_redis_value(value)
            .map_err(|e| Fault::Defect(format!("Redis answered otherwise than its script says: {e}"))),
        Err(e) => {
            if e.is_unrecoverable_error() || e.is_timeout() || e.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            {
                give_up(slot, lane);
            }
            Err(unserved(e))
        }
    }
}

/// Empties the slot if the broken lane is still in it.
fn give_up(slot: &Slot, broken: &Arc<Lane>) {
    slot.lane.rcu(|current| match current {
        Some(lane) if Arc::ptr_eq(lane, broken) => None,
        other => other.clone(),
    });
}

fn unserved(error: impl Into<RedisError>) -> Fault {
    let error: RedisError = error.into();
    Fault::Redis(error.to_string())
}
