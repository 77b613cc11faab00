//! Payments against the simplest transaction that Postgres' own benchmark has, on the same Postgres.

use std::path::{Path, PathBuf};

use anteroom::booking::{self, Reserved, Standing};
use anteroom::config::Config;
use anteroom::ids::{RoomName, ScheduleId, UserId};
use anteroom::seats::Wanted;
use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio::process::Command;

use super::booking::VISITORS;
use super::cpu::Cpu;
use super::house::{AT_ONCE, House, account};
use super::load::{Load, body, write_lines};
use super::rounds::{Plan, Rates, enough};
use super::table::{Goal, Row};

/// Reservations that a round may pay: more than it can, and a multiple of the visitors, who pay in turn.
const A_ROUND: usize = 20_000;

/// Schedules whose seats are paid.
const SCHEDULES: [i64; 4] = [30_011, 30_012, 30_013, 30_014];

pub(crate) async fn measure(house: &House, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let users: Vec<String> = (VISITORS + 1..=2 * VISITORS).map(account).collect();
    let tokens = house.join("main", users.clone()).await?;
    let tokens = write_lines(&house.dir, "payers.tokens", &tokens)?;
    let orders = reserve(house, &users, plan.rounds * A_ROUND).await?;
    let orders = write_lines(&house.dir, "orders.bodies", &orders)?;
    let pgbench = Pgbench::prepare(house.database_url()).await?;
    let mut pay = Load::posts(format!("{}/reservations/pay", house.url), Some(&tokens), &orders);
    let [mut paid, mut bare] = <[Rates; 2]>::default();
    for round in 0..plan.rounds {
        bare.note(pgbench.run(plan.seconds).await?);
        pay.first = round * A_ROUND;
        let rate = pay.run(&house.dir, plan.seconds).await?;
        ensure!(enough(rate, plan, A_ROUND), "a round needs more reservations than there are: {rate:.0}/s");
        paid.note(rate);
    }
    Ok(vec![Row {
        name: "payments ÷ pgbench -N",
        unit: "payments/s",
        rates: paid,
        baseline: Some(bare),
        goal: Some(Goal::Ratio(1.0)),
        cpu: Cpu::default(),
        how: format!(
            "POST /reservations/pay over HTTP, 64 connections, 2,000 payers in turn; pgbench with {} clients, as many as \
             the service has connections, on the same Postgres, with fsync.",
            Config::default().database_connections
        ),
    }])
}

/// Holds a seat for each order, in this process. Gives the requests that pay them.
async fn reserve(house: &House, users: &[String], count: usize) -> anyhow::Result<Vec<String>> {
    let schedules = SCHEDULES.map(ScheduleId);
    let plans: Vec<_> = schedules.iter().filter_map(|id| house.app.seats.schedule(*id)).collect();
    let seats =
        plans.iter().flat_map(|schedule| schedule.plan.seats.iter().map(|seat| (schedule.id, seat.label.clone())));
    let room = RoomName::parse("main")?;
    let users = users.iter().map(|user| UserId::parse(user)).collect::<Result<Vec<_>, _>>()?;
    let holding = stream::iter(seats.take(count).enumerate()).map(|(at, (schedule, seat))| {
        let standing = Standing { user: &users[at % users.len()], room: &room };
        async move {
            let wanted = Wanted::Named(vec![seat]);
            let reserved = booking::reserve(&house.app.booking, standing, schedule, &wanted, None).await?;
            let Reserved::Held(held) = reserved else { bail!("a fresh seat is paid already") };
            Ok(body(&json!({ "reservationId": held.id.as_str(), "amount": held.amount.0 })))
        }
    });
    let orders: Vec<String> = holding.buffered(AT_ONCE).try_collect().await?;
    ensure!(orders.len() == count, "there are seats for {} of {count} payments: fewer rounds, please", orders.len());
    Ok(orders)
}

/// Postgres' own benchmark, in a database of its own.
struct Pgbench {
    program: PathBuf,
    url: String,
}

impl Pgbench {
    async fn prepare(database_url: &str) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(database_url).await?;
        let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&mut connection).await?;
        let commit: String = sqlx::query_scalar("show synchronous_commit").fetch_one(&mut connection).await?;
        ensure!(fsync == "on" && commit == "on", "Postgres does not wait for the disk");
        connection.execute("create database bench").await?;
        connection.close().await?;
        let (server, _) = database_url.rsplit_once('/').context("the database has no name")?;
        let pgbench = Self { program: find()?, url: format!("{server}/bench") };
        pgbench.call(&["-i", "-q", "-s", "10"]).await?;
        Ok(pgbench)
    }

    /// Transactions per second.
    async fn run(&self, seconds: u64) -> anyhow::Result<f64> {
        let clients = Config::default().database_connections.to_string();
        let said = self.call(&["-n", "-N", "-c", &clients, "-j", "2", "-T", &seconds.to_string()]).await?;
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
        rate.and_then(|rate| rate.parse().ok()).with_context(|| format!("pgbench said {said}"))
    }

    async fn call(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let out = Command::new(&self.program).args(arguments).arg(&self.url).kill_on_drop(true).output().await?;
        ensure!(out.status.success(), "pgbench: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

/// In PATH, or where Debian keeps it.
fn find() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let found = std::env::split_paths(&path)
        .chain(debian)
        .map(|dir| dir.join("pgbench"))
        .find(|file: &PathBuf| Path::is_file(file));
    found.context("there is no pgbench: it comes with PostgreSQL")
}
