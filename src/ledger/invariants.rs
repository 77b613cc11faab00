//! The invariants that Postgres alone can answer for: I1, I2, I3 and I5.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgConnection;

use super::Ledger;
use crate::clock;
use crate::error::Fault;
use crate::store::pool::in_time;

const CHECKS: &str = include_str!("sql/invariants.sql");

/// All look at one moment. Looking at every row may take longer than any statement of those who serve, and is to leave them
/// the other cores.
const LIMITS: [&str; 3] = [
    "set transaction isolation level repeatable read, read only",
    "set local statement_timeout = '60s'",
    "set local max_parallel_workers_per_gather = 0",
];

/// How long all of them may take without rests.
const PATIENCE: Duration = Duration::from_secs(61);

/// How fast the invariants are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// After each step nothing is done for so many times as long as it took. Looking at every row takes a core for
    /// seconds, which may be the one on which those are served who do not wait for this.
    pub rests: u32,
}

/// No rest is longer: Postgres would take it for a statement that hangs.
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Pace {
    /// How long to rest after a step that took so long, if at all.
    pub fn rest(self, took: Duration) -> Option<Duration> {
        Some((took * self.rests).min(LONGEST_REST)).filter(|rest| !rest.is_zero())
    }
}

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
pub async fn check(ledger: &Ledger, pace: Pace) -> Result<Vec<Check>, Fault> {
    let mut transaction = ledger.db().pool().begin().await?;
    let rows = in_time(PATIENCE * (1 + pace.rests), look(&mut transaction, pace)).await?;
    transaction.rollback().await?;
    let check = |(name, broken, of): (String, i64, i64)| Check {
        name,
        ok: broken == 0,
        detail: format!("{broken} of {of} broken"),
    };
    Ok(rows.into_iter().map(check).collect())
}

async fn look(connection: &mut PgConnection, pace: Pace) -> Result<Vec<(String, i64, i64)>, sqlx::Error> {
    for limit in LIMITS {
        sqlx::query(limit).execute(&mut *connection).await?;
    }
    let mut rows = Vec::new();
    for check in CHECKS.split(';').filter(|check| !check.trim().is_empty()) {
        let began = clock::now();
        rows.extend(sqlx::query_as(check).fetch_all(&mut *connection).await?);
        if let Some(rest) = pace.rest(began.elapsed()) {
            // Postgres waits, and not we: no connection idles inside a transaction.
            sqlx::query("select pg_sleep($1)").bind(rest.as_secs_f64()).execute(&mut *connection).await?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_rested_from_for_as_many_times_as_it_took_within_bounds() {
        let seconds = Duration::from_secs;
        assert_eq!(Pace { rests: 4 }.rest(seconds(2)), Some(seconds(8)));
        assert_eq!(Pace { rests: 4 }.rest(seconds(20)), Some(LONGEST_REST));
        assert_eq!(Pace { rests: 0 }.rest(seconds(2)), None);
    }
}
