//! What an account has paid, for its own eyes, without asking Postgres about those who have paid nothing.
//!
//! Redis knows how many seats an account owns: `settle` counts them, and after a loss they are counted again from
//! Postgres before anything else. Payments never change, so whoever owns as many seats as when their payments were last
//! read has the same payments.

use std::sync::Arc;

use futures_util::future::try_join_all;
use moka::sync::Cache;

use super::Booking;
use super::reserve::paid;
use crate::error::Fault;
use crate::ids::{ReservationId, UserId};
use crate::ledger::{self, LISTED_PAYMENTS, Payment};
use crate::seats::{self, Schedule};

/// Accounts whose payments are remembered at most.
const ACCOUNTS_REMEMBERED: u64 = 10_000;

/// Payments by account, with the number of seats that it owned when they were read.
pub(super) type Owned = Cache<UserId, Known>;

#[derive(Clone)]
pub(super) struct Known {
    seats: u64,
    payments: Arc<[Arc<Payment>]>,
}

pub(super) fn owned() -> Owned {
    Cache::new(ACCOUNTS_REMEMBERED)
}

/// The latest payments of an account.
pub(super) async fn payments_of(booking: &Booking, user: &UserId) -> Result<Arc<[Arc<Payment>]>, Fault> {
    let schedules = booking.seats.all();
    let counted = schedules.iter().map(|schedule| seats::count_owned(&booking.seats, schedule, user));
    let seats = try_join_all(counted).await?.into_iter().sum();
    if seats == 0 {
        return Ok(Arc::default());
    }
    if let Some(known) = booking.owned.get(user).filter(|known| known.seats == seats) {
        return Ok(known.payments);
    }
    let payments: Arc<[_]> = ledger::payments_of_user(&booking.ledger, user).await?.into_iter().map(Arc::new).collect();
    booking.owned.insert(user.clone(), Known { seats, payments: Arc::clone(&payments) });
    Ok(payments)
}

/// How an account paid a reservation, if it did. Where the reservation's schedule is known, owning nothing there is
/// answer enough.
pub(super) async fn own_payment(
    booking: &Booking,
    user: &UserId,
    id: &ReservationId,
    schedule: Option<&Arc<Schedule>>,
) -> Result<Option<Arc<Payment>>, Fault> {
    let own = |payment: &Arc<Payment>| payment.user == *user;
    if let Some(payment) = booking.payments.get(id) {
        return Ok(Some(payment).filter(own));
    }
    if let Some(schedule) = schedule
        && seats::count_owned(&booking.seats, schedule, user).await? == 0
    {
        return Ok(None);
    }
    let payments = payments_of(booking, user).await?;
    match payments.iter().find(|payment| payment.reservation == *id) {
        Some(payment) => Ok(Some(Arc::clone(payment))),
        None if payments.len() < usize::from(LISTED_PAYMENTS) => Ok(None),
        None => Ok(paid(booking, id).await?.filter(own)),
    }
}
