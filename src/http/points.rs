//! Points: charging, the balance, paying.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Account, ActiveVisitor, Shared};
use super::idempotency::replayed;
use super::problem::{Code, Problem};
use super::request::{IdempotencyKey, Json, Query};
use crate::app::App;
use crate::booking::{self, PayError};
use crate::clock;
use crate::ids::{Points, ReservationId, ScheduleId, SeatId, UserId};
use crate::ledger::{self, Key, Paid, Refusal};
use crate::refusals;

/// Points of one charge at most.
const CHARGE_AT_MOST: i64 = 10_000_000;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChargeRequest {
    /// 1 to 10 000 000 points.
    amount: i64,
    /// Optional; must be the caller.
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChargeReceipt {
    user_id: UserId,
    balance: Points,
    charged_amount: Points,
    /// The ledger entry.
    entry_id: String,
}

refusals!(ChargeRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted, BalanceLimit, ValidationFailed,
    MalformedBody, IdempotencyKeyReused, IdempotencyKeyInFlight);

/// Adds points to the caller's account.
#[utoipa::path(
    post, path = "/points/charge", tag = "points", security(("bearer" = [])), request_body = ChargeRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 200, body = ChargeReceipt), ChargeRefusals)
)]
pub(super) async fn charge(
    State(app): State<Shared>,
    ActiveVisitor(account): ActiveVisitor,
    IdempotencyKey(key): IdempotencyKey,
    Json { value, body_hash }: Json<ChargeRequest>,
) -> Result<Response, Problem> {
    account.must_be(value.user_id.as_deref())?;
    if !(1..=CHARGE_AT_MOST).contains(&value.amount) {
        return Err(Problem::invalid("amount", "is 1 to 10000000"));
    }
    let key = key.map(|key| Key { route: "charge".into(), key, body_hash });
    match ledger::charge(&app.ledger, &account.user, Points(value.amount), key).await {
        Ok(charged) => {
            let body = ChargeReceipt {
                user_id: account.user.clone(),
                balance: charged.balance,
                charged_amount: charged.amount,
                entry_id: charged.entry.to_string(),
            };
            Ok(mark(charged.replayed, axum::Json(body).into_response()))
        }
        Err(Refusal::BalanceLimit { balance, replayed: true }) => {
            Ok(replayed(Problem::new(Code::BalanceLimit).with("balance", balance).into_response()))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct BalanceQuery {
    /// Optional; must be the caller.
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Balance {
    user_id: UserId,
    balance: Points,
}

refusals!(BalanceRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted);

/// What the caller has.
#[utoipa::path(
    get, path = "/points/balance", tag = "points", security(("bearer" = [])), params(BalanceQuery),
    responses((status = 200, body = Balance), BalanceRefusals)
)]
pub(super) async fn balance(
    State(app): State<Shared>,
    ActiveVisitor(account): ActiveVisitor,
    Query(query): Query<BalanceQuery>,
) -> Result<Response, Problem> {
    account.must_be(query.user_id.as_deref())?;
    let balance = ledger::balance(&app.ledger, &account.user).await?;
    let balance = balance.ok_or_else(|| Problem::new(Code::InvalidToken).detail("There is no such account."))?;
    Ok(axum::Json(Balance { user_id: account.user, balance }).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PayRequest {
    reservation_id: ReservationId,
    /// Exactly what the reservation costs.
    amount: i64,
    /// Optional; must be the caller.
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    payment_id: String,
    reservation_id: ReservationId,
    schedule_id: ScheduleId,
    seat_ids: Vec<SeatId>,
    amount: Points,
    balance: Points,
    /// Always `confirmed`.
    status: &'static str,
    paid_at: String,
}

impl From<Paid> for Receipt {
    fn from(paid: Paid) -> Self {
        let Paid { payment, balance, .. } = paid;
        Self {
            payment_id: payment.id.to_string(),
            reservation_id: payment.reservation,
            schedule_id: payment.schedule,
            seat_ids: payment.seats,
            amount: payment.amount,
            balance,
            status: "confirmed",
            paid_at: clock::rfc3339(payment.paid_at),
        }
    }
}

refusals!(PayRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted, InsufficientPoints, UnknownReservation,
    SeatSold, PaymentInFlight, HoldExpired, AmountMismatch, ValidationFailed, MalformedBody, RateLimited,
    IdempotencyKeyReused, IdempotencyKeyInFlight);

/// Pays a reservation. Paying a paid one again returns the same payment.
#[utoipa::path(
    post, path = "/reservations/pay", tag = "booking", security(("bearer" = [])), request_body = PayRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 200, body = Receipt), PayRefusals)
)]
pub(super) async fn pay(
    State(app): State<Shared>,
    account: Account,
    IdempotencyKey(key): IdempotencyKey,
    Json { value, body_hash }: Json<PayRequest>,
) -> Result<Response, Problem> {
    account.must_be(value.user_id.as_deref())?;
    // What has begun may be asked about without a visit; all else needs one.
    if let Err(not_admitted) = may_begin(&app, &account, &value.reservation_id).await {
        let begun = booking::payment_begun(&app.booking, &account.user, &value.reservation_id).await?;
        if !begun {
            return Err(not_admitted);
        }
    }
    let key = key.map(|key| Key { route: "pay".into(), key, body_hash });
    let order = (Points(value.amount), key);
    match booking::pay(&app.booking, &account.user, &value.reservation_id, order).await {
        Ok(paid) => Ok(mark(paid.replayed, axum::Json(Receipt::from(paid)).into_response())),
        Err(PayError::Before(first)) => Ok(replayed(Problem::from(*first).into_response())),
        Err(error) => Err(error.into()),
    }
}

/// Beginning a payment needs a visit in the room whose seats are paid.
async fn may_begin(app: &App, account: &Account, id: &ReservationId) -> Result<(), Problem> {
    account.admitted(app).await?;
    account.leads_to(app, id.schedule()).await
}

fn mark(again: bool, response: Response) -> Response {
    if again { replayed(response) } else { response }
}
