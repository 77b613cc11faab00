//! `anteroom dev`: the whole service with private stores and demo data, in one command.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::seed::{self, Demo};
use super::serve::{Service, told_to_stop};
use super::stores::{self, Stores};
use super::{secrets, settings};
use crate::accounts::Password;
use crate::config::Config;

/// All demo accounts have this password. It is no secret.
const DEMO_PASSWORD: &str = "anteroom-demo";

/// Demo schedules and the seats of each, beside those that the documentation names.
const DEMO_SCHEDULES: u16 = 0;
const DEMO_SEATS: u16 = 100;

/// Flags of `anteroom dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// The port for visitors; 0 for any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port for operators; 0 for any that is free.
    #[arg(long, default_value_t = 9080)]
    admin_port: u16,
    /// Where Redis and Postgres keep their data. Started again on the same folder, it goes on with what was there.
    #[arg(long, default_value = ".anteroom")]
    data_dir: PathBuf,
    /// Begin with nothing: what an earlier run left in the folder is removed.
    #[arg(long)]
    fresh: bool,
    /// How many demo accounts there are.
    #[arg(long, default_value_t = 2_000)]
    users: u32,
    /// Any setting of `serve`, as KEY=VALUE. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = settings::pair)]
    set: Vec<(String, String)>,
    /// Gets one JSON object with addresses and process ids once the service answers.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

/// Runs the service with its stores until it is told to stop, or until a store dies.
pub async fn dev(args: DevArgs, file: Option<&str>) -> anyhow::Result<()> {
    let password = Password::parse(DEMO_PASSWORD).context("the demo password")?;
    if args.fresh {
        stores::wipe(&args.data_dir).await?;
    }
    forget_earlier(args.ready_file.as_deref())?;
    println!("Starting a Redis and a Postgres of our own in {} …", args.data_dir.display());
    let mut stores = Stores::start(&args.data_dir).await?;
    let secrets = secrets::load(&args.data_dir)?;
    let config = configure(&args, file, (&stores, &secrets))?;
    super::serve::start_logging(&config)?;
    seed_demo(&config, Demo { users: args.users, password, schedules: DEMO_SCHEDULES, seats: DEMO_SEATS }).await?;
    let service = Service::start(config).await?;
    announce(&args, &service, &stores, &secrets.admin_token)?;

    let ended = tokio::select! {
        told = told_to_stop() => told,
        why = stores.broken() => Err(anyhow::anyhow!(why)),
    };
    println!("Stopping …");
    service.stop().await;
    stores.stop().await?;
    ended
}

/// What an earlier run wrote for programs is not of this one.
fn forget_earlier(ready_file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = ready_file else { return Ok(()) };
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

fn configure(args: &DevArgs, file: Option<&str>, of: (&Stores, &secrets::Secrets)) -> anyhow::Result<Config> {
    let (stores, secrets) = of;
    let mut overrides = vec![
        ("listen".to_owned(), format!("127.0.0.1:{}", args.port)),
        ("admin_listen".to_owned(), format!("127.0.0.1:{}", args.admin_port)),
        ("redis_url".to_owned(), stores.redis_url().to_owned()),
        ("database_url".to_owned(), stores.database_url().to_owned()),
        ("admin_token".to_owned(), secrets.admin_token.expose_secret().to_owned()),
        ("token_key_file".to_owned(), secrets.token_key_file.display().to_string()),
    ];
    overrides.extend(args.set.iter().cloned());
    Ok(Config::load(file, &overrides)?)
}

async fn seed_demo(config: &Config, demo: Demo) -> anyhow::Result<()> {
    let db = super::database(config)?;
    db.migrate().await.context("cannot bring the tables up to date")?;
    seed::seed(&db, &demo).await.context("cannot make the demo data")?;
    db.close().await;
    Ok(())
}

/// Says where to go, to people and to programs.
fn announce(args: &DevArgs, service: &Service, stores: &Stores, admin_token: &SecretString) -> anyhow::Result<()> {
    let (url, admin_url) = (format!("http://{}", service.address), format!("http://{}", service.admin_address));
    if let Some(file) = &args.ready_file {
        let ready = json!({
            "url": url,
            "adminUrl": admin_url,
            "adminToken": admin_token.expose_secret(),
            "redisUrl": stores.redis_url(),
            "databaseUrl": stores.database_url(),
            "serverPid": std::process::id(),
            "redisPid": stores.redis_pid(),
            "postgresPid": stores.postgres_pid(),
            "users": { "prefix": seed::USER_PREFIX, "count": args.users, "password": DEMO_PASSWORD },
        });
        secrets::write_private(file, &ready.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!(
        "\nAnteroom serves.\n\n  visitors   {url}        the contract: {url}/docs\n  operators  {admin_url}        \
         token: {}\n  accounts   user00001 … (password {DEMO_PASSWORD}), testuser (testpass)\n  redis      redis-cli -u \
         {}\n  postgres   psql {}\n\nTry: curl -s {url}/auth/token -H 'content-type: application/json' -d \
         '{{\"username\":\"testuser\",\"password\":\"testpass\"}}'\nCtrl-C stops everything; the data stays in {}.",
        admin_token.expose_secret(),
        stores.redis_url(),
        stores.database_url(),
        args.data_dir.display(),
    );
    Ok(())
}
