//! `anteroom room`: all that operators can do over the admin interface, from a shell.
//!
//! Every change is made from the version that was read just before, or from the one given with `--if-version`, and is
//! written down with its reason. `--dry-run` asks what a change would mean and changes nothing.

mod client;
mod draw;
mod report;
mod settings;
mod show;
mod watch;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use self::client::Client;
use super::secrets::ADMIN_TOKEN;
use crate::config::Config;

/// Flags of `anteroom room`.
#[derive(Debug, Args)]
pub struct RoomArgs {
    /// The operators' listener, as http://host:port; otherwise the `admin_listen` of the settings.
    #[arg(long, global = true, value_name = "URL")]
    admin_url: Option<String>,
    /// Where `anteroom dev` keeps its data: the operators' token is read from there where the settings have none.
    #[arg(long, global = true, default_value = ".anteroom", value_name = "DIR")]
    data_dir: PathBuf,
    /// Why, for the audit.
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<String>,
    /// Say what the change would mean, above all for the last in line, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// Refuse where the room is no longer at this version.
    #[arg(long, global = true, value_name = "VERSION")]
    if_version: Option<i64>,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Every room, and how it stands.
    List,
    /// One room: its settings, and how it stands.
    Show { room: String },
    /// Changes settings of a room: capacity=500 opensAt=+10m message="Back soon" messages.ko=… closesAt=null
    Set {
        room: String,
        #[arg(required = true, value_name = "SETTING=VALUE", value_parser = super::settings::pair)]
        settings: Vec<(String, String)>,
    },
    /// Makes a room, or sets it anew: what is not given becomes the default.
    Put {
        room: String,
        #[arg(value_name = "SETTING=VALUE", value_parser = super::settings::pair)]
        settings: Vec<(String, String)>,
    },
    /// Lets people join, and admits them.
    Open { room: String },
    /// Lets people join, and admits nobody.
    Pause { room: String },
    /// Admits again.
    Resume { room: String },
    /// Lets nobody join any more, and admits those in line.
    Drain { room: String },
    /// Lets nobody join, and admits nobody.
    Close { room: String },
    /// Admits the next in line by hand: without waiting for the rate, also while paused.
    Admit { room: String, count: u32 },
    /// Where an account stands.
    Place { room: String, user: String },
    /// Takes an account's place, visit and holds away.
    Remove { room: String, user: String },
    /// The list of a room's draw, into a file that `verify-draw` checks.
    Draw {
        room: String,
        /// Where to write it; otherwise it is printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Checks an exported list of a draw: without the service, without a network.
    VerifyDraw(draw::VerifyArgs),
    /// After a sale: whether the order was kept, how many came in, how long they waited.
    Report {
        room: String,
        /// From the hour of this time, such as 2026-12-01T11:00:00Z; otherwise the last day.
        #[arg(long)]
        from: Option<String>,
        /// To the hour of this time; otherwise until now.
        #[arg(long)]
        to: Option<String>,
    },
    /// What operators did, the latest first.
    Audit {
        room: Option<String>,
        /// Entries at most.
        #[arg(long, default_value_t = 20)]
        limit: u16,
    },
    /// Every invariant, looked at in the stores.
    Check,
    /// Every concert.
    Concerts,
    /// Makes a concert, or with --id changes one.
    Concert {
        title: String,
        #[arg(long)]
        id: Option<i64>,
    },
    /// Every schedule.
    Schedules,
    /// Makes a schedule from a JSON file (`-` reads standard input), or changes the one whose scheduleId it names.
    Schedule { file: PathBuf },
    /// A live view of every room, or of one; Ctrl-C ends it.
    Watch {
        room: Option<String>,
        /// Look once.
        #[arg(long)]
        once: bool,
    },
}

/// Does what the flags say.
pub async fn room(args: RoomArgs, file: Option<&str>) -> anyhow::Result<()> {
    if let Deed::VerifyDraw(verify) = &args.deed {
        return draw::verify(verify);
    }
    let client = connect(&args, file)?;
    let order = Order { client: &client, args: &args };
    match &args.deed {
        Deed::List => show::rooms(&order.get("/admin/rooms").await?, args.json),
        Deed::Show { room } => show::room(&order.get(&at(room)).await?, args.json),
        Deed::Set { room, settings } => order.set(room, settings).await,
        Deed::Put { room, settings } => order.put(room, settings).await,
        Deed::Open { room } => order.say(room, "open").await,
        Deed::Pause { room } => order.say(room, "pause").await,
        Deed::Resume { room } => order.say(room, "resume").await,
        Deed::Drain { room } => order.say(room, "drain").await,
        Deed::Close { room } => order.say(room, "close").await,
        Deed::Admit { room, count } => order.admit(room, *count).await,
        Deed::Place { room, user } => show::object(&order.get(&place(room, user)).await?),
        Deed::Remove { room, user } => order.remove(room, user).await,
        Deed::Draw { room, out } => draw::export(&client, room, out.as_deref()).await,
        Deed::VerifyDraw(verify) => draw::verify(verify),
        Deed::Report { room, from, to } => {
            let times = [("from", from), ("to", to)];
            let path = report::path(room, times.map(|(name, time)| (name, time.as_deref())));
            report::show(&order.get(&path).await?, args.json)
        }
        Deed::Audit { room, limit } => order.audit(room.as_deref(), *limit).await,
        Deed::Check => show::checks(&order.get("/admin/invariants").await?, args.json),
        Deed::Concerts => show::list(&order.get("/admin/concerts").await?, "concerts", args.json),
        Deed::Concert { title, id } => order.concert(title, *id).await,
        Deed::Schedules => show::list(&order.get("/admin/schedules").await?, "schedules", args.json),
        Deed::Schedule { file } => order.schedule(file).await,
        Deed::Watch { room, once } => watch::watch(&client, room.as_deref(), *once).await,
    }
}

fn at(room: &str) -> String {
    format!("/admin/rooms/{}", client::escaped(room))
}

fn place(room: &str, user: &str) -> String {
    format!("{}/places/{}", at(room), client::escaped(user))
}

/// Where the operators' listener is, and what to present there.
fn connect(args: &RoomArgs, file: Option<&str>) -> anyhow::Result<Client> {
    let config = Config::load(file, &[])?;
    let url = args.admin_url.clone().unwrap_or_else(|| format!("http://{}", config.admin_listen));
    let mut token = config.admin_token;
    if token.expose_secret().is_empty() {
        let kept = args.data_dir.join(ADMIN_TOKEN);
        let read = std::fs::read_to_string(&kept);
        token = SecretString::from(read.with_context(|| {
            format!("there is no admin_token (ANTEROOM_ADMIN_TOKEN), nor one of `anteroom dev` in {}", kept.display())
        })?);
    }
    Client::new(&url, &token)
}

/// One thing to do, and how.
struct Order<'a> {
    client: &'a Client,
    args: &'a RoomArgs,
}

impl Order<'_> {
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.client.ask("GET", path, None, None).await?.body)
    }

    /// The room as it is now, and the version that a change starts from.
    async fn current(&self, room: &str) -> anyhow::Result<(Value, i64)> {
        let current = self.get(&at(room)).await?;
        let version = self.args.if_version.or(current["version"].as_i64()).context("the room has no version")?;
        Ok((current, version))
    }

    async fn set(&self, room: &str, settings: &[(String, String)]) -> anyhow::Result<()> {
        let (current, version) = self.current(room).await?;
        let change = settings::change(settings, &current, self.args.reason.as_deref())?;
        self.change("PATCH", &at(room), Some(version), change).await
    }

    async fn put(&self, room: &str, settings: &[(String, String)]) -> anyhow::Result<()> {
        let change = settings::change(settings, &Value::Null, self.args.reason.as_deref())?;
        self.change("PUT", &at(room), self.args.if_version, change).await
    }

    async fn say(&self, room: &str, word: &str) -> anyhow::Result<()> {
        let (_, version) = self.current(room).await?;
        let why = json!({ "reason": self.args.reason });
        self.change("POST", &format!("{}/{word}", at(room)), Some(version), why).await
    }

    async fn change(&self, method: &str, path: &str, version: Option<i64>, change: Value) -> anyhow::Result<()> {
        let path = if self.args.dry_run { format!("{path}?dryRun=true") } else { path.to_owned() };
        let answer = self.client.ask(method, &path, version, Some(&change)).await?.body;
        match (self.args.json, self.args.dry_run) {
            (true, _) => show::json(&answer),
            (false, true) => show::foresight(&answer),
            (false, false) => show::room(&answer, false),
        }
    }

    async fn admit(&self, room: &str, count: u32) -> anyhow::Result<()> {
        self.only_for_real()?;
        let body = json!({ "count": count, "reason": self.args.reason });
        show::object(&self.client.ask("POST", &format!("{}/admit", at(room)), None, Some(&body)).await?.body)
    }

    async fn remove(&self, room: &str, user: &str) -> anyhow::Result<()> {
        self.only_for_real()?;
        let reason = self.args.reason.as_ref().map(|reason| format!("?reason={}", client::escaped(reason)));
        self.client.ask("DELETE", &format!("{}{}", place(room, user), reason.unwrap_or_default()), None, None).await?;
        show::line(&format!("{user} has no place in {room} any more"))
    }

    async fn audit(&self, room: Option<&str>, limit: u16) -> anyhow::Result<()> {
        let room = room.map(|room| format!("&room={}", client::escaped(room))).unwrap_or_default();
        show::audit(&self.get(&format!("/admin/audit?limit={limit}{room}")).await?, self.args.json)
    }

    async fn concert(&self, title: &str, id: Option<i64>) -> anyhow::Result<()> {
        self.only_for_real()?;
        let body = json!({ "title": title, "concertId": id.map(|id| id.to_string()), "reason": self.args.reason });
        let body = if id.is_some() { body } else { json!({ "title": title, "reason": self.args.reason }) };
        let method = if id.is_some() { "PUT" } else { "POST" };
        show::object(&self.client.ask(method, "/admin/concerts", None, Some(&body)).await?.body)
    }

    async fn schedule(&self, file: &std::path::Path) -> anyhow::Result<()> {
        self.only_for_real()?;
        let text = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(file)
        };
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let mut body: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        anyhow::ensure!(body.is_object(), "{} is not a JSON object", file.display());
        if let Some(reason) = &self.args.reason {
            body["reason"] = json!(reason);
        }
        let method = if body["scheduleId"].is_null() { "POST" } else { "PUT" };
        show::object(&self.client.ask(method, "/admin/schedules", None, Some(&body)).await?.body)
    }

    /// A dry run that would be no dry run is refused.
    fn only_for_real(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.args.dry_run, "--dry-run is for changes of a room's settings and state");
        Ok(())
    }
}
