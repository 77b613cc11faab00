//! A Redis that forgets nothing but its last second: append-only, never evicting.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::child::{Child, Launch, Log};
use super::{Setting, find, folder, port};
use crate::cli::secrets;
use crate::store::Redis;

/// How long Redis may take to load what it kept.
const STARTING: Duration = Duration::from_mins(1);

/// A Redis of one's own, running.
pub struct RedisServer {
    child: Child,
    url: String,
}

impl RedisServer {
    /// Starts Redis on a folder, made where there is none, and waits until it serves. `settings` win over ours.
    pub async fn start(dir: &Path, settings: &[Setting<'_>]) -> anyhow::Result<Self> {
        let program = find::redis().await?;
        folder::make_private_dir(dir)?;
        let password = secrets::keep(&dir.join("password"), || Ok(secrets::random_hex()))?;
        for _ in 0..port::ATTEMPTS {
            let port = port::choose(dir)?;
            // In a file, because everyone on the machine may read the arguments of a process.
            secrets::write_private(&dir.join("redis.conf"), &configuration(port, &password, settings))?;
            let launch = Launch {
                name: "Redis",
                command: vec![program.display().to_string(), "redis.conf".into()],
                dir,
                user: None,
                ending: "TERM KILL",
            };
            let child = Child::start(launch, Log::take(&dir.join("log")).await?).await?;
            let mut server = Self { child, url: format!("redis://default:{password}@127.0.0.1:{port}") };
            match server.ready().await {
                Err(_) if server.child.log_says(port::TAKEN) => {}
                ready => return ready.map(|()| server),
            }
        }
        bail!("Redis finds no free port on 127.0.0.1")
    }

    /// Where it is, with its password. The same at the next start on the folder, unless the port is taken by then.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until it ends by itself, and says how.
    pub async fn broken(&mut self) -> String {
        self.child.broken().await
    }

    /// Sends it a signal, such as `STOP` and `CONT`.
    pub async fn signal(&mut self, signal: &str) -> anyhow::Result<()> {
        self.child.signal(signal).await
    }

    /// Ends it in order, with everything on the disk.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.child.end().await
    }

    /// Kills it as a crash would.
    pub async fn kill(self) -> anyhow::Result<()> {
        self.child.kill().await
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let redis = Redis::new(&self.url, 1, Duration::from_millis(500))?;
        let ready = tokio::select! {
            said = self.child.broken() => Err(said),
            () = answer(&redis) => Ok(()),
            () = sleep(STARTING) => Err(format!("Redis does not serve after {STARTING:?}{}", self.child.log_tail())),
        };
        ready.map_err(anyhow::Error::msg)
    }
}

/// Waits until Redis answers a command that it refuses while it loads.
async fn answer(redis: &Redis) {
    while redis.command::<String>(&deadpool_redis::redis::cmd("PING")).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
}

fn configuration(port: u16, password: &str, settings: &[Setting<'_>]) -> String {
    let port = port.to_string();
    let ours = [
        ("bind", "127.0.0.1"),
        ("port", &port),
        ("requirepass", password),
        ("daemonize", "no"),
        ("dir", "."),
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
        ("save", "\"\""),
    ];
    ours.iter().chain(settings).fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name} {value}");
        text
    })
}
