//! The invariants that Postgres alone can answer for: I1, I2, I3 and I5.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgConnection;

use super::Ledger;
use crate::error::Fault;
use crate::store::pool::in_time;

const CHECKS: &str = include_str!("sql/invariants.sql");

/// Looking at every row may take longer than any statement of those who serve, and is to leave them the other cores.
const LIMITS: [&str; 2] = ["set local statement_timeout = '60s'", "set local max_parallel_workers_per_gather = 0"];

/// Postgres' own limit comes first.
const PATIENCE: Duration = Duration::from_secs(61);

/// One invariant, looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its number and what it says, in a few words.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// How many of how many break it.
    pub detail: String,
}

/// Looks at every row of money and seats, in a few passes over the tables, as of one moment.
pub async fn check(ledger: &Ledger) -> Result<Vec<Check>, Fault> {
    let mut transaction = ledger.db().pool().begin().await?;
    let rows = in_time(PATIENCE, look(&mut transaction)).await?;
    transaction.rollback().await?;
    let check = |(name, broken, of): (String, i64, i64)| Check {
        name,
        ok: broken == 0,
        detail: format!("{broken} of {of} broken"),
    };
    Ok(rows.into_iter().map(check).collect())
}

async fn look(connection: &mut PgConnection) -> Result<Vec<(String, i64, i64)>, sqlx::Error> {
    for limit in LIMITS {
        sqlx::query(limit).execute(&mut *connection).await?;
    }
    sqlx::query_as(CHECKS).fetch_all(connection).await
}
