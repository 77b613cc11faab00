//! Holding seats: all that are named, or none.

use std::sync::Arc;

use super::best::{all_together, best_together};
use super::plan::Schedule;
use super::recovery::believing;
use super::reservation::{Reservation, ReservationState};
use super::{REMEMBERED_MS, Seats, availability, reservation};
use crate::error::Fault;
use crate::ids::{Points, ReservationId, SeatId, UserId};
use crate::store::scripts::seats::{self as scripts, Claim, HoldAnswer, HoldLimits};

/// How often a choice of seats together is tried again when others were faster.
const TRIES: usize = 8;

/// How many free seats are named to who lost a race.
const ALTERNATIVES: usize = 3;

/// What is wanted of a schedule.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// These seats, all or none.
    Named(Vec<SeatId>),
    /// So many together.
    Best(usize),
}

/// Why seats are not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldRefusal {
    /// The plan has no such seat.
    #[error("there is no seat {0}")]
    UnknownSeat(SeatId),
    /// Some of the seats are not free.
    #[error("taken: {seats:?}")]
    Taken {
        /// Those that are not free.
        seats: Vec<SeatId>,
        /// Free seats nearby.
        alternatives: Vec<SeatId>,
    },
    /// All of them were sold, in one reservation.
    #[error("sold as {reservation}")]
    Sold {
        /// Whose reservation it is, the caller knows how to find out.
        reservation: ReservationId,
        /// The seats.
        seats: Vec<SeatId>,
        /// Free seats nearby.
        alternatives: Vec<SeatId>,
    },
    /// The account holds and owns as many as it may.
    #[error("has {has} of {limit} seats")]
    Limit {
        /// How many it holds and owns.
        has: u64,
        /// How many it may.
        limit: usize,
    },
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Who asks, for how long, and under which Idempotency-Key.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The account.
    pub user: &'a UserId,
    /// How long seats are held, ms.
    pub hold_ms: i64,
    /// The digest of the request's Idempotency-Key.
    pub key_digest: Option<&'a str>,
}

/// Holds seats. Who holds exactly these already gets that reservation again, never prolonged.
pub async fn hold(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    wanted: &Wanted,
    asking: Asking<'_>,
) -> Result<Reservation, HoldRefusal> {
    let held = match wanted {
        Wanted::Named(named) => hold_named(seats, schedule, named, asking).await,
        Wanted::Best(count) => hold_best(seats, schedule, *count, asking).await,
    };
    metrics::counter!("anteroom_seat_holds_total", "result" => word(&held)).increment(1);
    held
}

fn word(held: &Result<Reservation, HoldRefusal>) -> &'static str {
    match held {
        Ok(_) => "held",
        Err(HoldRefusal::Taken { .. } | HoldRefusal::Sold { .. }) => "taken",
        Err(HoldRefusal::Limit { .. }) => "limit",
        Err(HoldRefusal::UnknownSeat(_)) => "unknown",
        Err(HoldRefusal::Fault(_)) => "fault",
    }
}

async fn hold_best(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    count: usize,
    asking: Asking<'_>,
) -> Result<Reservation, HoldRefusal> {
    let plan = &schedule.plan;
    let mut lost: Vec<SeatId> = Vec::new();
    for attempt in 0..TRIES {
        let snapshot = availability(seats, schedule).await?;
        let free = |at: usize| snapshot.is_free(at) && !lost.contains(&plan.seats[at].label);
        // The first try takes the best; whoever lost a race chooses at random, so that they do not race again.
        let first = if attempt == 0 {
            best_together(plan, free, count)
        } else {
            let all = all_together(plan, free, count);
            all.get(rand::random_range(0..all.len().max(1))).copied()
        };
        let Some(first) = first else { break };
        let block: Vec<_> = plan.seats[first..first + count].iter().map(|seat| seat.label.clone()).collect();
        match hold_named(seats, schedule, &block, asking).await {
            Err(HoldRefusal::Taken { seats: taken, .. } | HoldRefusal::Sold { seats: taken, .. }) => {
                lost.extend(taken);
            }
            other => return other,
        }
    }
    Err(HoldRefusal::Taken { seats: Vec::new(), alternatives: Vec::new() })
}

async fn hold_named(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    named: &[SeatId],
    asking: Asking<'_>,
) -> Result<Reservation, HoldRefusal> {
    let mut amount = Points(0);
    for label in named {
        let seat = schedule.plan.seat(label).ok_or_else(|| HoldRefusal::UnknownSeat(label.clone()))?;
        amount.0 += seat.price.0;
    }
    let id = ReservationId::generate(schedule.id);
    let claim = Claim { user: asking.user, reservation: &id, seats: named, amount };
    let limits = HoldLimits {
        hold_ms: asking.hold_ms,
        keep_ms: REMEMBERED_MS,
        seats_per_user: seats.most_per_user,
        key_digest: asking.key_digest,
    };
    let answer = believing!(seats, schedule, |hall| scripts::hold(hall, claim, limits))?;
    let made = |id, state, expires_ms| Reservation {
        id,
        schedule: schedule.id,
        user: asking.user.clone(),
        seats: named.to_vec(),
        amount,
        state,
        expires_ms,
        attempt: None,
    };
    match answer {
        HoldAnswer::Held { expires_ms } => Ok(made(id, ReservationState::Held, Some(expires_ms))),
        HoldAnswer::Repeated { reservation } => {
            let found = reservation::find(seats, schedule, &reservation).await?;
            // Only what was cancelled is forgotten before its key.
            Ok(found.unwrap_or_else(|| made(reservation, ReservationState::Cancelled, None)))
        }
        HoldAnswer::Yours { reservation } => {
            let found = reservation::find(seats, schedule, &reservation).await?;
            found.ok_or_else(|| Fault::Defect(format!("{reservation} holds seats, and is not there")).into())
        }
        HoldAnswer::Limit { has } => Err(HoldRefusal::Limit { has, limit: seats.most_per_user }),
        HoldAnswer::Taken { seats: taken } => Err(lost_race(seats, schedule, named, taken).await),
    }
}

async fn lost_race(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    named: &[SeatId],
    taken: Vec<(SeatId, Option<ReservationId>)>,
) -> HoldRefusal {
    let alternatives = match availability(seats, schedule).await {
        Ok(snapshot) => nearest(schedule, &snapshot, named),
        Err(fault) => return fault.into(),
    };
    let sold_as = taken.first().and_then(|(_, reservation)| reservation.clone());
    let as_one = taken.len() == named.len() && taken.iter().all(|(_, reservation)| *reservation == sold_as);
    let seats = taken.into_iter().map(|(seat, _)| seat).collect();
    match sold_as.filter(|_| as_one) {
        Some(reservation) => HoldRefusal::Sold { reservation, seats, alternatives },
        None => HoldRefusal::Taken { seats, alternatives },
    }
}

/// The nearest free seats to the first that was wanted, in the plan's order.
fn nearest(schedule: &Schedule, snapshot: &super::Snapshot, named: &[SeatId]) -> Vec<SeatId> {
    let plan = &schedule.plan;
    let Some(around) = named.first().and_then(|seat| plan.position(seat.as_str())) else { return Vec::new() };
    let below = (0..around).rev();
    let above = around + 1..plan.seats.len();
    let mut free: Vec<usize> = below
        .filter(|at| snapshot.is_free(*at))
        .take(ALTERNATIVES)
        .chain(above.filter(|at| snapshot.is_free(*at)).take(ALTERNATIVES))
        .filter(|at| !named.contains(&plan.seats[*at].label))
        .collect();
    free.sort_by_key(|at| at.abs_diff(around));
    free.into_iter().take(ALTERNATIVES).map(|at| plan.seats[at].label.clone()).collect()
}
