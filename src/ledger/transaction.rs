//! One statement as one transaction, with an end that is known for certain or said to be unknown.
//!
//! A statement outside of a transaction is one by itself: Postgres commits it before it says that it is ready again, and
//! only then has sqlx read the whole answer. That is one round trip, and safe because the pool lends no connection on
//! which a transaction is open (`store/pool`). It runs in a task of its own, so that nobody drops it.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow, PgSeverity, Postgres};
use sqlx::query::Query;
use tokio::time::timeout;

use super::Ledger;
use crate::error::Fault;
use crate::store::Db;
use crate::store::pool::only_reads;

/// How a transaction failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// Postgres refused the statement. Nothing was committed.
    Refused(Fault),
    /// Postgres was not asked, or writes nothing at all. Nothing was committed, nor will be.
    Unserved(Fault),
    /// It was asked, and no answer came, or none that can be read: it may be committed, now or later.
    Unknown(Fault),
}

impl Failure {
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Refused(fault) | Self::Unserved(fault) | Self::Unknown(fault) => fault,
        }
    }
}

/// Runs a statement as a transaction; `read` looks at its rows. Must not be dropped half-way.
pub(super) async fn run<T>(
    db: &Db,
    patience: Duration,
    statement: Query<'static, Postgres, PgArguments>,
    read: impl FnOnce(Vec<PgRow>) -> Result<T, sqlx::Error>,
) -> Result<T, Failure> {
    let mut connection = db.pool().acquire().await.map_err(|e| Failure::Unserved(e.into()))?;
    let ended = match timeout(patience, statement.fetch_all(&mut *connection)).await {
        Ok(Ok(rows)) => read(rows).map_err(|e| Failure::Unknown(e.into())),
        Ok(Err(error)) if only_reads(&error) => return Err(Failure::Unserved(error.into())),
        Ok(Err(error)) if answers(&error) => Err(Failure::Refused(error.into())),
        // It is closed, and nobody knows what Postgres makes of what it was sent.
        Ok(Err(error)) => return Err(Failure::Unknown(error.into())),
        Err(_) => return Err(Failure::Unknown(silent())),
    };
    connection.give_back();
    ended
}

/// Whether Postgres answered with an error and lives on. A FATAL one ends the connection, which may happen between
/// the commit and its answer.
fn answers(error: &sqlx::Error) -> bool {
    let database = error.as_database_error().and_then(|e| e.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
    database.is_some_and(|e| e.severity() == PgSeverity::Error)
}

fn silent() -> Fault {
    Fault::Postgres("no answer in time".into())
}

/// The same for a single step outside the batches, in a task of its own.
pub(super) async fn write(
    ledger: &Ledger,
    statement: Query<'static, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, Fault> {
    let (db, patience) = (ledger.core.db.clone(), ledger.core.settings.patience);
    let task = ledger.tasks.spawn(async move { run(&db, patience, statement, Ok).await });
    match task.await {
        Ok(ended) => ended.map_err(Failure::into_fault),
        Err(error) => Err(Fault::Defect(error.to_string())),
    }
}
