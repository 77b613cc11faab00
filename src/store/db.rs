//! Postgres: a small pool with short waits, and connections that never idle inside a transaction.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::time::timeout;

use super::pool::Pool;
use crate::error::Fault;

/// The way to Postgres.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    options: PgConnectOptions,
    statement: Duration,
    /// A connection of its own tells whether Postgres serves, also while the pool is exhausted by those who use it.
    pulse: Arc<OnceLock<Pool>>,
}

/// Which part of its time a statement may wait for one lock. Nobody here holds one for so long, unless it is stuck:
/// then whoever waits should hear of that, and not take connections from all others.
const LOCK_PART: u32 = 5;

const TOLD_LIMIT: &str = "select setting::bigint from pg_settings where name = 'statement_timeout'";

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
    /// Begins to make the connections, and waits for none. Must be called within the runtime.
    ///
    /// Postgres itself ends a connection that idles inside a transaction, should we ever leave one there.
    pub fn new(url: &str, limits: Limits) -> Result<Self, Fault> {
        let statement_ms = limits.statement.as_millis().to_string();
        let lock_ms = (limits.statement / LOCK_PART).as_millis().to_string();
        let options = PgConnectOptions::from_str(url)
            .map_err(|e| Fault::Postgres(e.to_string()))?
            .application_name("anteroom")
            .disable_statement_logging()
            .options([
                // A table that is there already, as at each migration, is no news.
                ("client_min_messages", "error"),
                // The ledger decides by what it sees after its locks, and retries nothing.
                ("default_transaction_isolation", "read committed"),
                ("statement_timeout", statement_ms.as_str()),
                ("idle_in_transaction_session_timeout", "5000"),
                ("lock_timeout", lock_ms.as_str()),
            ]);
        let statement = limits.statement;
        Ok(Self { pool: Pool::new(options.clone(), limits), options, statement, pulse: Arc::default() })
    }

    /// The pool, for the rooms' statements.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Brings the tables up to this program's version. An index over many rows takes longer than any statement of those
    /// who serve, and whoever migrates at the same time is waited for: so nothing limits it.
    pub async fn migrate(&self) -> Result<(), Fault> {
        let mut lent = self.pool.acquire().await?;
        for unlimited in ["set statement_timeout = 0", "set lock_timeout = 0"] {
            lent.execute(unlimited).await?;
        }
        let mut migrations = sqlx::migrate!();
        // A later version may have been here, which is still rolled out or was taken back. Its migrations only add, and
        // leave the program before it working (docs/architecture.md): that one need not know them.
        migrations.set_ignore_missing(true);
        let migrated = migrations.run(&mut *lent).await;
        // Nobody is to borrow a connection without limits.
        lent.end().await;
        migrated.map_err(|e| match e {
            MigrateError::Execute(e) => e.into(),
            other => Fault::Postgres(other.to_string()),
        })
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), Fault> {
        let limits = Limits { connections: 1, wait: PULSE, statement: PULSE };
        let pulse = self.pulse.get_or_init(|| Pool::new(self.options.clone(), limits));
        let silent = || Fault::Postgres("no answer in a second".into());
        let mut lent = pulse.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => silent(),
            other => other.into(),
        })?;
        timeout(PULSE, lent.ping()).await.map_err(|_| silent())??;
        lent.give_back();
        Ok(())
    }

    /// Whether the limits that we ask for when we connect are in force: a pooler in between may have swallowed them.
    pub async fn keeps_limits(&self) -> Result<bool, Fault> {
        let told: i64 = sqlx::query_scalar(TOLD_LIMIT).fetch_one(self.pool()).await?;
        Ok(u128::try_from(told).is_ok_and(|told| told == self.statement.as_millis()))
    }

    /// Whether Postgres runs on this host, as far as its address tells.
    pub fn is_here(&self) -> bool {
        let host = self.options.get_host();
        let loops_back = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || loops_back
    }

    /// Connections that exist, and those of them that are free.
    pub fn connections(&self) -> (u32, usize) {
        self.pool.connections()
    }

    /// Ends every connection.
    pub async fn close(&self) {
        if let Some(pulse) = self.pulse.get() {
            pulse.close().await;
        }
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
