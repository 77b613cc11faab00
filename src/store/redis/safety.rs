//! What about the Redis that was found would lose data.

use deadpool_redis::redis;

use super::lane::Server;
use super::{Redis, Way, unserved};
use crate::error::Fault;

/// What to say of how Redis is set up.
#[derive(Debug, Default)]
pub struct Safety {
    /// What would lose the line.
    pub dangers: Vec<String>,
    /// What may be meant so, and costs something.
    pub hints: Vec<String>,
}

/// Whether Redis answers, each server of it, and what about it would lose data: no AOF, an eviction policy, or writes that no
/// replica has.
pub async fn redis_safety(redis: &Redis) -> Result<Safety, Fault> {
    let mut safety = Safety::default();
    match &redis.0 {
        Way::Server(server) => look(server, &mut safety).await?,
        Way::Cluster(cluster) => {
            for master in cluster.masters().await? {
                look(&master, &mut safety).await?;
            }
        }
    }
    for said in [&mut safety.dangers, &mut safety.hints] {
        said.dedup();
    }
    Ok(safety)
}

async fn look(server: &Server, safety: &mut Safety) -> Result<(), Fault> {
    let (slot, lane) = server.lane().await?;
    let mut handle = lane.handle.clone();
    let mut ask = redis::cmd("INFO");
    // Several sections at once are known to Redis 7.
    ask.arg("persistence").arg("memory").arg("replication");
    let told: String = ask.query_async(&mut handle).await.map_err(|e| {
        slot.note(&lane, &e);
        unserved(e)
    })?;
    let field =
        |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
    if field("aof_enabled") != "1" {
        let danger = "Redis keeps no append-only file: a restart loses the line (set appendonly yes)";
        safety.dangers.push(danger.to_owned());
    }
    let policy = field("maxmemory_policy");
    if policy != "noeviction" {
        let danger = format!("Redis may evict keys of the line (set maxmemory-policy noeviction, not {policy})");
        safety.dangers.push(danger);
    }
    let replicas = field("connected_slaves");
    if replicas != "0" && field("min_slaves_good_slaves").is_empty() {
        let hint = "Redis has replicas but serves on when none follows: what it does while cut off from them is lost with a \
                    failover (set min-replicas-to-write 1 and min-replicas-max-lag 10, with two replicas)";
        safety.hints.push(hint.to_owned());
    }
    Ok(())
}
