//! A connection while it is lent, and how it comes back.

use std::ops::{Deref, DerefMut};
use std::sync::Weak;
use std::sync::atomic::Ordering;

use sqlx::{Connection, Error, Executor, PgConnection};

use super::Inner;

/// A connection that is lent. Dropped without [`Lent::give_back`], it is closed.
pub(crate) struct Lent {
    connection: PgConnection,
    slot: Slot,
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
        Self { connection, slot: Slot(pool) }
    }

    /// Gives the connection back for others. The caller has read the last answer, and no transaction is open.
    pub(crate) fn give_back(self) {
        let Some(pool) = self.slot.0.upgrade() else { return };
        if self.connection.is_in_transaction() {
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
    pub(super) async fn end(self) {
        // It is of no use any more, whatever Postgres says to its end.
        let _ = self.connection.close().await;
    }
}

/// Whether an error of Postgres' ends the connection.
fn is_fatal(error: &dyn sqlx::error::DatabaseError) -> bool {
    use sqlx::postgres::{PgDatabaseError, PgSeverity};
    error.try_downcast_ref::<PgDatabaseError>().is_none_or(|error| error.severity() != PgSeverity::Error)
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
pub(crate) struct Transaction(Lent);

impl Transaction {
    /// A transaction that was begun on this connection.
    pub(super) fn on(lent: Lent) -> Self {
        Self(lent)
    }

    /// Commits.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        self.0.execute("commit").await?;
        self.0.give_back();
        Ok(())
    }

    /// Undoes everything.
    pub(crate) async fn rollback(mut self) -> Result<(), Error> {
        self.0.execute("rollback").await?;
        self.0.give_back();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
