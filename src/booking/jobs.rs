//! What a crash left undone, and what time ends: done again and again, by any process.
//!
//! Where one of many fails, the others are looked after all the same; the first failure is told at the end.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;

use super::Booking;
use crate::clock;
use crate::error::Fault;
use crate::ids::{ReservationId, RoomName, ScheduleId};
use crate::ledger::{self, Due, Owed, Settle, Settled};
use crate::queue;
use crate::seats::{self, ReservationState, Schedule};

/// Rows of the outbox, or stale payments of one schedule, looked after by one run.
const AT_ONCE: u32 = 100;

/// Tells Redis what the outbox says that it must still be told.
pub async fn settle_outbox(booking: &Booking) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for Due { id, owed } in ledger::outbox_due(&booking.ledger, i64::from(AT_ONCE)).await? {
        let told = tell_owed(booking, &owed).await;
        if matches!(told, Ok(Told::All)) {
            ledger::outbox_done(&booking.ledger, id);
        }
        outcome = outcome.and(told.map(drop));
    }
    outcome.and(measure_outbox(booking).await)
}

async fn measure_outbox(booking: &Booking) -> Result<(), Fault> {
    let (pending, oldest_seconds) = ledger::outbox_pending(&booking.ledger).await?;
    metrics::gauge!("anteroom_outbox_pending").set(f64::from(u32::try_from(pending).unwrap_or(u32::MAX)));
    metrics::gauge!("anteroom_outbox_oldest_seconds").set(oldest_seconds);
    Ok(())
}

/// How much of a row Redis was told.
enum Told {
    All,
    /// Not the seats: their schedule is not known to this process yet. The row comes again, to this one or another.
    NotSeats,
}

async fn tell_owed(booking: &Booking, owed: &Owed) -> Result<Told, Fault> {
    let (Owed::Project(changed) | Owed::Settle(Settle { changed, .. })) = owed;
    ledger::project(&booking.ledger, &changed.user_id, changed.balance, changed.version).await?;
    match owed {
        Owed::Project(_) => Ok(Told::All),
        Owed::Settle(settle) => tell_seats(booking, settle).await,
    }
}

async fn tell_seats(booking: &Booking, settle: &Settle) -> Result<Told, Fault> {
    let Some(schedule) = booking.seats.schedule(ScheduleId(settle.schedule_id)) else { return Ok(Told::NotSeats) };
    if let Some(payment) = ledger::payment_of(&booking.ledger, &settle.reservation_id).await? {
        seats::settle(&booking.seats, &schedule, &payment.into()).await?;
    }
    Ok(Told::All)
}

/// Settles payments that have been under way for longer than a payment takes: their process died, or Postgres did.
pub async fn settle_stale(booking: &Booking) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for schedule in booking.seats.all().iter().filter(|schedule| schedule.is_in_use()) {
        outcome = outcome.and(settle_stale_of(booking, schedule).await);
    }
    outcome
}

async fn settle_stale_of(booking: &Booking, schedule: &Arc<Schedule>) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for id in seats::stale(&booking.seats, schedule, AT_ONCE).await? {
        outcome = outcome.and(settle_one(booking, schedule, &id).await);
    }
    outcome
}

async fn settle_one(booking: &Booking, schedule: &Arc<Schedule>, id: &ReservationId) -> Result<(), Fault> {
    let found = seats::find(&booking.seats, schedule, id).await?;
    let paying = found.filter(|held| held.state == ReservationState::Paying);
    if let Some((held, attempt)) = paying.and_then(|held| held.attempt.clone().map(|attempt| (held, attempt))) {
        return match ledger::settle_unknown(&booking.ledger, id, &attempt).await? {
            Settled::Paid(_) => seats::settle(&booking.seats, schedule, &held).await,
            Settled::Void => seats::abort_payment(&booking.seats, schedule, &held, &attempt).await,
        };
    }
    // Redis forgot what was to be paid, and under which attempt. What is in Postgres is paid; what comes there yet, if
    // anything does, has its row in the outbox. So this can be let go, and nothing is lost.
    match ledger::payment_of(&booking.ledger, id).await? {
        Some(payment) => seats::settle(&booking.seats, schedule, &payment.into()).await,
        None => seats::forget_payment(&booking.seats, schedule, id).await,
    }
}

/// Ends holds whose time is over, in every schedule, and sees what is left. No room waits for another: in a cluster not
/// all are in one place, and what was counted is believed for seconds only.
pub async fn sweep_holds(booking: &Booking) -> Result<(), Fault> {
    let started = clock::now();
    let mut rooms: HashMap<RoomName, Vec<Arc<Schedule>>> = HashMap::new();
    for schedule in booking.seats.all() {
        rooms.entry(schedule.room.clone()).or_default().push(schedule);
    }
    let swept = join_all(rooms.iter().map(|(room, schedules)| sweep_room(booking, room, schedules))).await;
    tracing::trace!(took = ?started.elapsed(), "holds swept");
    swept.into_iter().collect()
}

/// Of a performance whose sale has ended only what is held is left: whoever holds it may come in to pay. A room of which
/// not every schedule could be looked at is told nothing: it would take too few for what is left.
async fn sweep_room(booking: &Booking, room: &RoomName, schedules: &[Arc<Schedule>]) -> Result<(), Fault> {
    let (mut left, mut outcome) = (0, Ok(()));
    for schedule in schedules.iter().filter(|schedule| schedule.is_in_use()) {
        match seats::availability(&booking.seats, schedule).await {
            Ok(seen) => {
                let [available, held, _] = seen.counts;
                left += if schedule.is_over() { held } else { available + held };
            }
            Err(fault) => outcome = outcome.and(Err(fault)),
        }
    }
    outcome?;
    queue::note_stock(&booking.queue, room, u64::try_from(left).unwrap_or(u64::MAX));
    Ok(())
}
