//! The length of the line: a poll among 1,000,000 waiters against one among 1,000.

use anyhow::ensure;
use deadpool_redis::redis;

use super::cpu::Cpu;
use super::house::House;
use super::line::{WAITERS, Waiters};
use super::load::{Load, write_lines};
use super::raw;
use super::rounds::{Plan, Rates};
use super::table::{Goal, Row};

/// Waiters in all.
const CROWD: usize = 1_000_000;

/// Rooms with a thousand waiters each: the waiters of one would all be early, and answered from memory.
const ROOMS: usize = 100;
const EACH: usize = 1_000;

/// How long the script alone runs in each round.
const RAW_SECONDS: u64 = 1;

/// Members added by one command.
const STEP: usize = 1_000;

pub(crate) async fn measure(house: &House, plan: &Plan, waiters: &Waiters) -> anyhow::Result<Vec<Row>> {
    let dir = &house.dir;
    let small = Load::polls(&house.url, &write_lines(dir, "small.tokens", &gather_small(house).await?)?);
    let crowd = Load::polls(&house.url, &waiters.tokens);
    fill(house).await?;
    small.warm(dir, ROOMS * EACH).await?;
    crowd.warm(dir, WAITERS).await?;
    let few_users = users_of(1);
    let [mut few, mut many, mut reached, mut raw_few, mut raw_many] = <[Rates; 5]>::default();
    let mut cpu = Cpu::default();
    for _ in 0..plan.rounds {
        let (before, seconds) = (house.lookups().await?, f64::from(u32::try_from(plan.seconds)?));
        let of_few = small.run(dir, plan.seconds).await?;
        let used = house.used();
        let of_many = crowd.run(dir, plan.seconds).await?;
        cpu.note(used, house.used(), of_many * seconds);
        reached.note((house.lookups().await? - before) / ((of_few + of_many) * seconds));
        few.note(of_few);
        many.note(of_many);
        raw_few.note(raw::places(house, "small-1", &few_users, RAW_SECONDS).await?);
        raw_many.note(raw::places(house, "crowd", &waiters.users, RAW_SECONDS).await?);
    }
    let lowest = reached.lowest();
    ensure!(lowest > 0.95, "only {lowest:.2} of the polls reached Redis");
    Ok(vec![
        Row {
            name: "poll: 1,000,000 ÷ 1,000 waiters",
            unit: "requests/s",
            rates: many,
            baseline: Some(few),
            goal: Some(Goal::Ratio(0.85)),
            cpu,
            how: format!(
                "{WAITERS} real waiters, spread evenly over a line of {CROWD}, against {ROOMS} rooms with {EACH} each. \
                 Only polls of one room share calls, so those of the small rooms share less: the next row compares the \
                 script alone."
            ),
        },
        Row {
            name: "place: 1,000,000 ÷ 1,000 waiters",
            unit: "calls/s",
            rates: raw_many,
            baseline: Some(raw_few),
            goal: None,
            cpu: Cpu::default(),
            how: "the script place for one waiter a call, on two shared connections, without HTTP: the long line against \
                  one room of 1,000."
                .into(),
        },
    ])
}

/// The waiters of a small room.
fn users_of(room: usize) -> Vec<String> {
    (0..EACH).map(|number| format!("small{room:03}{number:05}")).collect()
}

async fn gather_small(house: &House) -> anyhow::Result<Vec<String>> {
    let mut rooms = Vec::new();
    for room in 1..=ROOMS {
        rooms.push(house.join(&format!("small-{room}"), users_of(room)).await?);
    }
    // One after the other from each room, so that no two polls of a visitor are near each other.
    Ok((0..EACH).flat_map(|at| rooms.iter().map(move |tokens| tokens[at].clone())).collect())
}

/// Fills the line up with waiters between the real ones. Fractions of a number do no harm: only their order is used.
async fn fill(house: &House) -> anyhow::Result<()> {
    let mut redis = house.redis().await?;
    let (waiting, present) = ("anteroom:{crowd}:waiting", "anteroom:{crowd}:present");
    let first: Vec<(String, f64)> =
        redis::cmd("ZRANGE").arg(waiting).arg(0).arg(0).arg("WITHSCORES").query_async(&mut redis).await?;
    let first = first.first().map_or(0.0, |(_, number)| *number);
    let until = anteroom::clock::unix_ms() + 3_600_000;
    for start in (0..CROWD - WAITERS).step_by(STEP) {
        let mut pipe = redis::pipe();
        let (mut stand, mut seen) = (redis::cmd("ZADD"), redis::cmd("ZADD"));
        stand.arg(waiting);
        seen.arg(present);
        for number in start..start + STEP {
            let name = format!("filler{number:07}");
            let place = f64::from(u32::try_from(number)?) / f64::from(u32::try_from((CROWD - WAITERS) / WAITERS)?);
            stand.arg(first + place + 0.05).arg(&name);
            seen.arg(until).arg(&name);
        }
        pipe.add_command(stand).ignore().add_command(seen).ignore().exec_async(&mut redis).await?;
    }
    Ok(())
}
