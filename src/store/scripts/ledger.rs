//! The scripts of points: the copies of balances.

use super::{Reply, script};
use crate::error::Fault;
use crate::ids::{Points, UserId};
use crate::store::script::Call;
use crate::store::{Redis, keys};

script!(PROJECT_BALANCE, "ledger/project_balance");

/// How long the copy of a balance stays, unless it is written again.
const KEEP_MS: i64 = 3_600_000;

/// Keeps a copy of a balance, unless this run of Redis has a newer one.
pub(crate) async fn project_balance(redis: &Redis, user: &UserId, balance: Points, version: i64) -> Result<(), Fault> {
    let key = keys::balance(user);
    let make = |run: &str| Call::new(&PROJECT_BALANCE, &[&key]).arg(run).arg(balance.0).arg(version).arg(KEEP_MS);
    let reply: Reply = redis.call_told_run(&key, make).await?;
    match reply.word()? {
        "older" | "written" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}
