//! The scripts of points: the copies of balances.

use super::{Reply, script};
use crate::error::Fault;
use crate::ids::{Points, UserId};
use crate::store::script::Call;
use crate::store::{Redis, keys};

script!(PROJECT_BALANCE, "ledger/project_balance");

/// How long the copy of a balance stays, unless it is written again.
const KEEP_MS: i64 = 3_600_000;

/// Keeps a copy of a balance, unless a newer one is there.
pub(crate) async fn project_balance(redis: &Redis, user: &UserId, balance: Points, version: i64) -> Result<(), Fault> {
    let call = Call::new(&PROJECT_BALANCE, &[&keys::balance(user)]);
    let reply: Reply = redis.call(call.arg(balance.0).arg(version).arg(KEEP_MS)).await?;
    match reply.word()? {
        "older" | "written" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}
