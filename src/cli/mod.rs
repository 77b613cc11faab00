//! The program's commands, and what only they need.

mod account;
mod descriptors;
pub mod dev;
pub mod doctor;
pub mod room;
pub mod secrets;
pub mod seed;
pub mod serve;
pub mod settings;
pub mod stores;
mod tokens;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use secrecy::ExposeSecret;

use crate::accounts::Password;
use crate::app;
use crate::config::Config;
use crate::store::Db;
use crate::store::db::Limits;

/// How long a start, or a command that no visitor waits for, waits for a connection to Postgres.
const STARTING: Duration = Duration::from_secs(15);

/// A virtual waiting room with a seat-holding, point-paying booking service behind it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// A TOML file with settings. The environment (ANTEROOM_…) and flags win over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole service with a private Redis and Postgres and demo data; everything stops with it.
    Dev(dev::DevArgs),
    /// The service, on the Redis and Postgres that the configuration names.
    Serve(ServeArgs),
    /// Brings the tables of Postgres up to this version.
    Migrate(SetArgs),
    /// Makes demo accounts, concerts and seats; with --tokens also tokens ready for k6.
    Seed(SeedArgs),
    /// Accounts for visitors, from a file.
    Account(account::AccountArgs),
    /// What operators do: rooms, the line, the draw, the programme, the audit.
    Room(room::RoomArgs),
    /// Is everything that serve needs there, and set as it should be?
    Doctor(SetArgs),
}

#[derive(Debug, Args)]
struct SetArgs {
    /// Any setting, as KEY=VALUE. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = settings::pair)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Print the settings in force, with secrets hidden, and stop.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    set: SetArgs,
}

#[derive(Debug, Args)]
struct SeedArgs {
    /// Demo accounts, from user00001 on.
    #[arg(long, default_value_t = 2_000)]
    users: u32,
    /// Their password.
    #[arg(long, default_value = "anteroom-demo")]
    password: String,
    /// Schedules beside the named ones.
    #[arg(long, default_value_t = 0)]
    schedules: u16,
    /// Seats of each of those.
    #[arg(long, default_value_t = 100)]
    seats: u16,
    /// Tokens to make, for the first so many accounts.
    #[arg(long, default_value_t = 0)]
    tokens: u32,
    /// Where to write the tokens, as a JSON list.
    #[arg(long, default_value = "tokens.json")]
    out: PathBuf,
    #[command(flatten)]
    set: SetArgs,
}

/// Runs a command to its end.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Dev(args) => dev::dev(args, file).await,
        Command::Serve(args) => {
            let config = Config::load(file, &args.set.set)?;
            if args.print_config {
                return settings::print(&config);
            }
            serve::start_logging(&config)?;
            serve::serve(config).await
        }
        Command::Migrate(args) => {
            let config = Config::load(file, &args.set)?;
            database(&config)?.migrate().await.context("cannot bring the tables up to date")
        }
        Command::Seed(args) => fill(file, args).await,
        Command::Account(args) => account::account(args, file).await,
        Command::Room(args) => room::room(args, file).await,
        Command::Doctor(args) => doctor::doctor(&Config::load(file, &args.set)?).await,
    }
}

async fn fill(file: Option<&str>, args: SeedArgs) -> anyhow::Result<()> {
    let config = Config::load(file, &args.set.set)?;
    let password = Password::parse(&args.password).map_err(|e| anyhow::anyhow!("--password {e}"))?;
    let demo = seed::Demo { users: args.users, password, schedules: args.schedules, seats: args.seats };
    let db = database(&config)?;
    db.migrate().await.context("cannot bring the tables up to date")?;
    let made = seed::seed(&db, &demo).await.context("cannot make the demo data")?;
    println!("{made} new accounts");
    if args.tokens > 0 {
        tokens::write(config, args.tokens.min(args.users), &args.out).await?;
    }
    Ok(())
}

fn database(config: &Config) -> anyhow::Result<Db> {
    let url = config.database_url.expose_secret();
    anyhow::ensure!(!url.is_empty(), "database_url is not set (ANTEROOM_DATABASE_URL)");
    Ok(Db::new(url, Limits { wait: STARTING, ..app::limits(config) })?)
}
