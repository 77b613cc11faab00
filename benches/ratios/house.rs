//! What is measured, running: private stores, the service, the bare route; and the rooms of the service in this process
//! too, to make tokens and reservations beforehand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anteroom::accounts::Password;
use anteroom::app::{self, App};
use anteroom::cli::seed::{self, Demo};
use anteroom::cli::{secrets, stores};
use anteroom::config::Config;
use anteroom::ids::{RoomName, UserId};
use anteroom::queue::{self, Device, Room};
use anteroom::store::Db;
use anyhow::{Context, bail};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Client, cmd};
use futures_util::{StreamExt, TryStreamExt, stream};
use secrecy::ExposeSecret;
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::bare;
use super::cpu::Used;

/// What differs from the defaults. One account books more here than people may; tokens of all waiters are remembered,
/// as by a service that is scaled for so many.
const SETTINGS: [(&str, &str); 4] =
    [("seats_per_user", "1000000"), ("tokens_remembered", "400000"), ("token_seconds", "86400"), ("log", "warn")];

/// Accounts, and seats for them to book.
const DEMO: (u32, u16, u16) = (4_000, 14, 30_000);
pub(crate) const PASSWORD: &str = "anteroom-demo";

/// The room of those inside, the room of the long line, and rooms of a thousand each.
const ROOMS: &str = "\
insert into rooms (name, state, capacity, admit_per_second, claim_seconds, idle_seconds, visit_seconds, hold_seconds)
select 'main', 'open', 100000, 100000, 3600, 3600, 7200, 3600
union all select 'crowd', 'paused', 2000, 500, 60, 120, 1200, 300
union all select 'small-' || n, 'paused', 2000, 500, 60, 120, 1200, 300 from generate_series(1, 100) as n
on conflict do nothing";

/// How many do what has to be done beforehand at once.
pub(crate) const AT_ONCE: usize = 64;

const STARTING: Duration = Duration::from_mins(1);

/// All of it. Ends with this value.
pub(crate) struct House {
    /// Files of this run.
    pub(crate) dir: PathBuf,
    /// Where the service answers.
    pub(crate) url: String,
    /// Where the bare route answers.
    pub(crate) bare_url: String,
    /// The rooms in this process.
    pub(crate) app: Arc<App>,
    stores: stores::Stores,
    service: Child,
    bare: Child,
}

impl House {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
        stores::wipe(&dir).await?;
        let stores = stores::Stores::start(&dir).await?;
        let (public, admin, bare) = (free_port().await?, free_port().await?, free_port().await?);
        let settings = settings(&dir, &stores, (&public, &admin))?;
        let config = Config::load(None, &settings)?;
        furnish(&config, stores.database_url()).await?;
        let service = serve(&settings, &dir)?;
        wait_until_ready(&format!("http://{admin}/readyz")).await?;
        let key = std::fs::read(config.token_key_file.clone().unwrap_or_default())?;
        let app = App::build(config, &key)?;
        app.open().await?;
        let this = std::env::current_exe()?;
        let bare_route = Command::new(this).args([bare::ROLE, &bare]).kill_on_drop(true).spawn()?;
        wait_until_ready(&format!("http://{bare}/queue/position")).await?;
        let url = format!("http://{public}");
        Ok(Self { dir, url, bare_url: format!("http://{bare}"), app, stores, service, bare: bare_route })
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let Self { app, stores, mut service, mut bare, .. } = self;
        service.kill().await?;
        bare.kill().await?;
        app.close().await;
        stores.stop().await
    }

    /// A connection of this process' own to the service's Redis.
    pub(crate) async fn redis(&self) -> anyhow::Result<MultiplexedConnection> {
        Ok(Client::open(self.stores.redis_url())?.get_multiplexed_async_connection().await?)
    }

    pub(crate) fn database_url(&self) -> &str {
        self.stores.database_url()
    }

    pub(crate) fn room(&self, name: &str) -> anyhow::Result<Arc<Room>> {
        self.app.queue.room(&RoomName::parse(name)?).with_context(|| format!("there is no room {name}"))
    }

    /// Takes a place for each of these. Gives their tokens, in order.
    pub(crate) async fn join(&self, room: &str, users: Vec<String>) -> anyhow::Result<Vec<String>> {
        let room = self.room(room)?;
        let joining = stream::iter(users).map(|user| {
            let room = &room;
            async move {
                let place = queue::join(&self.app.queue, room, &UserId::parse(&user)?, Device::Other).await?;
                place.token.context("a place came without its token")
            }
        });
        joining.buffered(AT_ONCE).try_collect().await
    }

    /// What the service and Redis have used of the processors.
    pub(crate) fn used(&self) -> Option<Used> {
        Used::by(self.service.id()?, self.stores.redis_pid())
    }

    /// How often waiters' places were looked up in Redis, by its own count: once for each poll that reaches it.
    pub(crate) async fn lookups(&self) -> anyhow::Result<f64> {
        let mut redis = self.redis().await?;
        let told: String = cmd("INFO").arg("commandstats").query_async(&mut redis).await?;
        let count = told.lines().find_map(|line| line.strip_prefix("cmdstat_zrank:calls=")?.split(',').next());
        Ok(count.unwrap_or("0").parse()?)
    }
}

/// Demo account `number`, counted from 1.
pub(crate) fn account(number: u32) -> String {
    seed::user_name(number)
}

fn settings(dir: &Path, stores: &stores::Stores, at: (&str, &str)) -> anyhow::Result<Vec<(String, String)>> {
    let secrets = secrets::load(dir)?;
    let own = [
        ("listen", at.0),
        ("admin_listen", at.1),
        ("redis_url", stores.redis_url()),
        ("database_url", stores.database_url()),
        ("admin_token", secrets.admin_token.expose_secret()),
        ("token_key_file", &secrets.token_key_file.display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(own.into_iter().chain(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect())
}

/// Tables, rooms, accounts and seats.
async fn furnish(config: &Config, database_url: &str) -> anyhow::Result<()> {
    let db = Db::new(database_url, app::limits(config))?;
    db.migrate().await?;
    let mut connection = PgConnection::connect(database_url).await?;
    connection.execute(ROOMS).await?;
    connection.close().await?;
    let password = Password::parse(PASSWORD).map_err(|e| anyhow::anyhow!("the demo password {e}"))?;
    let (users, schedules, seats) = DEMO;
    seed::seed(&db, &Demo { users, password, schedules, seats }).await?;
    db.close().await;
    Ok(())
}

/// Starts the built binary. What is secret goes by the environment, which others cannot read.
fn serve(settings: &[(String, String)], dir: &Path) -> anyhow::Result<Child> {
    let named = settings.iter().map(|(name, value)| (format!("ANTEROOM_{}", name.to_uppercase()), value));
    let log = std::fs::File::create(dir.join("service.log"))?;
    let service =
        Command::new(env!("CARGO_BIN_EXE_anteroom")).arg("serve").envs(named).stderr(log).kill_on_drop(true).spawn();
    service.context("cannot start the service")
}

async fn wait_until_ready(url: &str) -> anyhow::Result<()> {
    let began = anteroom::clock::now();
    while began.elapsed() < STARTING {
        if reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("{url} is not ready after {STARTING:?}")
}

/// An address that was free a moment ago.
async fn free_port() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}
