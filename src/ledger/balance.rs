//! What an account has: a copy in Redis, and the truth in Postgres.
//!
//! A Redis that restarted, or another that took over, may have lost the last that it was told. So a copy carries the
//! run of the Redis that was told it, and another run's copy counts as none.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis;
use moka::future::Cache;

use super::Ledger;
use crate::error::Fault;
use crate::ids::{Points, UserId};
use crate::store::{keys, scripts};

const BALANCE: &str = "select balance, version from accounts where user_id = $1";

/// Readings of Postgres that are shared by those who ask at the same time: balances and their versions.
pub(super) type Reads = Cache<UserId, Option<(Points, i64)>>;

/// Long enough that whoever asks at the same time is served by one reading, too short to be a cache.
const SHARED: Duration = Duration::from_millis(20);

/// Readings shared at once at most.
const SHARED_MOST: u64 = 10_000;

pub(super) fn reads() -> Reads {
    Cache::builder().max_capacity(SHARED_MOST).time_to_live(SHARED).build()
}

/// An account's balance, or `None` where there is no such account. From Redis; from Postgres where Redis has no copy.
pub async fn balance(ledger: &Ledger, user: &UserId) -> Result<Option<Points>, Fault> {
    let asked = redis::cmd("HMGET").arg(keys::balance(user)).arg("balance").arg("run").take();
    let (copy, run) = ledger.core.redis.command_and_run::<(Option<i64>, Option<String>)>(&asked).await?;
    if let (Some(balance), Some(told)) = copy
        && *told == *run
    {
        return Ok(Some(Points(balance)));
    }
    let read = Box::pin(ledger.reads.try_get_with(user.clone(), read(ledger, user))).await;
    let read = read.map_err(|fault: Arc<Fault>| (*fault).clone())?;
    Ok(read.map(|(balance, _)| balance))
}

/// An account's balance and its version, as Postgres has them at this moment.
pub async fn balance_now(ledger: &Ledger, user: &UserId) -> Result<Option<(Points, i64)>, Fault> {
    let pool = ledger.db().pool();
    let found: Option<(i64, i64)> = sqlx::query_as(BALANCE).bind(user.as_str()).fetch_optional(pool).await?;
    Ok(found.map(|(balance, version)| (Points(balance), version)))
}

/// Keeps a copy of a balance in Redis, unless a newer one is there.
pub async fn project(ledger: &Ledger, user: &UserId, balance: Points, version: i64) -> Result<(), Fault> {
    scripts::ledger::project_balance(&ledger.core.redis, user, balance, version).await
}

async fn read(ledger: &Ledger, user: &UserId) -> Result<Option<(Points, i64)>, Fault> {
    let found = balance_now(ledger, user).await?;
    if let Some((balance, version)) = found {
        project(ledger, user, balance, version).await?;
    }
    Ok(found)
}
