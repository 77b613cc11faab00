//! Reservations: reading them, cancelling them, and the Redis side of paying them.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::plan::Schedule;
use super::recovery::believing;
use super::{CANCELLED_REMEMBERED_MS, REMEMBERED_MS, Seats};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Points, ReservationId, ScheduleId, SeatId, UserId};
use crate::ledger::Payment;
use crate::store::scripts::seats::{self as scripts, BeginAnswer, Claim, Released};

/// What a reservation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReservationState {
    /// The seats are kept until the expiry.
    Held,
    /// A payment is under way.
    Paying,
    /// Paid.
    Confirmed,
    /// The time was over before it was paid.
    Expired,
    /// Given up by its owner, or its seats were sold to another.
    Cancelled,
}

/// Seats that an account holds, pays or owns.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// The schedule of its seats.
    pub schedule: ScheduleId,
    /// Whose it is.
    pub user: UserId,
    /// Its seats.
    pub seats: Vec<SeatId>,
    /// What they cost.
    pub amount: Points,
    /// What it is now.
    pub state: ReservationState,
    /// When the hold ends, ms; nothing once paid.
    pub expires_ms: Option<i64>,
    /// The payment under way.
    pub attempt: Option<String>,
}

impl Reservation {
    fn claim(&self) -> Claim<'_> {
        Claim { user: &self.user, reservation: &self.id, seats: &self.seats, amount: self.amount }
    }
}

impl From<Payment> for Reservation {
    /// The reservation that a payment has paid.
    fn from(payment: Payment) -> Self {
        Self {
            id: payment.reservation,
            schedule: payment.schedule,
            user: payment.user,
            seats: payment.seats,
            amount: payment.amount,
            state: ReservationState::Confirmed,
            expires_ms: None,
            attempt: None,
        }
    }
}

/// A reservation that Redis remembers.
pub async fn find(seats: &Seats, schedule: &Schedule, id: &ReservationId) -> Result<Option<Reservation>, Fault> {
    let fields = scripts::read_reservation(schedule.hall(&seats.redis), id).await?;
    read(schedule.id, id, &fields)
}

/// Whether an account may hold seats of a schedule: one question, where listing its reservations is many.
pub async fn holds_any(seats: &Seats, schedule: &Schedule, user: &UserId) -> Result<bool, Fault> {
    scripts::holds_any(schedule.hall(&seats.redis), user).await
}

/// The reservations that an account made in a schedule, as far as Redis remembers them; the latest first.
pub async fn list_held(seats: &Seats, schedule: &Schedule, user: &UserId) -> Result<Vec<Reservation>, Fault> {
    let mut list = Vec::new();
    for id in scripts::list_reservations(schedule.hall(&seats.redis), user).await? {
        list.extend(find(seats, schedule, &id).await?);
    }
    Ok(list)
}

fn read(schedule: ScheduleId, id: &ReservationId, fields: &[(String, String)]) -> Result<Option<Reservation>, Fault> {
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let Some(user) = field("user") else { return Ok(None) };
    let broken = || Fault::Defect(format!("the reservation {id} is not readable"));
    let expires_ms: Option<i64> = field("expiresAt").and_then(|ms| ms.parse().ok());
    let seats = field("seats").unwrap_or_default().split(' ').map(SeatId::parse).collect::<Result<Vec<_>, _>>();
    Ok(Some(Reservation {
        id: id.clone(),
        schedule,
        user: UserId::parse(user).map_err(|_| broken())?,
        seats: seats.map_err(|_| broken())?,
        amount: Points(field("amount").and_then(|amount| amount.parse().ok()).ok_or_else(broken)?),
        state: match field("state") {
            Some("held") if expires_ms.is_none_or(|ms| ms <= clock::unix_ms()) => ReservationState::Expired,
            Some("held") => ReservationState::Held,
            Some("paying") => ReservationState::Paying,
            Some("confirmed") => ReservationState::Confirmed,
            Some("cancelled") => ReservationState::Cancelled,
            _ => return Err(broken()),
        },
        expires_ms,
        attempt: field("attempt").map(str::to_owned),
    }))
}

/// What asking to cancel gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// There is none, or it is another's.
    Unknown,
    /// A payment is under way.
    Paying,
    /// It is paid.
    Confirmed,
    /// It is over, now or before.
    Cancelled,
}

/// Cancels a reservation: its seats are free at once.
pub async fn cancel(seats: &Seats, schedule: &Arc<Schedule>, reservation: &Reservation) -> Result<Cancel, Fault> {
    let claim = reservation.claim();
    Ok(match believing!(seats, schedule, |hall| scripts::release(hall, claim, CANCELLED_REMEMBERED_MS))? {
        Released::Unknown => Cancel::Unknown,
        Released::Paying => Cancel::Paying,
        Released::Confirmed => Cancel::Confirmed,
        Released::Cancelled => Cancel::Cancelled,
    })
}

/// What asking to begin a payment gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin {
    /// There is none, or it is another's.
    Unknown,
    /// It is paid.
    Confirmed,
    /// These of its seats were sold to another.
    Sold(Vec<SeatId>),
    /// The hold's time is over, or it was cancelled.
    Expired,
    /// It costs something else.
    OtherAmount(Points),
    /// The payment runs under this attempt.
    Begun(String),
}

/// Begins to pay a reservation. Beginning again changes nothing and tells the attempt that runs.
pub async fn begin_payment(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    reservation: &Reservation,
    order: (&str, Points),
) -> Result<Begin, Fault> {
    let (attempt, amount) = order;
    let claim = Claim { amount, ..reservation.claim() };
    let begun = believing!(seats, schedule, |hall| scripts::begin_payment(hall, claim, attempt, seats.payment_ms))?;
    Ok(match begun {
        BeginAnswer::Unknown => Begin::Unknown,
        BeginAnswer::Confirmed => Begin::Confirmed,
        BeginAnswer::Sold { seats } => Begin::Sold(seats),
        BeginAnswer::Over | BeginAnswer::Expired => Begin::Expired,
        BeginAnswer::OtherAmount { amount } => Begin::OtherAmount(amount),
        BeginAnswer::Begun { attempt } => Begin::Begun(attempt),
    })
}

/// Ends an attempt that was refused or made void: the hold has its own expiry again.
pub async fn abort_payment(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    reservation: &Reservation,
    attempt: &str,
) -> Result<(), Fault> {
    let claim = reservation.claim();
    believing!(seats, schedule, |hall| scripts::abort_payment(hall, claim, attempt))
}

/// A payment is in Postgres: its seats are sold, whoever holds them by now. Other reservations that held one of them
/// end, and their other seats are free.
pub async fn settle(seats: &Seats, schedule: &Arc<Schedule>, paid: &Reservation) -> Result<(), Fault> {
    let claim = paid.claim();
    for other in believing!(seats, schedule, |hall| scripts::settle(hall, claim, REMEMBERED_MS))? {
        if let Some(other) = find(seats, schedule, &other).await? {
            cancel(seats, schedule, &other).await?;
        }
    }
    Ok(())
}

/// Reservations whose payment has been under way for longer than a payment takes; the oldest first.
pub async fn stale(seats: &Seats, schedule: &Schedule, most: u32) -> Result<Vec<ReservationId>, Fault> {
    scripts::stale_payments(schedule.hall(&seats.redis), most).await
}

/// Looks after a payment no longer, unless its reservation is being paid.
pub async fn forget_payment(seats: &Seats, schedule: &Arc<Schedule>, id: &ReservationId) -> Result<(), Fault> {
    believing!(seats, schedule, |hall| scripts::forget_payment(hall, id))
}

/// How many seats of a schedule an account owns. Where Redis forgot, it is told first.
pub async fn count_owned(seats: &Seats, schedule: &Arc<Schedule>, user: &UserId) -> Result<u64, Fault> {
    believing!(seats, schedule, |hall| scripts::count_owned(hall, user))
}
