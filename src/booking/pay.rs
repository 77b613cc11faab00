//! Paying: begin in Redis, decide in Postgres, tell Redis. Each step may be repeated; the outbox and a job do what a
//! crash left undone.

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::Booking;
use super::answers::wait_for_key;
use super::owned::own_payment;
use super::reserve::{find_held, paid, schedule_of};
use crate::error::Fault;
use crate::ids::{Points, ReservationId, SeatId, UserId, new_uuid};
use crate::ledger::{self, Key, Paid, PayOrder, Payment, Recorded, Refusal, Settled};
use crate::queue;
use crate::seats::{self, Begin, Reservation, ReservationState, Schedule};

/// A void attempt is followed by another; more than a few means that something else is wrong.
const ATTEMPTS: usize = 3;

/// Kept under a key whose request found the reservation paid.
const PAID_BEFORE: &str = "paidBefore";

/// Why a reservation is not paid.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// There is none, or it is another's.
    #[error("there is no such reservation")]
    Unknown,
    /// The hold's time is over.
    #[error("the hold has ended")]
    Expired,
    /// It costs something else.
    #[error("the reservation costs {0}")]
    OtherAmount(Points),
    /// The balance is too small.
    #[error("{shortfall} points are missing")]
    Insufficient {
        /// What the account has.
        balance: Points,
        /// What is missing.
        shortfall: Points,
    },
    /// Someone else paid one of the seats first.
    #[error("sold: {0:?}")]
    SeatSold(Vec<SeatId>),
    /// Whether it is paid is not known yet.
    #[error("the payment is under way")]
    InFlight,
    /// The key was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    KeyReused,
    /// The caller has used as many keys as one may in a day.
    #[error("too many Idempotency-Keys")]
    TooManyKeys {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// The answer kept under the key was this refusal.
    #[error("answered before: {0}")]
    Before(Box<PayError>),
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Pays a reservation of the caller's. Runs to its end also when the caller hangs up.
pub async fn pay(
    booking: &Arc<Booking>,
    user: &UserId,
    id: &ReservationId,
    order: (Points, Option<Key>),
) -> Result<Paid, PayError> {
    let (booking, user, id) = (Arc::clone(booking), user.clone(), id.clone());
    let run = async move { Payer { booking, user, id }.pay(order.0, order.1).await };
    let run = tokio::spawn(run.in_current_span());
    run.await.unwrap_or_else(|e| Err(Fault::Defect(format!("a payment ended in disorder: {e}")).into()))
}

/// Whether a payment of this reservation has begun, so that its outcome may be asked for without a visit. Redis may
/// have forgotten a payment that another process made: of who owns seats, Postgres is asked too.
pub async fn payment_begun(booking: &Booking, user: &UserId, id: &ReservationId) -> Result<bool, Fault> {
    if booking.payments.get(id).is_some_and(|payment| payment.user == *user) {
        return Ok(true);
    }
    let begun = [ReservationState::Paying, ReservationState::Confirmed];
    let held = find_held(booking, id).await?;
    if held.is_some_and(|(_, held)| held.user == *user && begun.contains(&held.state)) {
        return Ok(true);
    }
    Ok(own_payment(booking, user, id, schedule_of(booking, id).as_ref()).await?.is_some())
}

struct Payer {
    booking: Arc<Booking>,
    user: UserId,
    id: ReservationId,
}

/// The attempt under which a reservation is being paid.
struct Running {
    /// Whether this request began it. Others may have joined it since.
    own: bool,
    attempt: String,
}

impl Payer {
    async fn pay(&self, amount: Points, key: Option<Key>) -> Result<Paid, PayError> {
        let held = find_held(&self.booking, &self.id).await?;
        let Some((schedule, held)) = held.filter(|(_, held)| held.user == self.user) else {
            return self.ask_again(PayError::Unknown, amount, key).await;
        };
        for _ in 0..ATTEMPTS {
            let fresh = new_uuid().to_string();
            let begun = seats::begin_payment(&self.booking.seats, &schedule, &held, (&fresh, amount)).await?;
            let attempt = match begun {
                Begin::Begun(attempt) => attempt,
                Begin::Confirmed | Begin::Unknown => return self.ask_again(PayError::Unknown, amount, key).await,
                Begin::Sold(lost) => {
                    self.give_back(&schedule, &held).await;
                    return self.ask_again(PayError::SeatSold(lost), amount, key).await;
                }
                Begin::Expired => return self.ask_again(PayError::Expired, amount, key).await,
                Begin::OtherAmount(costs) => return self.refuse(PayError::OtherAmount(costs), key).await,
            };
            if let Some(until_ms) = held.expires_ms
                && let Some(room) = self.booking.queue.room(&schedule.room)
            {
                queue::keep_visit(&room, &self.user, until_ms, self.booking.seats.payment_ms());
            }
            match self.decide(&schedule, &held, &attempt, key.clone()).await {
                Err(Refusal::AttemptVoid) => {
                    seats::abort_payment(&self.booking.seats, &schedule, &held, &attempt).await?;
                }
                Ok(done) => return Ok(done),
                // Who asked under the same key at the same time found it paid already, and noted that.
                Err(Refusal::Answered(first)) if first[PAID_BEFORE] == true => {
                    return self.replay(Recorded::Answer(first)).await;
                }
                Err(refusal) => {
                    let running = Running { own: attempt == fresh, attempt };
                    return Err(self.end(&schedule, &held, &running, refusal).await);
                }
            }
        }
        Err(PayError::InFlight)
    }

    /// The transaction, and what its outcome asks for. An unknown outcome is settled by writing.
    async fn decide(
        &self,
        schedule: &Arc<Schedule>,
        held: &Reservation,
        attempt: &str,
        key: Option<Key>,
    ) -> Result<Paid, Refusal> {
        let order = PayOrder {
            user: self.user.clone(),
            reservation: self.id.clone(),
            attempt: attempt.to_owned(),
            schedule: schedule.id,
            seats: schedule.plan.in_order(&held.seats),
            amount: held.amount,
            room: schedule.room.clone(),
        };
        let paid = match ledger::pay(&self.booking.ledger, order, key).await {
            Err(Refusal::Unknown) => self.settle(attempt).await?,
            other => other?,
        };
        tell(&self.booking, schedule, held, &paid).await;
        Ok(paid)
    }

    /// How an attempt ended whose commit is in doubt, by writing. Where that fails too, nobody knows yet.
    async fn settle(&self, attempt: &str) -> Result<Paid, Refusal> {
        let settled = match ledger::settle_unknown(&self.booking.ledger, &self.id, attempt).await {
            Ok(Settled::Void) => return Err(Refusal::AttemptVoid),
            Ok(Settled::Paid(payment)) if payment.user != self.user => return Err(Refusal::NotTheirs),
            Ok(Settled::Paid(payment)) => self.as_just_paid(payment).await,
            Err(fault) => Err(fault),
        };
        settled.map_err(|fault| {
            tracing::warn!(%fault, "whether a payment was made is not known yet");
            Refusal::Unknown
        })
    }

    /// What a refusal of the ledger means for the hold.
    async fn end(&self, schedule: &Arc<Schedule>, held: &Reservation, running: &Running, refusal: Refusal) -> PayError {
        let (error, replayed) = match refusal {
            // Nothing was decided: the payment stays begun, and asking again goes on with it.
            Refusal::Fault(fault) => return fault.into(),
            Refusal::Unknown | Refusal::AttemptVoid => return PayError::InFlight,
            Refusal::Insufficient { balance, shortfall, replayed } => {
                (PayError::Insufficient { balance, shortfall }, replayed)
            }
            Refusal::SeatSold { seats, replayed } => (PayError::SeatSold(seats), replayed),
            Refusal::KeyReused => (PayError::KeyReused, false),
            Refusal::Answered(answer) => (read_refusal(&answer), true),
            Refusal::NotTheirs | Refusal::UnknownAccount | Refusal::BalanceLimit { .. } => (PayError::Unknown, false),
        };
        let decided = !replayed && matches!(error, PayError::Insufficient { .. } | PayError::SeatSold(_));
        let given_up = match (running.own, decided) {
            (true, true) => seats::abort_payment(&self.booking.seats, schedule, held, &running.attempt).await,
            // It may be another request's, which begins anew then, or that of a process that died: then nobody else ends it.
            _ => self.give_up(schedule, held, &running.attempt).await,
        };
        if let Err(fault) = given_up {
            tracing::warn!(%fault, "a refused payment's hold is left to the job");
        }
        if let (PayError::SeatSold(lost), false) = (&error, replayed) {
            if let Err(fault) = self.tell_sold(schedule, lost).await {
                tracing::warn!(%fault, "others may hold seats that are sold, until the outbox tells Redis");
            }
            self.give_back(schedule, held).await;
        }
        if replayed { PayError::Before(Box::new(error)) } else { error }
    }

    /// A reservation that lost a seat can never be paid: its other seats are free for others.
    async fn give_back(&self, schedule: &Arc<Schedule>, lost: &Reservation) {
        if let Err(fault) = seats::cancel(&self.booking.seats, schedule, lost).await {
            tracing::warn!(%fault, "a lost reservation is left to expire");
        }
    }

    /// Postgres sold these seats, and Redis let another hold them: if it does not know, it would let the next one too.
    async fn tell_sold(&self, schedule: &Arc<Schedule>, sold: &[SeatId]) -> Result<(), Fault> {
        for payment in ledger::payments_of_seats(&self.booking.ledger, schedule.id, sold).await? {
            seats::settle(&self.booking.seats, schedule, &payment.into()).await?;
        }
        Ok(())
    }

    /// Ends an attempt that others may be deciding at this moment: Postgres says first how it ends.
    async fn give_up(&self, schedule: &Arc<Schedule>, held: &Reservation, attempt: &str) -> Result<(), Fault> {
        match self.settle(attempt).await {
            Ok(paid) => {
                tell(&self.booking, schedule, held, &paid).await;
                Ok(())
            }
            Err(Refusal::AttemptVoid) => seats::abort_payment(&self.booking.seats, schedule, held, attempt).await,
            // It is in doubt still, and goes on.
            Err(_) => Ok(()),
        }
    }

    /// The reservation is not one that Redis would pay: it may have been paid before, also where Redis knows nothing of
    /// that. So its word alone refuses nothing for good: Postgres is asked first. Under a key, the first answer counts.
    async fn ask_again(&self, refusal: PayError, amount: Points, key: Option<Key>) -> Result<Paid, PayError> {
        if let Some(first) = self.first_answer(key.as_ref()).await? {
            return self.replay(first).await;
        }
        match paid(&self.booking, &self.id).await?.filter(|payment| payment.user == self.user) {
            Some(payment) if payment.amount != amount => self.keep(PayError::OtherAmount(payment.amount), key).await,
            Some(payment) => self.keep_found(self.as_paid((*payment).clone()).await?, key).await,
            None if matches!(refusal, PayError::Unknown) && self.may_be_forgotten().await? => Err(PayError::InFlight),
            None => self.keep(refusal, key).await,
        }
    }

    /// Whether a payment may go on although Redis knows no such reservation: it lost the schedule's seats a moment ago.
    async fn may_be_forgotten(&self) -> Result<bool, Fault> {
        match schedule_of(&self.booking, &self.id) {
            Some(schedule) => seats::may_have_forgotten_a_payment(&self.booking.seats, &schedule, &self.user).await,
            None => Ok(false),
        }
    }

    /// A payment that was found, kept under the request's key with the balance that is told now.
    async fn keep_found(&self, found: Paid, key: Option<Key>) -> Result<Paid, PayError> {
        let Some(key) = key else { return Ok(found) };
        let answer = json!({ PAID_BEFORE: true, "balance": found.balance });
        match self.record(key, answer.clone()).await? {
            Recorded::Answer(kept) if kept == answer => Ok(found),
            first => self.replay(first).await,
        }
    }

    /// Keeps an answer that is no payment: one may ask for it without end, so the keys are counted. Nothing that moves
    /// points waits for that.
    async fn record(&self, key: Key, answer: Value) -> Result<Recorded, PayError> {
        if let Some(retry_after_seconds) = wait_for_key(&self.booking, &self.user, &key).await {
            return Err(PayError::TooManyKeys { retry_after_seconds });
        }
        Ok(ledger::record(&self.booking.ledger, &self.user, key, answer).await?)
    }

    /// What is kept under the request's key, where it has one.
    async fn first_answer(&self, key: Option<&Key>) -> Result<Option<Recorded>, Fault> {
        match key {
            Some(key) => ledger::recorded_answer(&self.booking.ledger, &self.user, key).await,
            None => Ok(None),
        }
    }

    /// The first answer under a key, given again.
    async fn replay(&self, first: Recorded) -> Result<Paid, PayError> {
        let refusal = match first {
            Recorded::Paid(paid) => return Ok(Paid { replayed: true, ..paid }),
            Recorded::Answer(answer) if answer[PAID_BEFORE] == true => {
                let payment = paid(&self.booking, &self.id).await?.ok_or(PayError::Unknown)?;
                let found = self.as_paid((*payment).clone()).await?;
                // Answers that were kept by earlier versions tell no balance.
                let balance = answer["balance"].as_i64().map_or(found.balance, Points);
                return Ok(Paid { balance, replayed: true, ..found });
            }
            Recorded::Answer(answer) => read_refusal(&answer),
            Recorded::Refused(Refusal::Insufficient { balance, shortfall, .. }) => {
                PayError::Insufficient { balance, shortfall }
            }
            Recorded::Refused(Refusal::SeatSold { seats, .. }) => PayError::SeatSold(seats),
            Recorded::Refused(_) | Recorded::Charged(_) => return Err(PayError::KeyReused),
        };
        Err(PayError::Before(Box::new(refusal)))
    }

    /// A payment made before, with what the account has by now.
    async fn as_paid(&self, payment: Payment) -> Result<Paid, Fault> {
        let balance = ledger::balance(&self.booking.ledger, &self.user).await?.unwrap_or_default();
        Ok(Paid { payment, balance, version: 0, new: false, replayed: false })
    }

    /// A payment that was in doubt. Nobody has told Redis of it: what is left is asked of Postgres.
    async fn as_just_paid(&self, payment: Payment) -> Result<Paid, Fault> {
        let left = ledger::balance_now(&self.booking.ledger, &self.user).await?;
        let (balance, version) = left.unwrap_or_default();
        Ok(Paid { payment, balance, version, new: true, replayed: false })
    }

    /// A refusal that Postgres had no part in. Under a key, the first answer counts.
    async fn refuse(&self, refusal: PayError, key: Option<Key>) -> Result<Paid, PayError> {
        match self.first_answer(key.as_ref()).await? {
            Some(first) => self.replay(first).await,
            None => self.keep(refusal, key).await,
        }
    }

    /// A refusal, kept under its key. Who used the key at the same time may have been the first.
    async fn keep(&self, refusal: PayError, key: Option<Key>) -> Result<Paid, PayError> {
        let (Some(key), Some(answer)) = (key, write_refusal(&refusal)) else { return Err(refusal) };
        match self.record(key, answer.clone()).await? {
            Recorded::Answer(kept) if kept == answer => Err(refusal),
            first => self.replay(first).await,
        }
    }
}

/// Tells Redis of a payment, at once: its seats, what is left, and that the visit ends soon. What fails of the first
/// two is told by the outbox.
async fn tell(booking: &Booking, schedule: &Arc<Schedule>, held: &Reservation, paid: &Paid) {
    booking.payments.insert(held.id.clone(), Arc::new(paid.payment.clone()));
    // Boxed, since side by side they are as large as all of them together.
    let settling = Box::pin(seats::settle(&booking.seats, schedule, held));
    if !paid.new {
        // Its balance may be an old one, and its visit another.
        if let Err(fault) = settling.await {
            tracing::debug!(%fault, "a payment that was made before is not told again");
        }
        return;
    }
    let projecting = Box::pin(ledger::project(&booking.ledger, &held.user, paid.balance, paid.version));
    let ending = Box::pin(end_visit(booking, schedule, &held.user));
    let (settled, projected, ()) = tokio::join!(settling, projecting, ending);
    match settled.and(projected) {
        Ok(()) => ledger::outbox_done(&booking.ledger, paid.payment.id),
        Err(fault) => tracing::debug!(%fault, "Redis is told of a payment by the outbox"),
    }
}

async fn end_visit(booking: &Booking, schedule: &Schedule, user: &UserId) {
    let Some(room) = booking.queue.room(&schedule.room) else { return };
    if let Err(fault) = queue::end_visit_soon(&booking.queue, &room, user).await {
        tracing::warn!(%fault, "a visit is left to end by itself");
    }
}

/// The refusals decided without Postgres that are kept under a key.
fn write_refusal(refusal: &PayError) -> Option<Value> {
    match refusal {
        PayError::Expired => Some(json!({ "refused": "hold-expired" })),
        PayError::OtherAmount(amount) => Some(json!({ "refused": "amount-mismatch", "amount": amount })),
        PayError::SeatSold(seats) => Some(json!({ "refused": "seat-sold", "seats": seats })),
        _ => None,
    }
}

fn read_refusal(answer: &Value) -> PayError {
    if let Some(amount) = answer["amount"].as_i64() {
        return PayError::OtherAmount(Points(amount));
    }
    let sold = Vec::<SeatId>::deserialize(&answer["seats"]);
    sold.map_or(PayError::Expired, PayError::SeatSold)
}
