//! Redis through lanes: a few connections checked out of the pool and kept, their handles cloned for each request.
//!
//! A check-out per request costs two extra round trips and holds the connection alone; a shared multiplexed one reaches
//! Redis' own limit. A lane that broke is replaced by the next call that finds it broken.

mod lane;

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{self, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};

use self::lane::{Lane, Server, Slot};
use super::script::{Call, incarnation};
use crate::clock;
use crate::error::Fault;

/// The way to Redis.
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Prepares the lanes; connections are made when first needed.
    pub fn new(url: &str, lanes: usize, timeout: Duration) -> Result<Self, Fault> {
        Ok(Self { server: Server::new(url, lanes, timeout)? })
    }

    /// Runs a script and reads its answer.
    pub(crate) async fn call<T: FromRedisValue>(&self, call: Call) -> Result<T, Fault> {
        let (slot, lane) = self.server.lane().await?;
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
        let (slot, lane) = self.server.lane().await?;
        let call = rest(call.arg(incarnation(epoch, &lane.run)));
        self.run_call(slot, &lane, call).await
    }

    /// Runs a plain command.
    pub(crate) async fn command<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, Fault> {
        let (slot, lane) = self.server.lane().await?;
        let mut handle = lane.handle.clone();
        let answer = handle.send_packed_command(cmd).await.and_then(Value::extract_error);
        read(slot, &lane, answer)
    }

    /// The run of the Redis that answers now: the first characters of its run id.
    pub async fn run(&self) -> Result<Arc<str>, Fault> {
        Ok(Arc::clone(&self.server.lane().await?.1.run))
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
            slot.note(lane, &e);
            Err(unserved(e))
        }
    }
}

fn unserved(error: impl Into<RedisError>) -> Fault {
    let error: RedisError = error.into();
    Fault::Redis(error.to_string())
}
