//! What about the Redis that was found would lose data.

use super::Redis;
use super::info::{Info, infos};
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
    for told in infos(redis).await? {
        look(&told, &mut safety);
    }
    for said in [&mut safety.dangers, &mut safety.hints] {
        said.dedup();
    }
    Ok(safety)
}

fn look(told: &Info, safety: &mut Safety) {
    if told.field("aof_enabled") != "1" {
        let danger = "Redis keeps no append-only file: a restart loses the line (set appendonly yes)";
        safety.dangers.push(danger.to_owned());
    }
    let policy = told.field("maxmemory_policy");
    if policy != "noeviction" {
        let danger = format!("Redis may evict keys of the line (set maxmemory-policy noeviction, not {policy})");
        safety.dangers.push(danger);
    }
    let replicas = told.field("connected_slaves");
    if replicas != "0" && told.field("min_slaves_good_slaves").is_empty() {
        let hint = "Redis has replicas but serves on when none follows: what it does while cut off from them is lost with a \
                    failover (set min-replicas-to-write 1 and min-replicas-max-lag 10, with two replicas)";
        safety.hints.push(hint.to_owned());
    }
}
