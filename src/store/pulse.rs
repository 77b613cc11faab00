//! Whether the stores serve: asked once in a while, however many want to know.
//!
//! Anyone may ask for `/readyz`, and the job that lets people in asks too: a crowd of the former must neither be work for
//! Postgres nor keep the latter waiting.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::{Db, Redis, Safety, redis_safety};
use crate::error::Fault;

/// For how long an answer is given again.
const FRESH: Duration = Duration::from_millis(100);

/// How the stores were found.
#[derive(Debug)]
pub struct Seen {
    /// What Redis says of itself; none where it does not answer.
    pub redis: Option<Safety>,
    /// Whether Postgres answers.
    pub postgres: bool,
}

/// Feels whether the stores serve.
#[derive(Clone)]
pub struct Pulse {
    redis: Arc<Redis>,
    db: Db,
    last: Cache<(), Arc<Seen>>,
}

impl Pulse {
    /// Of these stores.
    pub fn new(redis: Arc<Redis>, db: Db) -> Self {
        Self { redis, db, last: Cache::builder().max_capacity(1).time_to_live(FRESH).build() }
    }

    /// How the stores are, or were a tenth of a second ago.
    pub async fn feel(&self) -> Result<Arc<Seen>, Fault> {
        let (redis, db) = (Arc::clone(&self.redis), self.db.clone());
        // In a task of its own: whoever asks and hangs up takes no connection along.
        let look = async { tokio::spawn(look(redis, db)).await };
        self.last.try_get_with((), look).await.map_err(|e| Fault::Defect(format!("the stores were not looked at: {e}")))
    }
}

async fn look(redis: Arc<Redis>, db: Db) -> Arc<Seen> {
    let (redis, postgres) = tokio::join!(redis_safety(&redis), db.ping());
    Arc::new(Seen { redis: redis.ok(), postgres: postgres.is_ok() })
}
