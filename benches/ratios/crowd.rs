//! The length of the line: a poll among 1,000,000 waiters against one among 1,000.

use anyhow::ensure;
use deadpool_redis::redis;

use super::cpu::Cpu;
use super::house::House;
use super::line::{VERIFYING_SECONDS, WAITERS, Waiters};
use super::load::{Load, write_lines};
use super::rounds::{Plan, Rates};
use super::table::{Goal, Row};

/// Waiters in all.
const CROWD: usize = 1_000_000;

/// Rooms with a thousand waiters each: the waiters of one would all be early, and answered from memory.
const ROOMS: usize = 100;
const EACH: usize = 1_000;

/// Members added by one command.
const STEP: usize = 1_000;

pub(crate) async fn measure(house: &House, plan: &Plan, waiters: &Waiters) -> anyhow::Result<Row> {
    let dir = &house.dir;
    let small = write_lines(dir, "small.tokens", &gather_small(house).await?)?;
    fill(house).await?;
    let (small, crowd) = (Load::polls(&house.url, &small), Load::polls(&house.url, &waiters.tokens));
    for load in [&small, &crowd] {
        load.run(dir, VERIFYING_SECONDS).await?;
    }
    let ([mut few, mut many, mut reached], mut cpu) = (<[Rates; 3]>::default(), Cpu::default());
    for _ in 0..plan.rounds {
        let before = house.lookups().await?;
        let seconds = f64::from(u32::try_from(plan.seconds)?);
        let of_few = small.run(dir, plan.seconds).await?;
        let used = house.used();
        let rates = (of_few, crowd.run(dir, plan.seconds).await?);
        cpu.note(used, house.used(), rates.1 * seconds);
        reached.note((house.lookups().await? - before) / ((rates.0 + rates.1) * seconds));
        few.note(rates.0);
        many.note(rates.1);
    }
    ensure!(reached.lowest() > 0.95, "only {:.2} of the polls reached Redis", reached.lowest());
    Ok(Row {
        name: "poll: 1,000,000 ÷ 1,000 waiters",
        unit: "requests/s",
        rates: many,
        baseline: Some(few),
        goal: Some(Goal::Ratio(0.85)),
        cpu,
        how: format!(
            "{WAITERS} real waiters, spread evenly over a line of {CROWD}, against {ROOMS} rooms with {EACH} each."
        ),
    })
}

async fn gather_small(house: &House) -> anyhow::Result<Vec<String>> {
    let mut rooms = Vec::new();
    for room in 1..=ROOMS {
        let users = (0..EACH).map(|number| format!("small{room:03}{number:05}")).collect();
        rooms.push(house.join(&format!("small-{room}"), users).await?);
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
