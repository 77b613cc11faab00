//! What each server of a Redis tells about itself.

use deadpool_redis::redis;

use super::lane::Server;
use super::{Redis, Way, unserved};
use crate::error::Fault;

/// The answer of one server to `INFO`.
pub(crate) struct Info(String);

impl Info {
    /// What it says under this name; empty where it does not.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
    }

    /// The same as a number; 0 where it is none.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.field(name).parse().unwrap_or(0.0)
    }
}

/// Asks the server, or every master of a cluster.
pub(crate) async fn infos(redis: &Redis) -> Result<Vec<Info>, Fault> {
    let mut told = Vec::new();
    match &redis.way {
        Way::Server(server) => told.push(ask(server).await?),
        Way::Cluster(cluster) => {
            for master in cluster.masters().await? {
                told.push(ask(&master).await?);
            }
        }
    }
    Ok(told)
}

async fn ask(server: &Server) -> Result<Info, Fault> {
    let (slot, lane) = server.lane().await?;
    let mut handle = lane.handle.clone();
    let told = redis::cmd("INFO").query_async(&mut handle).await.map_err(|e| {
        slot.note(&lane, &e);
        unserved(e)
    })?;
    Ok(Info(told))
}
