//! Holding seats: through HTTP against the bare route, and against bare Redis running the same script.

use anyhow::ensure;
use serde_json::json;

use anteroom::ids::ScheduleId;

use super::cpu::Cpu;
use super::house::{House, account};
use super::load::{Load, body, write_lines};
use super::raw;
use super::rounds::{Plan, Rates, enough};
use super::table::{Goal, Row};

/// Visitors inside at once: as many as the demo room lets in. They book in turn.
pub(crate) const VISITORS: u32 = 2_000;

/// The seats that a round may take: more than it can.
const SEATS_A_ROUND: usize = 50_000;

/// Schedules whose seats are held.
const SCHEDULES: std::ops::RangeInclusive<i64> = 30_001..=30_010;

pub(crate) async fn measure(house: &House, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let tokens = house.join("main", (1..=VISITORS).map(account).collect()).await?;
    let tokens = write_lines(&house.dir, "inside.tokens", &tokens)?;
    let seats = seats(house)?;
    let bodies = write_lines(&house.dir, "seats.bodies", &seats)?;
    let bare = Load::polls(&house.bare_url, &tokens);
    let mut load = Load::posts(format!("{}/reservations", house.url), Some(&tokens), &bodies);
    ensure!((plan.rounds + 1) * SEATS_A_ROUND <= seats.len(), "there are not seats enough for so many rounds");
    load.run(&house.dir, 1).await?;
    let [mut of_bare, mut of_raw, mut held] = <[Rates; 3]>::default();
    let (mut cpu, mut raw_first) = (Cpu::default(), 0);
    for _ in 0..plan.rounds {
        of_bare.note(bare.run(&house.dir, plan.seconds).await?);
        load.first += SEATS_A_ROUND;
        let before = house.used();
        let rate = load.run(&house.dir, plan.seconds).await?;
        cpu.note(before, house.used(), rate * f64::from(u32::try_from(plan.seconds)?));
        ensure!(enough(rate, plan, SEATS_A_ROUND), "a round needs more seats than there are: {rate:.0}/s");
        held.note(rate);
        of_raw.note(raw::holds(house, raw_first, 1).await?);
        raw_first += 1_000_000;
    }
    let row = |name, baseline, goal, how: &str| Row {
        name,
        unit: "requests/s",
        rates: held.clone(),
        baseline: Some(baseline),
        goal,
        cpu: cpu.clone(),
        how: how.into(),
    };
    Ok(vec![
        row(
            "hold ÷ bare route",
            of_bare,
            Some(Goal::Ratio(0.20)),
            "POST /reservations by 2,000 visitors in turn, a fresh seat each.",
        ),
        row(
            "hold ÷ raw Redis",
            of_raw,
            None,
            "the baseline is the script hold, a fresh seat each, by 64 callers on two shared connections, without HTTP.",
        ),
    ])
}

/// A request for each seat.
fn seats(house: &House) -> anyhow::Result<Vec<String>> {
    let known = SCHEDULES.filter_map(|id| house.app.seats.schedule(ScheduleId(id)));
    let seats: Vec<String> = known
        .flat_map(|schedule| {
            let id = schedule.id.0;
            let seats = schedule.plan.seats.iter();
            seats.map(|seat| body(&json!({ "scheduleId": id, "seatId": seat.label }))).collect::<Vec<_>>()
        })
        .collect();
    ensure!(!seats.is_empty(), "there are no seats");
    Ok(seats)
}
