//! A Postgres that keeps what it acknowledged.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::sleep;

use super::child::Child;
use super::home::{Home, NAME};
use super::{Setting, find, folder, port};
use crate::error::Fault;
use crate::store::Db;
use crate::store::db::Limits;

/// How long Postgres may take to repair itself after a crash.
const STARTING: Duration = Duration::from_mins(1);

/// What a developer's machine has to spare. `fsync` stays on: what is acknowledged is kept here too.
const SETTINGS: [Setting<'_>; 4] = [
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
];

/// A Postgres of one's own, running.
pub struct PostgresServer {
    child: Child,
    url: String,
}

impl PostgresServer {
    /// Starts Postgres on a folder, made and filled where there is none, and waits until it serves a database
    /// `anteroom`. `settings` win over ours.
    pub async fn start(dir: &Path, settings: &[Setting<'_>]) -> anyhow::Result<Self> {
        let programs = find::postgres().await?;
        folder::make_dir(dir)?;
        let home = Home::prepare(dir).await?;
        home.initialize(&programs).await?;
        for _ in 0..port::ATTEMPTS {
            let port = port::choose(dir)?;
            let child = home.start_postgres(command(&programs.bin, &home.data(), port, settings)).await?;
            let mut server = Self { child, url: url(home.password(), port, NAME) };
            match server.ready(&url(home.password(), port, "postgres")).await {
                Err(_) if server.child.log_says(port::TAKEN) => {}
                ready => return ready.map(|()| server),
            }
        }
        bail!("Postgres finds no free port on 127.0.0.1")
    }

    /// Where it is, with its password. The same at the next start on the folder, unless the port is taken by then.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its first process, the parent of its others.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until it ends by itself, and says how.
    pub async fn broken(&mut self) -> String {
        self.child.broken().await
    }

    /// Sends its first process a signal, such as `STOP` and `CONT`.
    pub async fn signal(&mut self, signal: &str) -> anyhow::Result<()> {
        self.child.signal(signal).await
    }

    /// Ends it in order: connections are cut, transactions rolled back, everything is on the disk.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.child.end().await
    }

    /// Kills its first process as a crash would; its others notice and end.
    pub async fn kill(self) -> anyhow::Result<()> {
        self.child.kill().await
    }

    async fn ready(&mut self, maintenance_url: &str) -> anyhow::Result<()> {
        let limits = Limits { connections: 1, wait: STARTING, statement: STARTING };
        let db = Db::new(maintenance_url, limits)?;
        let ready = tokio::select! {
            said = self.child.broken() => Err(said),
            () = answer(&db) => Ok(()),
            () = sleep(STARTING) => {
                Err(format!("Postgres does not serve after {STARTING:?}{}", self.child.log_tail()))
            }
        };
        ready.map_err(anyhow::Error::msg)?;
        let made = make_database(&db).await;
        db.close().await;
        made.context("cannot make the database")
    }
}

fn url(password: &str, port: u16, database: &str) -> String {
    format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{database}")
}

fn command(bin: &Path, data: &Path, port: u16, settings: &[Setting<'_>]) -> Vec<String> {
    let start = [bin.join("postgres").display().to_string(), "-D".into(), data.display().to_string()];
    let port = port.to_string();
    let settings = SETTINGS.iter().chain(&[("port", port.as_str())]).chain(settings).copied().collect::<Vec<_>>();
    start
        .into_iter()
        .chain(settings.iter().flat_map(|(name, value)| ["-c".into(), format!("{name}={value}")]))
        .collect()
}

/// Waits until Postgres takes connections.
async fn answer(db: &Db) {
    while db.ping().await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
}

async fn make_database(db: &Db) -> Result<(), Fault> {
    let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(NAME)
        .fetch_one(db.pool())
        .await?;
    if !there {
        sqlx::query("create database anteroom").execute(db.pool()).await?;
    }
    Ok(())
}
