//! The line: polls, early polls, joining again, and bookings that are refused because one is still waiting.

use std::path::PathBuf;

use anyhow::ensure;
use deadpool_redis::redis;
use serde_json::json;

use super::cpu::Cpu;
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
            cpu: Cpu::default(),
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

/// Something to ask the line, in turn with the bare route.
struct Candidate {
    name: &'static str,
    goal: f64,
    how: &'static str,
    load: Load,
    rates: Rates,
    bare: Rates,
    cpu: Cpu,
}

/// Every question to the line, a round each in turn.
pub(crate) async fn measure(house: &House, plan: &Plan, waiters: &Waiters) -> anyhow::Result<Vec<Row>> {
    let bare = Load::polls(&house.bare_url, &waiters.tokens);
    let mut poll = Candidate::new(
        "poll ÷ bare route",
        0.35,
        "100,000 waiters asked in turn, so that every poll reaches the script place; the bare route is sent the same requests.",
        Load::polls(&house.url, &waiters.tokens),
    );
    let mut others = others(house, waiters).await?;
    // The first poll of each token verifies its signature, which is remembered then.
    poll.load.warm(&house.dir, WAITERS).await?;
    let [mut raw, mut reached] = <[Rates; 2]>::default();
    for _ in 0..plan.rounds {
        let before = house.lookups().await?;
        let asked = poll.round(house, &bare, plan).await?;
        reached.note((house.lookups().await? - before) / asked);
        raw.note(raw::places(house, "crowd", &waiters.users, plan.seconds).await?);
        for candidate in &mut others {
            candidate.round(house, &bare, plan).await?;
        }
    }
    ensure!(reached.lowest() > 0.95, "only {:.2} of the polls reached Redis", reached.lowest());
    let of_raw = Row {
        name: "poll ÷ raw Redis",
        unit: "requests/s",
        rates: poll.rates.clone(),
        baseline: Some(raw),
        goal: None,
        cpu: Cpu::default(),
        how:
            "the baseline is the script place for one waiter a call, by 64 callers on two shared connections, without \
              HTTP."
                .into(),
    };
    Ok(std::iter::once(poll).chain(others).map(Candidate::row).chain([of_raw]).collect())
}

impl Candidate {
    fn new(name: &'static str, goal: f64, how: &'static str, load: Load) -> Self {
        Self { name, goal, how, load, rates: Rates::default(), bare: Rates::default(), cpu: Cpu::default() }
    }

    /// Loads the bare route, and then this. Tells how many requests this answered.
    async fn round(&mut self, house: &House, bare: &Load, plan: &Plan) -> anyhow::Result<f64> {
        self.bare.note(bare.run(&house.dir, plan.seconds).await?);
        let before = house.used();
        let rate = self.load.run(&house.dir, plan.seconds).await?;
        let requests = rate * f64::from(u32::try_from(plan.seconds)?);
        self.cpu.note(before, house.used(), requests);
        self.rates.note(rate);
        Ok(requests)
    }

    fn row(self) -> Row {
        Row {
            name: self.name,
            unit: "requests/s",
            rates: self.rates,
            baseline: Some(self.bare),
            goal: Some(Goal::Ratio(self.goal)),
            cpu: self.cpu,
            how: self.how.into(),
        }
    }
}

/// What is asked beside polls.
async fn others(house: &House, waiters: &Waiters) -> anyhow::Result<[Candidate; 3]> {
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
    Ok([
        Candidate::new(
            "early poll ÷ bare route",
            0.80,
            "one token asked again and again: answered from memory, but for one in 0.5 s.",
            Load::polls(&house.url, &one),
        ),
        Candidate::new(
            "refused booking ÷ bare route",
            0.50,
            "POST /reservations by 1,000 waiters in turn: 403 with their place, from memory within the poll interval.",
            Load::posts(format!("{}/reservations", house.url), Some(&some), &seat).refused(),
        ),
        Candidate::new(
            "warm join ÷ bare route",
            0.18,
            "POST /auth/token by 200 accounts whose password is remembered: the script join, and a new signed token.",
            Load::posts(format!("{}/auth/token", house.url), None, &logins),
        ),
    ])
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
