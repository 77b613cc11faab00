//! The invariants, looked at in the stores themselves. Rows of the outbox not yet settled, and holds not yet swept, are
//! no violation: they are on their way.

use std::collections::HashMap;

use super::Booking;
use crate::error::Fault;
use crate::ledger::{self, Check, Sold};
use crate::queue;
use crate::seats::{self, Schedule};

/// How far apart Redis' and the program's clocks may be, and how late a sweep may come, ms.
const TOLERANCE_MS: i64 = 2_000;

/// Looks at every invariant that can be seen from the stores.
pub async fn check(booking: &Booking) -> Result<Vec<Check>, Fault> {
    let mut checks = ledger::check(&booking.ledger).await?;
    let (mut count_errors, mut sold_errors, mut late_errors) = (Vec::new(), Vec::new(), Vec::new());
    for schedule in booking.seats.all() {
        let seen = seats::availability(&booking.seats, &schedule).await?;
        // In this order no payment that is on its way is taken for a lost one, nor for an invented one.
        let before = seats::census(&booking.seats, &schedule).await?;
        let sold = ledger::sold_seats(&booking.ledger, schedule.id).await?;
        let unsettled = ledger::outbox_pending(&booking.ledger).await?.0;
        let told = seats::census(&booking.seats, &schedule).await?;
        let total: usize = seen.counts.iter().sum();
        if total != schedule.plan.seats.len() {
            count_errors.push(format!("{}: {total} of {} seats", schedule.id, schedule.plan.seats.len()));
        }
        sold_errors.extend(differences(&schedule, &sold, (&before.sold, &told.sold), unsettled));
        late_errors.extend(
            told.held
                .iter()
                .filter(|(_, ends_ms)| *ends_ms + TOLERANCE_MS < told.now_ms)
                .map(|(seat, _)| format!("{} {seat}", schedule.id)),
        );
    }
    checks.push(verdict("I8-every-seat-counted-once", &count_errors));
    checks.push(verdict("I3-redis-sold-is-paid", &sold_errors));
    checks.push(verdict("I8-no-hold-past-its-end", &late_errors));
    checks.push(verdict("Q4-nobody-over-capacity", &over_capacity(booking).await?));
    checks.push(verdict("Q6-everyone-counted-once", &uncounted(booking).await?));
    for check in checks.iter().filter(|check| !check.ok) {
        metrics::counter!("anteroom_invariant_violations_total", "name" => check.name.clone()).increment(1);
    }
    Ok(checks)
}

/// What Redis says is sold and Postgres does not, and the reverse beyond what is still to be told.
fn differences(
    schedule: &Schedule,
    sold: &[Sold],
    redis: (&HashMap<String, String>, &HashMap<String, String>),
    unsettled: i64,
) -> Vec<String> {
    let real: HashMap<&str, &str> = sold.iter().map(|one| (one.seat.as_str(), one.reservation.as_str())).collect();
    let (before, told) = redis;
    let invented = before.iter().filter(|(seat, by)| real.get(seat.as_str()) != Some(&by.as_str()));
    let mut errors: Vec<_> =
        invented.map(|(seat, by)| format!("{} {seat}: Redis says sold as {by}", schedule.id)).collect();
    let untold = real.keys().filter(|seat| !told.contains_key(**seat));
    let untold: Vec<_> = untold.map(|seat| format!("{} {seat}: Redis does not know it is sold", schedule.id)).collect();
    if unsettled == 0 {
        errors.extend(untold);
    }
    errors
}

async fn over_capacity(booking: &Booking) -> Result<Vec<String>, Fault> {
    let mut errors = Vec::new();
    for room in booking.queue.rooms() {
        // Lowering the capacity ends no visit: that there are more inside is no violation, admitting them would be.
        let told = queue::census(&booking.queue, &room).await?;
        if told.over_admitted > 0 {
            errors.push(format!("{}: {} inside, room for {}", room.name, told.active, told.capacity));
        }
    }
    Ok(errors)
}

async fn uncounted(booking: &Booking) -> Result<Vec<String>, Fault> {
    let mut errors = Vec::new();
    for room in booking.queue.rooms() {
        let told = queue::census(&booking.queue, &room).await?;
        let there = told.waiting + told.aside + told.pending + told.visits + told.ended;
        if told.joined != there {
            errors.push(format!("{}: {} joined, {there} there or ended", room.name, told.joined));
        }
    }
    Ok(errors)
}

fn verdict(name: &str, errors: &[String]) -> Check {
    /// Examples shown at most.
    const SHOWN: usize = 5;
    let detail = match errors {
        [] => "holds".to_owned(),
        some => format!("{} broken: {}", some.len(), some[..some.len().min(SHOWN)].join("; ")),
    };
    Check { name: name.to_owned(), ok: errors.is_empty(), detail }
}
