//! The line: polls, early polls, joining again, and bookings that are refused because one is still waiting.

use std::path::PathBuf;

use anyhow::ensure;
use deadpool_redis::redis;
use serde_json::json;

use super::house::{House, PASSWORD, account};
use super::load::{Load, body, write_lines};
use super::raw;
use super::rounds::{Plan, Rates};
use super::table::{Goal, Row};

/// Waiters in the long line. A poll is early for at most 2 s here (nobody is admitted), so with this many, asked in
/// turn, no poll is: 30,000 a second would come back to the first after 3 s.
pub(crate) const WAITERS: usize = 100_000;

/// Those who ask for a booking, and those who log in again.
const REFUSED: usize = 1_000;
const LOGINS: u32 = 200;

/// The line, and the tokens of all who are in it.
pub(crate) struct Waiters {
    pub(crate) users: Vec<String>,
    pub(crate) tokens: PathBuf,
    some: Vec<String>,
    bytes: f64,
}

impl Waiters {
    pub(crate) fn bytes_row(&self) -> Row {
        let mut rates = Rates::default();
        rates.note(self.bytes);
        Row {
            name: "Redis per waiter",
            unit: "bytes",
            rates,
            baseline: None,
            goal: Some(Goal::Value(320.0)),
            how: format!("used_memory before and after {WAITERS} joins with names of 13 characters."),
        }
    }
}

/// Takes the places, and weighs them.
pub(crate) async fn gather(house: &House) -> anyhow::Result<Waiters> {
    let users: Vec<String> = (0..WAITERS).map(|number| format!("waiter{number:07}")).collect();
    let before = used_memory(house).await?;
    let tokens = house.join("crowd", users.clone()).await?;
    let bytes = (used_memory(house).await? - before) / f64::from(u32::try_from(WAITERS)?);
    let some = tokens[..REFUSED].to_vec();
    Ok(Waiters { users, tokens: write_lines(&house.dir, "crowd.tokens", &tokens)?, some, bytes })
}

async fn used_memory(house: &House) -> anyhow::Result<f64> {
    let mut redis = house.redis().await?;
    let told: String = redis::cmd("INFO").arg("memory").query_async(&mut redis).await?;
    let used = told.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap_or_default();
    Ok(used.trim().parse()?)
}

struct Loads {
    bare: Load,
    poll: Load,
    early: Load,
    refused: Load,
    login: Load,
}

/// Every question to the line, a round each in turn.
pub(crate) async fn measure(house: &House, plan: &Plan, waiters: &Waiters) -> anyhow::Result<Vec<Row>> {
    let loads = prepare(house, waiters).await?;
    // The first poll of each token verifies its signature, which is remembered then.
    loads.poll.run(&house.dir, 12).await?;
    let [mut bare, mut poll, mut raw, mut early, mut refused, mut login] = <[Rates; 6]>::default();
    let mut reached = Rates::default();
    for _ in 0..plan.rounds {
        bare.note(loads.bare.run(&house.dir, plan.seconds).await?);
        let before = house.runs_of("queue/place").await?;
        let rate = loads.poll.run(&house.dir, plan.seconds).await?;
        let seconds = f64::from(u32::try_from(plan.seconds)?);
        reached.note((house.runs_of("queue/place").await? - before) / (rate * seconds));
        poll.note(rate);
        raw.note(raw::places(house, &waiters.users, plan.seconds).await?);
        early.note(loads.early.run(&house.dir, plan.seconds).await?);
        refused.note(loads.refused.run(&house.dir, plan.seconds).await?);
        login.note(loads.login.run(&house.dir, plan.seconds).await?);
    }
    ensure!(reached.lowest() > 0.95, "only {:.2} of the polls reached Redis", reached.lowest());
    let to = |name, rates: &Rates, goal, how: &str| Row {
        name,
        unit: "requests/s",
        rates: rates.clone(),
        baseline: Some(bare.clone()),
        goal: Some(Goal::Ratio(goal)),
        how: how.into(),
    };
    Ok(vec![
        to("poll ÷ bare route", &poll, 0.35, "100,000 waiters asked in turn, so that every poll runs the script place; the bare route is sent the same requests."),
        to("early poll ÷ bare route", &early, 0.80, "one token asked again and again: answered from memory, but for one in 0.5 s."),
        to("refused booking ÷ bare route", &refused, 0.50, "POST /reservations by 1,000 waiters in turn: 403 with their place, from memory within the poll interval."),
        to("warm join ÷ bare route", &login, 0.18, "POST /auth/token by 200 accounts whose password is remembered: the script join, and a new signed token."),
        Row { name: "poll ÷ raw Redis", unit: "requests/s", rates: poll, baseline: Some(raw), goal: None, how: "the baseline is the script place for the same waiters, by 64 callers on two shared connections, without HTTP.".into() },
    ])
}

async fn prepare(house: &House, waiters: &Waiters) -> anyhow::Result<Loads> {
    let dir = &house.dir;
    let one = write_lines(dir, "one.tokens", &waiters.some[..1])?;
    let some = write_lines(dir, "some.tokens", &waiters.some)?;
    let seat = write_lines(dir, "seat.bodies", &[body(&json!({ "scheduleId": "12345", "seatId": "A2" }))])?;
    let logins: Vec<_> = (1..=LOGINS)
        .map(|number| json!({ "username": account(number), "password": PASSWORD, "room": "crowd" }))
        .collect();
    log_in(house, &logins).await?;
    let logins: Vec<String> = logins.iter().map(body).collect();
    let logins = write_lines(dir, "logins.bodies", &logins)?;
    Ok(Loads {
        bare: Load::polls(&house.bare_url, &waiters.tokens),
        poll: Load::polls(&house.url, &waiters.tokens),
        early: Load::polls(&house.url, &one),
        refused: Load::posts(format!("{}/reservations", house.url), Some(&some), &seat).refused(),
        login: Load::posts(format!("{}/auth/token", house.url), None, &logins),
    })
}

/// Logs everyone in until the service remembers their passwords.
async fn log_in(house: &House, logins: &[serde_json::Value]) -> anyhow::Result<()> {
    let (http, url) = (reqwest::Client::new(), format!("{}/auth/token", house.url));
    for login in logins {
        for _ in 0..100 {
            let place: serde_json::Value = http.post(&url).json(login).send().await?.error_for_status()?.json().await?;
            if place["status"] != "verifying" {
                break;
            }
        }
    }
    Ok(())
}
