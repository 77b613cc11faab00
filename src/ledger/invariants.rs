//! The invariants that Postgres alone can answer for: I1, I2, I3 and I5.

use serde::Serialize;

use super::Ledger;
use crate::error::Fault;

const CHECKS: &str = include_str!("sql/invariants.sql");

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
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(CHECKS).fetch_all(ledger.db().pool()).await?;
    let check = |(name, broken, of): (String, i64, i64)| Check {
        name,
        ok: broken == 0,
        detail: format!("{broken} of {of} broken"),
    };
    Ok(rows.into_iter().map(check).collect())
}
