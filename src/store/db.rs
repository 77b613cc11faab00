//! Postgres: a small pool with short waits, and connections that never idle inside a transaction.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::Fault;

/// The way to Postgres.
#[derive(Clone)]
pub struct Db {
    pool: PgPool,
    /// A connection of its own tells whether Postgres serves, also while the pool is exhausted by those who use it.
    pulse: Arc<Mutex<Option<PgConnection>>>,
}

/// How long Postgres may take to show that it is there.
const PULSE: Duration = Duration::from_secs(1);

/// How the pool behaves.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at most.
    pub connections: u32,
    /// How long to wait for one.
    pub wait: Duration,
    /// How long one statement may run.
    pub statement: Duration,
}

impl Db {
    /// Prepares the pool; connections are made when first needed.
    ///
    /// A dropped future can leave a connection inside a transaction (sqlx 0.9.0), and the next borrower's write would
    /// never be committed. So a connection is rolled back before it goes back to the pool, and Postgres itself ends
    /// one that idles inside a transaction.
    pub fn new(url: &str, limits: Limits) -> Result<Self, Fault> {
        let statement_ms = limits.statement.as_millis().to_string();
        let options = PgConnectOptions::from_str(url)
            .map_err(|e| Fault::Postgres(e.to_string()))?
            .application_name("anteroom")
            .disable_statement_logging()
            .options([
                // A rollback where nothing is open, as after each release, is no news.
                ("client_min_messages", "error"),
                ("statement_timeout", statement_ms.as_str()),
                ("idle_in_transaction_session_timeout", "5000"),
                ("lock_timeout", statement_ms.as_str()),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(limits.connections)
            // All are kept open: to open one takes longer than a request waits when the machine is busy.
            .min_connections(limits.connections)
            .idle_timeout(None)
            .acquire_timeout(limits.wait)
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.execute("rollback").await?;
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, pulse: Arc::default() })
    }

    /// The pool, for the rooms' statements.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Brings the tables up to this program's version.
    pub async fn migrate(&self) -> Result<(), Fault> {
        sqlx::migrate!().run(&self.pool).await.map_err(|e| match e {
            MigrateError::Execute(e) => e.into(),
            other => Fault::Postgres(other.to_string()),
        })
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), Fault> {
        let mut pulse = self.pulse.lock().await;
        let taken = pulse.take();
        let beat = async {
            let mut connection = match taken {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.pool.connect_options()).await?,
            };
            connection.ping().await?;
            Ok::<_, Fault>(connection)
        };
        *pulse = Some(timeout(PULSE, beat).await.map_err(|_| Fault::Postgres("no answer in a second".into()))??);
        Ok(())
    }

    /// Connections that exist, and those of them that are free.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Ends every connection.
    pub async fn close(&self) {
        self.pulse.lock().await.take();
        self.pool.close().await;
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Overload("database connections"),
            sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
                Self::Defect(error.to_string())
            }
            other => Self::Postgres(other.to_string()),
        }
    }
}
