//! What an account has: a copy in Redis, and the truth in Postgres.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis;
use moka::future::Cache;

use super::Ledger;
use crate::error::Fault;
use crate::ids::{Points, UserId};
use crate::store::{keys, scripts};

const BALANCE: &str = "select balance, version from accounts where user_id = $1";

/// Readings of Postgres that are shared by those who ask at the same time.
pub(super) type Reads = Cache<UserId, Option<(i64, i64)>>;

/// Long enough that whoever asks at the same time is served by one reading, too short to be a cache.
const SHARED: Duration = Duration::from_millis(20);

/// Readings shared at once at most.
const SHARED_MOST: u64 = 10_000;

pub(super) fn reads() -> Reads {
    Cache::builder().max_capacity(SHARED_MOST).time_to_live(SHARED).build()
}

/// An account's balance, or `None` where there is no such account. From Redis; from Postgres where Redis has no copy.
pub async fn balance(ledger: &Ledger, user: &UserId) -> Result<Option<Points>, Fault> {
    let asked = redis::cmd("HGET").arg(keys::balance(user)).arg("balance").take();
    if let Some(balance) = ledger.core.redis.command::<Option<i64>>(&asked).await? {
        return Ok(Some(Points(balance)));
    }
    let read = Box::pin(ledger.reads.try_get_with(user.clone(), read(ledger, user))).await;
    let read = read.map_err(|fault: Arc<Fault>| (*fault).clone())?;
    Ok(read.map(|(balance, _)| Points(balance)))
}

/// Keeps a copy of a balance in Redis, unless a newer one is there.
pub async fn project(ledger: &Ledger, user: &UserId, balance: Points, version: i64) -> Result<(), Fault> {
    scripts::ledger::project_balance(&ledger.core.redis, user, balance, version).await
}

async fn read(ledger: &Ledger, user: &UserId) -> Result<Option<(i64, i64)>, Fault> {
    let pool = ledger.db().pool();
    let found: Option<(i64, i64)> = sqlx::query_as(BALANCE).bind(user.as_str()).fetch_optional(pool).await?;
    if let Some((balance, version)) = found {
        project(ledger, user, Points(balance), version).await?;
    }
    Ok(found)
}
