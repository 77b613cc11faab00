//! One statement as one transaction, with an end that is known for certain or said to be unknown.
//!
//! sqlx' transactions are not safe when their future is dropped: the connection can go back to the pool inside an open
//! transaction. So what writes runs in a task of its own, says `begin` and `commit` itself, and a connection on which
//! anything went wrong is closed instead of given back.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow, PgSeverity, Postgres};
use sqlx::query::Query;
use sqlx::{Executor, PgConnection};
use tokio::time::timeout;

use super::Ledger;
use crate::error::Fault;
use crate::store::Db;

/// How a transaction failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// Postgres refused the statement. Nothing was committed.
    Refused(Fault),
    /// Postgres did not get as far as the commit. Nothing was committed, nor will be.
    Unserved(Fault),
    /// The commit was asked for and no answer came.
    Unknown(Fault),
}

impl Failure {
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Refused(fault) | Self::Unserved(fault) | Self::Unknown(fault) => fault,
        }
    }
}

/// Runs a statement in a transaction; `read` looks at its rows before the commit. Must not be dropped half-way.
pub(super) async fn run<T>(
    db: &Db,
    patience: Duration,
    statement: Query<'static, Postgres, PgArguments>,
    read: impl FnOnce(Vec<PgRow>) -> Result<T, sqlx::Error>,
) -> Result<T, Failure> {
    let mut connection = db.pool().acquire().await.map_err(|e| Failure::Unserved(e.into()))?;
    let ended = run_on(&mut connection, patience, statement, read).await;
    if ended.is_ok() {
        // Else it is closed: that is what ends a transaction whose state is in doubt.
        connection.give_back();
    }
    ended
}

async fn run_on<T>(
    connection: &mut PgConnection,
    patience: Duration,
    statement: Query<'static, Postgres, PgArguments>,
    read: impl FnOnce(Vec<PgRow>) -> Result<T, sqlx::Error>,
) -> Result<T, Failure> {
    let called = timeout(patience, async {
        connection.execute("begin isolation level read committed").await?;
        read(statement.fetch_all(&mut *connection).await?)
    });
    let told = match called.await {
        Ok(Ok(told)) => told,
        Ok(Err(error @ sqlx::Error::Database(_))) if answers(&error) => return Err(Failure::Refused(error.into())),
        Ok(Err(error)) => return Err(Failure::Unserved(error.into())),
        Err(_) => return Err(Failure::Unserved(silent())),
    };
    match timeout(patience, connection.execute("commit")).await {
        Ok(Ok(_)) => Ok(told),
        Ok(Err(error)) if answers(&error) => Err(Failure::Refused(error.into())),
        Ok(Err(error)) => Err(Failure::Unknown(error.into())),
        Err(_) => Err(Failure::Unknown(silent())),
    }
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
