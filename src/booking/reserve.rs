//! Reserving seats, and looking after one's reservations.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::Booking;
use super::owned::{own_payment, payments_of};
use super::touched::{note_touched, touched, touched_lately};
use crate::error::Fault;
use crate::ids::{ReservationId, RoomName, ScheduleId, SeatId, UserId};
use crate::ledger::{self, Payment};
use crate::queue::{self, Left, Room, Session};
use crate::seats::{self, Asking, Cancel, HoldRefusal, Reservation, ReservationState, Schedule, Wanted};

/// A reservation, held in Redis or paid in Postgres.
#[derive(Debug, Clone)]
pub enum Reserved {
    /// As Redis has it.
    Held(Reservation),
    /// As Postgres has it.
    Paid(Arc<Payment>),
}

/// Why seats are not reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// There is no such schedule in the caller's room.
    #[error("there is no such schedule")]
    UnknownSchedule,
    /// It is on sale no more.
    #[error("the sale has ended")]
    SaleEnded,
    /// The seats cannot be held.
    #[error(transparent)]
    Hold(#[from] HoldRefusal),
}

impl From<Fault> for ReserveError {
    fn from(fault: Fault) -> Self {
        Self::Hold(fault.into())
    }
}

/// Who reserves: an account inside a room.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// The account.
    pub user: &'a UserId,
    /// The room of its visit.
    pub room: &'a RoomName,
}

/// Reserves seats of a schedule. Who holds or owns exactly these gets that reservation again.
pub async fn reserve(
    booking: &Booking,
    standing: Standing<'_>,
    schedule: ScheduleId,
    wanted: &Wanted,
    key_digest: Option<&str>,
) -> Result<Reserved, ReserveError> {
    let schedule = booking.seats.schedule(schedule).filter(|schedule| schedule.room == *standing.room);
    let schedule = schedule.ok_or(ReserveError::UnknownSchedule)?;
    if schedule.is_over() {
        let own = already(booking, standing, schedule.id, wanted).await?;
        return own.ok_or(ReserveError::SaleEnded);
    }
    let room = booking.queue.room(standing.room).ok_or(Fault::Lost)?;
    let asking = Asking { user: standing.user, hold_ms: room.view().hold_ms, key_digest };
    let epoch = schedule.epoch();
    let holding = seats::hold(&booking.seats, &schedule, wanted, asking);
    let (held, mut noted) = tokio::join!(holding, note_touched(booking, standing.user, &schedule));
    if schedule.epoch() != epoch {
        noted = note_touched(booking, standing.user, &schedule).await;
    }
    if let (Ok(_), Err(fault)) = (&held, &noted) {
        tracing::warn!(%fault, "a hold is not listed, and ends by itself should its owner leave");
    }
    match held {
        Ok(held) => {
            if let Some(until_ms) = held.expires_ms {
                queue::keep_visit(&room, standing.user, until_ms, 0);
            }
            Ok(Reserved::Held(held))
        }
        Err(HoldRefusal::Sold { reservation, seats, alternatives }) => {
            let own = own_payment(booking, standing.user, &reservation, Some(&schedule)).await?;
            // Only exactly these: who owns more of them asked for something else.
            match own.filter(|payment| payment.seats.len() == seats.len()) {
                Some(payment) => Ok(Reserved::Paid(payment)),
                None => Err(HoldRefusal::Taken { seats, alternatives }.into()),
            }
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The caller's own reservation of exactly these seats, held or paid.
async fn already(
    booking: &Booking,
    standing: Standing<'_>,
    schedule: ScheduleId,
    wanted: &Wanted,
) -> Result<Option<Reserved>, Fault> {
    let Wanted::Named(wanted) = wanted else { return Ok(None) };
    let these = |seats: &[SeatId]| seats.len() == wanted.len() && wanted.iter().all(|seat| seats.contains(seat));
    let live = [ReservationState::Held, ReservationState::Paying];
    let own = list(booking, standing).await?;
    Ok(own.into_iter().find(|reserved| match reserved {
        Reserved::Held(held) => held.schedule == schedule && live.contains(&held.state) && these(&held.seats),
        Reserved::Paid(paid) => paid.schedule == schedule && these(&paid.seats),
    }))
}

/// One of the caller's own reservations.
pub async fn find(booking: &Booking, user: &UserId, id: &ReservationId) -> Result<Option<Reserved>, Fault> {
    match find_held(booking, id).await? {
        Some((_, held)) if held.user != *user => Ok(None),
        Some((_, held)) if held.state != ReservationState::Confirmed => Ok(Some(Reserved::Held(held))),
        Some(_) => Ok(paid(booking, id).await?.map(Reserved::Paid)),
        None => Ok(own_payment(booking, user, id, schedule_of(booking, id).as_ref()).await?.map(Reserved::Paid)),
    }
}

/// The caller's own reservations: those that Redis remembers, and all that are paid.
pub async fn list(booking: &Booking, standing: Standing<'_>) -> Result<Vec<Reserved>, Fault> {
    let payments = payments_of(booking, standing.user).await?;
    let is_paid = |one: &Reservation| {
        one.state == ReservationState::Confirmed || payments.iter().any(|payment| payment.reservation == one.id)
    };
    let schedules = touched(booking, standing).await?;
    let lists = schedules.iter().map(|schedule| seats::list_held(&booking.seats, schedule, standing.user));
    let held = try_join_all(lists).await?.into_iter().flatten().filter(|one| !is_paid(one)).map(Reserved::Held);
    Ok(held.chain(payments.iter().map(|payment| Reserved::Paid(Arc::clone(payment)))).collect())
}

/// Cancels one of the caller's own reservations: its seats are free at once.
pub async fn cancel(booking: &Booking, user: &UserId, id: &ReservationId) -> Result<Cancel, Fault> {
    match find_held(booking, id).await? {
        Some((schedule, held)) if held.user == *user => seats::cancel(&booking.seats, &schedule, &held).await,
        Some(_) => Ok(Cancel::Unknown),
        None => {
            let payment = own_payment(booking, user, id, schedule_of(booking, id).as_ref()).await?;
            Ok(if payment.is_some() { Cancel::Confirmed } else { Cancel::Unknown })
        }
    }
}

/// Gives up place, visit and holds. A payment under way goes on.
pub async fn leave(booking: &Booking, session: &Session) -> Result<Left, Fault> {
    if let Some(user) = queue::account_of(&booking.queue, session).await? {
        free_holds(booking, Standing { user: &user, room: &session.claims.room }).await;
    }
    queue::leave(&booking.queue, session).await
}

/// Takes an account's place, visit and holds away, by an operator's hand. Gives false where it had no place.
pub async fn remove(booking: &Booking, room: &Arc<Room>, user: &UserId, reason: Option<&str>) -> Result<bool, Fault> {
    let had = queue::remove_place(&booking.queue, room, user, reason).await?;
    if had {
        free_holds(booking, Standing { user, room: &room.name }).await;
    }
    Ok(had)
}

/// Frees what an account holds in a room. What cannot be freed keeps nobody inside: it ends by itself.
async fn free_holds(booking: &Booking, standing: Standing<'_>) {
    if let Err(fault) = free_everywhere(booking, standing).await {
        tracing::warn!(%fault, "holds of someone who left are left to end by themselves");
    }
}

/// One schedule that fails keeps no other from being visited.
async fn free_everywhere(booking: &Booking, standing: Standing<'_>) -> Result<(), Fault> {
    let schedules = touched_lately(booking, standing).await?;
    let freeing = schedules.iter().map(|schedule| free_in(booking, schedule, standing.user));
    join_all(freeing).await.into_iter().collect()
}

async fn free_in(booking: &Booking, schedule: &Arc<Schedule>, user: &UserId) -> Result<(), Fault> {
    if !seats::holds_any(&booking.seats, schedule, user).await? {
        return Ok(());
    }
    for held in seats::list_held(&booking.seats, schedule, user).await? {
        if held.state == ReservationState::Held {
            seats::cancel(&booking.seats, schedule, &held).await?;
        }
    }
    Ok(())
}

/// The schedule that a reservation's id tells.
pub(super) fn schedule_of(booking: &Booking, id: &ReservationId) -> Option<Arc<Schedule>> {
    id.schedule().and_then(|schedule| booking.seats.schedule(schedule))
}

pub(super) async fn find_held(
    booking: &Booking,
    id: &ReservationId,
) -> Result<Option<(Arc<Schedule>, Reservation)>, Fault> {
    let Some(schedule) = schedule_of(booking, id) else { return Ok(None) };
    let found = seats::find(&booking.seats, &schedule, id).await?;
    Ok(found.map(|held| (schedule, held)))
}

/// How a reservation was paid. What is paid stays so, and is remembered.
pub(super) async fn paid(booking: &Booking, id: &ReservationId) -> Result<Option<Arc<Payment>>, Fault> {
    if let Some(payment) = booking.payments.get(id) {
        return Ok(Some(payment));
    }
    let payment = ledger::payment_of(&booking.ledger, id).await?.map(Arc::new);
    if let Some(payment) = &payment {
        booking.payments.insert(id.clone(), Arc::clone(payment));
    }
    Ok(payment)
}
