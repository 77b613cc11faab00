//! How the stores themselves are, as metrics: what Redis and Postgres tell about their memory, work and safety.

use metrics::{counter, gauge};

use super::redis::infos;
use super::{Db, Redis};
use crate::error::Fault;

/// Transactions of our database and its connections, as Postgres counts them.
pub const ACTIVITY: &str = "\
select xact_commit + xact_rollback, numbackends, current_setting('max_connections')::integer
from pg_stat_database where datname = current_database()";

/// Asks both stores, and notes what they tell. One that does not answer is noted as down; the next call asks again.
pub async fn measure(redis: &Redis, db: &Db) -> Result<(), Fault> {
    let (of_redis, of_postgres) = tokio::join!(measure_redis(redis), measure_postgres(db));
    gauge!("redis_up").set(if of_redis.is_ok() { 1.0 } else { 0.0 });
    gauge!("db_up").set(if of_postgres.is_ok() { 1.0 } else { 0.0 });
    of_redis.and(of_postgres)
}

async fn measure_redis(redis: &Redis) -> Result<(), Fault> {
    let servers = infos(redis).await?;
    let sum = |name: &str| servers.iter().map(|told| told.number(name)).sum::<f64>();
    let count = |name: &str| servers.iter().map(|told| told.field(name).parse().unwrap_or(0_u64)).sum::<u64>();
    gauge!("redis_memory_used_bytes").set(sum("used_memory"));
    gauge!("redis_memory_max_bytes").set(sum("maxmemory"));
    gauge!("redis_clients").set(sum("connected_clients"));
    gauge!("redis_cpu_seconds").set(sum("used_cpu_user") + sum("used_cpu_sys"));
    counter!("redis_commands_total").absolute(count("total_commands_processed"));
    counter!("redis_evicted_keys_total").absolute(count("evicted_keys"));
    let is = |holds: bool| if holds { 1.0 } else { 0.0 };
    gauge!("redis_append_only").set(is(servers.iter().all(|told| told.field("aof_enabled") == "1")));
    gauge!("redis_eviction_allowed").set(is(servers.iter().any(|told| told.field("maxmemory_policy") != "noeviction")));
    Ok(())
}

async fn measure_postgres(db: &Db) -> Result<(), Fault> {
    let (transactions, connections, most): (i64, i32, i32) = sqlx::query_as(ACTIVITY).fetch_one(db.pool()).await?;
    counter!("db_transactions_total").absolute(transactions.unsigned_abs());
    gauge!("db_server_connections").set(f64::from(connections));
    gauge!("db_server_connections_max").set(f64::from(most));
    Ok(())
}
