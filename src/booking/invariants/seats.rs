//! The invariants of seats: what Redis says of them, against the plan and against Postgres.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::Booking;
use super::verdict;
use crate::clock;
use crate::error::Fault;
use crate::ids::SeatId;
use crate::ledger::{self, Check, Pace};
use crate::seats::{self, Schedule};

/// Each process sweeps every second. One that is busy, or was frozen with Redis, is late by this at most, ms.
const SWEPT_WITHIN_MS: i64 = 5_000;

/// A hold that lasts no longer may have left `held` already, ms.
const ENDING_MS: i64 = 1_000;

/// How long a hold lasts that has no end, as Redis tells it.
const FOR_EVER_MS: i64 = -1;

/// What is wrong with seats, by check.
#[derive(Default)]
struct Wrong {
    counted: Vec<String>,
    sold: Vec<String>,
    late: Vec<String>,
    holds: Vec<String>,
}

/// Looks at the seats of every schedule, one after another: nobody waits for this, and others use the same stores.
pub(super) async fn check(booking: &Booking, pace: Pace) -> Result<Vec<Check>, Fault> {
    let mut wrong = Wrong::default();
    // A seat that another process just added to a plan is no seat without a plan.
    seats::refresh_plans(&booking.seats).await?;
    for schedule in booking.seats.all() {
        let began = clock::now();
        count(booking, &schedule, &mut wrong).await?;
        compare(booking, &schedule, &mut wrong).await?;
        if let Some(rest) = pace.rest(began.elapsed()) {
            tokio::time::sleep(rest).await;
        }
    }
    Ok(vec![
        verdict("I8-every-seat-counted-once", &wrong.counted),
        verdict("I3-redis-sold-is-paid", &wrong.sold),
        verdict("I8-no-hold-past-its-end", &wrong.late),
        verdict("I8-every-hold-is-listed-and-ends", &wrong.holds),
    ])
}

/// Counts what Redis has, before anything is swept, and compares it with what visitors are shown. Where seats change
/// all the time the two are not of one moment, and are left to the next look.
async fn count(booking: &Booking, schedule: &Arc<Schedule>, wrong: &mut Wrong) -> Result<(), Fault> {
    let id = schedule.id;
    let mut told = seats::census(&booking.seats, schedule).await?;
    let late = told.held.iter().filter(|(_, ends_ms)| *ends_ms + SWEPT_WITHIN_MS < told.now_ms);
    wrong.late.extend(late.map(|(seat, _)| format!("{id} {seat}")));
    let mut shown = seats::availability_now(&booking.seats, schedule).await?;
    if shown.version != told.version {
        told = seats::census(&booking.seats, schedule).await?;
        shown = seats::availability_now(&booking.seats, schedule).await?;
    }
    let held: HashSet<&str> = told.held.iter().map(|(seat, _)| seat.as_str()).collect();
    let unknown = held.iter().filter(|seat| schedule.plan.position(seat).is_none());
    wrong.counted.extend(unknown.map(|seat| format!("{id} {seat}: held, and in no plan")));
    let (free, total) = (shown.counts[0], schedule.plan.seats.len());
    if shown.version == told.version && free + held.len() + told.sold != total {
        wrong.counted.push(format!("{id}: {free} free, {} held and {} sold of {total}", held.len(), told.sold));
    }
    let seats = schedule.plan.seats.iter().enumerate();
    let unsold = seats.filter(|(at, seat)| shown.state(*at) != "sold" || held.contains(seat.label.as_str()));
    let unsold: Vec<_> = unsold.map(|(_, seat)| seat.label.clone()).collect();
    look_at_holds(booking, schedule, &unsold, wrong).await
}

/// Looks at what really keeps others from a seat: its hold.
async fn look_at_holds(
    booking: &Booking,
    schedule: &Schedule,
    unsold: &[SeatId],
    wrong: &mut Wrong,
) -> Result<(), Fault> {
    for seen in seats::look_at_holds(&booking.seats, schedule, unsold).await? {
        let seat = format!("{} {}", schedule.id, seen.seat);
        if seen.sold && seen.listed {
            wrong.counted.push(format!("{seat}: held and sold"));
        }
        if seen.hold_ms == FOR_EVER_MS {
            wrong.holds.push(format!("{seat}: its hold has no end"));
        } else if seen.hold_ms > ENDING_MS && !seen.listed && !seen.sold {
            wrong.holds.push(format!("{seat}: held, and shown as free"));
        }
    }
    Ok(())
}

/// What Redis says is sold and Postgres does not, and the reverse beyond what is still to be told.
async fn compare(booking: &Booking, schedule: &Schedule, wrong: &mut Wrong) -> Result<(), Fault> {
    let id = schedule.id;
    // In this order no payment that is on its way is taken for an invented one, nor for a lost one.
    let told = seats::read_sold(&booking.seats, schedule).await?;
    let sold = ledger::sold_seats(&booking.ledger, id).await?;
    let real: HashMap<&str, &str> = sold.iter().map(|one| (one.seat.as_str(), one.reservation.as_str())).collect();
    let invented = told.iter().filter(|(seat, by)| real.get(seat.as_str()) != Some(&by.as_str()));
    wrong.sold.extend(invented.map(|(seat, by)| format!("{id} {seat}: Redis says sold as {by}")));
    let unknown = told.keys().filter(|seat| schedule.plan.position(seat).is_none());
    wrong.counted.extend(unknown.map(|seat| format!("{id} {seat}: sold, and in no plan")));
    let untold = |told: &HashMap<String, String>| {
        real.keys().filter(|seat| !told.contains_key(**seat)).copied().collect::<Vec<_>>()
    };
    if untold(&told).is_empty() || ledger::outbox_pending(&booking.ledger).await?.0 > 0 {
        return Ok(());
    }
    let told = seats::read_sold(&booking.seats, schedule).await?;
    wrong.sold.extend(untold(&told).iter().map(|seat| format!("{id} {seat}: Redis does not know it is sold")));
    Ok(())
}
