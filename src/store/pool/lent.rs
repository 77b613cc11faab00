//! A connection while it is lent, and how it comes back.

use std::ops::{Deref, DerefMut};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{Connection, Error, Executor, PgConnection};

use super::{Inner, in_time};

/// What a server answers to a write that has become a replica since the connection was made.
const READ_ONLY: &str = "25006";

/// A connection that is lent. Dropped without [`Lent::give_back`], it is closed.
pub(crate) struct Lent {
    connection: PgConnection,
    slot: Slot,
    /// Whether a [`Transaction`] is open on it: sqlx knows only of those that it begins itself.
    inside: bool,
}

/// Counts a connection as long as it exists.
struct Slot(Weak<Inner>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.doubt();
            pool.open.fetch_sub(1, Ordering::AcqRel);
            pool.ended.notify_one();
        }
    }
}

impl Lent {
    /// A connection of a pool's own making.
    pub(super) fn new(connection: PgConnection, pool: Weak<Inner>) -> Self {
        Self { connection, slot: Slot(pool), inside: false }
    }

    /// Gives the connection back for others. The caller has read the last answer, and no transaction is open.
    pub(crate) fn give_back(self) {
        let Some(pool) = self.slot.0.upgrade() else { return };
        if self.inside || self.connection.is_in_transaction() {
            tracing::error!("a connection came back inside a transaction, and was closed");
        } else if !pool.closed.is_cancelled() {
            pool.take_back(self);
        }
    }

    /// Gives the connection back after a statement of its own transaction: where Postgres answered, also with a
    /// refusal, nothing is open.
    pub(super) fn give_back_after<T>(self, ended: Result<T, Error>) -> Result<T, Error> {
        match &ended {
            Ok(_) => self.give_back(),
            Err(Error::Database(error)) if !is_fatal(error.as_ref()) => self.give_back(),
            Err(_) => {}
        }
        ended
    }

    /// Closes the connection.
    pub(crate) async fn end(self) {
        // It is of no use any more, whatever Postgres says to its end.
        let _ = self.connection.close().await;
    }
}

/// Whether an error of Postgres' ends the connection.
fn is_fatal(error: &dyn sqlx::error::DatabaseError) -> bool {
    let told = error.try_downcast_ref::<PgDatabaseError>();
    told.is_none_or(|error| error.severity() != PgSeverity::Error || error.code() == READ_ONLY)
}

/// Whether the server takes no writes on this connection, nor ever will: nothing was done, and the connection must go.
pub(crate) fn only_reads(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(READ_ONLY))
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// A transaction on a borrowed connection. Dropped before its end, it is rolled back, because its connection is closed.
pub(crate) struct Transaction {
    lent: Lent,
    /// How long its beginning and its end may take.
    patience: Duration,
}

impl Transaction {
    /// Begins a transaction on a connection.
    pub(super) async fn begin(mut lent: Lent, patience: Duration) -> Result<Self, Error> {
        // From here on: that no answer came does not mean that it did not begin.
        lent.inside = true;
        in_time(patience, lent.execute("begin")).await?;
        Ok(Self { lent, patience })
    }

    /// Commits.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.end("commit").await
    }

    /// Undoes everything.
    pub(crate) async fn rollback(self) -> Result<(), Error> {
        self.end("rollback").await
    }

    async fn end(self, how: &'static str) -> Result<(), Error> {
        let Self { mut lent, patience } = self;
        in_time(patience, lent.execute(how)).await?;
        lent.inside = false;
        lent.give_back();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lent
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lent
    }
}
