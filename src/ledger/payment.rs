//! Paying a reservation, and settling a payment whose outcome is unknown.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::operation::{Answer, Decided, Movement, Operation, PaidAnswer, PaymentAnswer};
use super::{Key, Ledger, Refusal, batch, transaction};
use crate::error::Fault;
use crate::ids::{Points, ReservationId, RoomName, ScheduleId, SeatId, UserId, new_uuid};

const VOID: &str = "\
insert into payment_attempts (reservation_id, attempt_id, state) values ($1, $2, 'void')
on conflict on constraint payment_attempts_once do nothing";

const PAYMENT: &str = "select payment_answer($1)";

const PAYMENTS_OF_USER: &str = "\
select payment_answer(reservation_id) from payments where user_id = $1 order by paid_at desc, id limit $2";

const PAYMENTS_OF_SEATS: &str = "\
select payment_answer(reservation_id) from payments
where id in (select payment_id from payment_seats where schedule_id = $1 and seat_id = any ($2))";

/// The latest payments of one account that are listed.
pub const LISTED_PAYMENTS: u16 = 1_000;

/// What is to be paid, by whom, under which attempt.
#[derive(Debug, Clone)]
pub struct PayOrder {
    /// The account that pays.
    pub user: UserId,
    /// What it pays.
    pub reservation: ReservationId,
    /// Names this try. One that was refused or given up never pays; another one may.
    pub attempt: String,
    /// Where the seats are.
    pub schedule: ScheduleId,
    /// The reservation's seats, in the plan's order.
    pub seats: Vec<SeatId>,
    /// Their price.
    pub amount: Points,
    /// The room of the schedule, for whoever tells Redis later.
    pub room: RoomName,
}

/// A payment, as it stands in Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its own id.
    pub id: Uuid,
    /// What was paid.
    pub reservation: ReservationId,
    /// Who paid.
    pub user: UserId,
    /// Where the seats are.
    pub schedule: ScheduleId,
    /// What was bought, in the plan's order.
    pub seats: Vec<SeatId>,
    /// What it cost.
    pub amount: Points,
    /// When, by Postgres' clock.
    pub paid_at: DateTime<Utc>,
}

/// A reservation that is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    /// How.
    pub payment: Payment,
    /// The account's balance.
    pub balance: Points,
    /// The account's version at that balance.
    pub version: i64,
    /// Whether it was paid just now, by this order; else it had been paid before.
    pub new: bool,
    /// Whether this is the answer kept under the key.
    pub replayed: bool,
}

/// How a payment in doubt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The reservation is paid.
    Paid(Payment),
    /// It is not, and this attempt never will pay it.
    Void,
}

/// Pays a reservation. On [`Refusal::Unknown`] the caller settles it with [`settle_unknown`]. What is [`Paid::new`] the
/// caller tells Redis: the seats, and with [`project`](super::project) the balance. What it does not, the outbox does.
pub async fn pay(ledger: &Ledger, order: PayOrder, key: Option<Key>) -> Result<Paid, Refusal> {
    if order.seats.is_empty() || order.amount.0 <= 0 {
        return Err(Fault::Defect(format!("reservation {} has nothing to pay", order.reservation)).into());
    }
    let movement = Movement::Payment {
        amount: order.amount,
        reference: order.reservation,
        attempt_id: order.attempt,
        payment_id: new_uuid(),
        schedule_id: order.schedule,
        seats: order.seats,
        room: order.room,
    };
    let operation = Operation { user_id: order.user, movement, key: key.map(Into::into) };
    let paid = match batch::submit(ledger, operation).await {
        Ok(Decided { answer: Answer::Paid(paid), replayed }) => Ok(Paid::told(paid, replayed)),
        Ok(other) => Err(other.refusal()),
        Err(refusal) => Err(refusal),
    };
    metrics::counter!("anteroom_payments_total", "result" => word(&paid)).increment(1);
    paid
}

/// Settles a payment in doubt, by writing: the attempt is made void, on another connection. That waits for the
/// transaction in doubt; either it committed, and the payment stands, or this one does, and it never can.
pub async fn settle_unknown(ledger: &Ledger, reservation: &ReservationId, attempt: &str) -> Result<Settled, Fault> {
    let void = sqlx::query(VOID).bind(reservation.to_string()).bind(attempt.to_owned());
    transaction::write(ledger, void).await?;
    Ok(payment_of(ledger, reservation).await?.map_or(Settled::Void, Settled::Paid))
}

/// How a reservation was paid, if it was.
pub async fn payment_of(ledger: &Ledger, reservation: &ReservationId) -> Result<Option<Payment>, Fault> {
    let pool = ledger.db().pool();
    let found: Option<Json<PaymentAnswer>> =
        sqlx::query_scalar(PAYMENT).bind(reservation.as_str()).fetch_one(pool).await?;
    Ok(found.map(|Json(answer)| answer.into()))
}

/// The payments of one account, the latest first, at most a thousand.
pub async fn payments_of_user(ledger: &Ledger, user: &UserId) -> Result<Vec<Payment>, Fault> {
    let _turn = ledger.core.lists.acquire().await.map_err(|e| Fault::Defect(e.to_string()))?;
    let pool = ledger.db().pool();
    let found: Vec<Json<PaymentAnswer>> = sqlx::query_scalar(PAYMENTS_OF_USER)
        .bind(user.as_str())
        .bind(i64::from(LISTED_PAYMENTS))
        .fetch_all(pool)
        .await?;
    Ok(found.into_iter().map(|Json(answer)| answer.into()).collect())
}

/// The payments that bought these seats of a schedule, as far as they are sold.
pub async fn payments_of_seats(ledger: &Ledger, schedule: ScheduleId, seats: &[SeatId]) -> Result<Vec<Payment>, Fault> {
    let labels: Vec<&str> = seats.iter().map(SeatId::as_str).collect();
    let asked = sqlx::query_scalar(PAYMENTS_OF_SEATS).bind(schedule.0).bind(labels);
    let found: Vec<Json<PaymentAnswer>> = asked.fetch_all(ledger.db().pool()).await?;
    Ok(found.into_iter().map(|Json(answer)| answer.into()).collect())
}

impl Paid {
    pub(super) fn told(answer: PaidAnswer, replayed: bool) -> Self {
        let PaidAnswer { payment, balance, version, moved } = answer;
        Self { payment: payment.into(), balance, version, new: moved, replayed }
    }
}

impl From<PaymentAnswer> for Payment {
    fn from(answer: PaymentAnswer) -> Self {
        Self {
            id: answer.payment_id,
            reservation: answer.reservation_id,
            user: answer.user_id,
            schedule: ScheduleId(answer.schedule_id),
            seats: answer.seat_ids,
            amount: answer.amount,
            paid_at: answer.paid_at,
        }
    }
}

/// The label of `anteroom_payments_total`.
fn word(paid: &Result<Paid, Refusal>) -> &'static str {
    match paid {
        Ok(paid) if paid.new => "paid",
        Ok(_) => "repeated",
        Err(Refusal::Insufficient { .. }) => "insufficient",
        Err(Refusal::SeatSold { .. }) => "seat_sold",
        Err(Refusal::AttemptVoid) => "void",
        Err(Refusal::Unknown) => "unknown",
        Err(Refusal::Fault(_)) => "fault",
        Err(_) => "refused",
    }
}
