//! A Redis and a Postgres of one's own: what `anteroom dev`, the tests and the benchmarks run on.
//!
//! Both are children that listen on 127.0.0.1 only, ask for a password, and end with the program that started them,
//! even where that is killed (see `child.rs`). Their data, their logs, and their ports and passwords, which stay the same from
//! start to start, are in the data folder.
//!
//! Postgres refuses to run as root. Started by root, it runs as `postgres` or `nobody`, and its data belongs to that
//! user. Where that user cannot reach the data folder (as below `/root`), the data is in a folder of `/var/tmp` that
//! the file `postgres/elsewhere` in the data folder names.

mod child;
mod find;
mod folder;
mod home;
mod lock;
mod port;
mod postgres;
mod redis;
mod user;

use std::path::Path;

pub use folder::wipe;
pub use postgres::PostgresServer;
pub use redis::RedisServer;

use folder::Folder;

/// A setting of a store, by the store's own name for it, and its value.
pub type Setting<'a> = (&'a str, &'a str);

/// Both stores of a data folder, running.
pub struct Stores {
    redis: RedisServer,
    postgres: PostgresServer,
    /// Keeps other programs off the data folder.
    _folder: Folder,
}

impl Stores {
    /// Starts both on a data folder, made where there is none, and waits until they serve.
    ///
    /// A folder that is not empty and not ours is refused, and one that another program has in use.
    pub async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(data_dir, &[], &[]).await
    }

    /// The same, with settings of Redis and of Postgres that win over ours.
    pub async fn start_with(data_dir: &Path, redis: &[Setting<'_>], postgres: &[Setting<'_>]) -> anyhow::Result<Self> {
        let folder = Folder::open(data_dir).await?;
        let (redis_dir, postgres_dir) = (folder.redis(), folder.postgres());
        let (redis, postgres) =
            tokio::try_join!(RedisServer::start(&redis_dir, redis), PostgresServer::start(&postgres_dir, postgres))?;
        Ok(Self { redis, postgres, _folder: folder })
    }

    /// Where Redis is, with its password.
    pub fn redis_url(&self) -> &str {
        self.redis.url()
    }

    /// Where Postgres is, with its password: the database `anteroom`, made empty at the first start.
    pub fn database_url(&self) -> &str {
        self.postgres.url()
    }

    /// The process of Redis itself.
    pub fn redis_pid(&self) -> u32 {
        self.redis.pid()
    }

    /// The process of Postgres itself, the parent of its others.
    pub fn postgres_pid(&self) -> u32 {
        self.postgres.pid()
    }

    /// Waits until one of them ends by itself, and says which, how, and what its log says last.
    pub async fn broken(&mut self) -> String {
        tokio::select! {
            said = self.redis.broken() => said,
            said = self.postgres.broken() => said,
        }
    }

    /// Ends both in order: what was acknowledged is on the disk when this returns.
    pub async fn stop(self) -> anyhow::Result<()> {
        let (redis, postgres) = tokio::join!(self.redis.stop(), self.postgres.stop());
        redis.and(postgres)
    }
}
