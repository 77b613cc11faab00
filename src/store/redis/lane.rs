//! The lanes to one server of Redis: a few connections, whose handles are cloned for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind,
};
use deadpool_redis::sentinel::{self, SentinelNodeConnectionInfo, SentinelServerType};
use deadpool_redis::{Connection, Runtime, Timeouts};

use super::super::mending::{Mending, Turn};
use super::unserved;
use crate::error::Fault;

/// How many characters of Redis' run id tell one start of Redis from another.
const RUN_CHARACTERS: usize = 8;

/// One server of Redis.
pub(super) struct Server {
    origin: Arc<Origin>,
    slots: Vec<Arc<Slot>>,
    next: AtomicUsize,
}

/// Where lanes come from.
pub(super) struct Origin {
    pool: Pools,
    timeout: Duration,
}

enum Pools {
    One(deadpool_redis::Pool),
    Master(sentinel::Pool),
}

/// A place for one lane; empty until its first use, and after it broke.
#[derive(Default)]
pub(super) struct Slot {
    lane: ArcSwapOption<Lane>,
    mending: Mending,
}

/// A connection, and the run of the Redis at its other end, which it does not outlive.
pub(super) struct Lane {
    pub(super) handle: MultiplexedConnection,
    pub(super) run: Arc<str>,
}

impl Server {
    /// Prepares the lanes; they are made when first needed.
    pub(super) fn new(origin: Origin, lanes: usize) -> Self {
        let slots = (0..lanes).map(|_| Arc::default()).collect();
        Self { origin: Arc::new(origin), slots, next: AtomicUsize::new(0) }
    }

    /// A lane in working order, as far as anyone knows. One that has to be made first is made by a task of its own, so
    /// that a client who hangs up does not stop it for all who wait.
    pub(super) async fn lane(&self) -> Result<(Arc<Slot>, Arc<Lane>), Fault> {
        let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        loop {
            if let Some(lane) = slot.lane.load_full() {
                return Ok((Arc::clone(slot), lane));
            }
            let turn = slot.mending.turn().await?;
            if slot.lane.load().is_none() {
                tokio::spawn(mend(Arc::clone(&self.origin), Arc::clone(slot), turn));
            }
        }
    }
}

async fn mend(origin: Arc<Origin>, slot: Arc<Slot>, turn: Turn) {
    let made = tokio::time::timeout(origin.timeout, origin.connect()).await;
    let made = made.unwrap_or_else(|_| Err(Fault::Redis("no connection in time".into())));
    let outcome = made.map(|lane| slot.lane.store(Some(Arc::new(lane))));
    if let Err(fault) = turn.end(outcome) {
        tracing::debug!(%fault, "no lane to Redis");
    }
}

impl Origin {
    /// One server.
    pub(super) fn one(info: ConnectionInfo, lanes: usize, timeout: Duration) -> Result<Self, Fault> {
        let settings =
            AsyncConnectionConfig::new().set_response_timeout(Some(timeout)).set_connection_timeout(Some(timeout));
        let manager = deadpool_redis::Manager::new_with_config(info, settings).map_err(unserved)?;
        let pool = deadpool_redis::Pool::builder(manager).max_size(lanes);
        let pool = pool.timeouts(waits(timeout)).runtime(Runtime::Tokio1).build();
        Ok(Self { pool: Pools::One(pool.map_err(|e| Fault::Defect(e.to_string()))?), timeout })
    }

    /// The master of a name, as sentinels know it.
    pub(super) fn master(
        sentinels: Vec<ConnectionInfo>,
        of: (String, RedisConnectionInfo),
        lanes: usize,
        timeout: Duration,
    ) -> Result<Self, Fault> {
        let (name, login) = of;
        let login = SentinelNodeConnectionInfo { tls_mode: None, redis_connection_info: Some(login.into()) };
        let manager = sentinel::Manager::new(sentinels, name, Some(login), SentinelServerType::Master);
        let pool = sentinel::Pool::builder(manager.map_err(unserved)?).max_size(lanes);
        let pool = pool.timeouts(waits(timeout)).runtime(Runtime::Tokio1).build();
        Ok(Self { pool: Pools::Master(pool.map_err(|e| Fault::Defect(e.to_string()))?), timeout })
    }

    async fn connect(&self) -> Result<Lane, Fault> {
        // Taken from the pool for good: a lane that broke must not come back from there.
        let mut handle = match &self.pool {
            Pools::One(pool) => Connection::take(pool.get().await.map_err(|e| Fault::Redis(e.to_string()))?),
            Pools::Master(pool) => {
                sentinel::Connection::take(pool.get().await.map_err(|e| Fault::Redis(e.to_string()))?)
            }
        };
        handle.set_response_timeout(self.timeout);
        let told: String = redis::cmd("INFO").arg("server").query_async(&mut handle).await.map_err(unserved)?;
        let run = told.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        Ok(Lane { handle, run: run.chars().take(RUN_CHARACTERS).collect::<String>().into() })
    }
}

fn waits(timeout: Duration) -> Timeouts {
    Timeouts { wait: Some(timeout), create: Some(timeout), recycle: Some(timeout) }
}

impl Slot {
    /// Gives a lane up if the error says that it broke, and it is still in the slot.
    pub(super) fn note(&self, lane: &Arc<Lane>, error: &RedisError) {
        let readonly = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
        if error.is_unrecoverable_error() || error.is_timeout() || readonly {
            self.lane.rcu(|current| match current {
                Some(current) if Arc::ptr_eq(current, lane) => None,
                other => other.clone(),
            });
        }
    }
}
