//! Seats for who is inside: dates, what is free, holding, cancelling.

use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::cached::{accepts_gzip, tagged};
use super::caller::{Account, ActiveVisitor, Shared};
use super::idempotency::once;
use super::problem::{Code, Problem};
use super::reply::{cancelled, json};
use super::request::{IdempotencyKey, Json, Path, Query};
use crate::booking::{self, Key, Reserved, Standing};
use crate::clock;
use crate::ids::{Points, ReservationId, ScheduleId, SeatId};
use crate::refusals;
use crate::seats::{self, Listed, Overview, ReservationState, Schedule, Snapshot, Wanted};

/// Seats of one reservation at most.
const SEATS_AT_ONCE: usize = 4;

refusals!(GateRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted, ValidationFailed);

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct DatesQuery {
    /// Only this concert's.
    concert_id: Option<String>,
    /// Optional; must be the caller.
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Dates {
    dates: Vec<Date>,
}

impl Dates {
    fn of(overview: &Overview, wanted: impl Fn(&Schedule) -> bool) -> Self {
        let wanted = overview.performances.iter().filter(|(schedule, _)| wanted(schedule));
        Self { dates: wanted.map(|(schedule, snapshot)| Date::of(schedule, snapshot)).collect() }
    }

    fn written(&self) -> Bytes {
        // Text and numbers can be written always.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// One performance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Date {
    schedule_id: ScheduleId,
    concert_id: String,
    title: String,
    venue: String,
    starts_at: String,
    available_seats: usize,
    total_seats: usize,
    /// The lowest price.
    price_from: Points,
}

impl Date {
    fn of(schedule: &Schedule, snapshot: &Snapshot) -> Self {
        Self {
            schedule_id: schedule.id,
            concert_id: schedule.concert.to_string(),
            title: schedule.title.clone(),
            venue: schedule.venue.clone(),
            starts_at: clock::rfc3339(schedule.starts_at),
            available_seats: snapshot.counts[0],
            total_seats: schedule.plan.seats.len(),
            price_from: schedule.plan.price_from(),
        }
    }
}

/// The schedules of the caller's room that are on sale. Their counts of seats are at most a second and a half old.
#[utoipa::path(
    get, path = "/reservations/available/dates", tag = "booking", security(("bearer" = [])), params(DatesQuery),
    responses((status = 200, body = Dates), GateRefusals)
)]
pub(super) async fn dates(
    State(app): State<Shared>,
    ActiveVisitor(account): ActiveVisitor,
    Query(query): Query<DatesQuery>,
) -> Result<Response, Problem> {
    account.must_be(query.user_id.as_deref())?;
    let overview = seats::overview(&app.seats, account.room()).await?;
    let Some(concert) = query.concert_id else {
        return Ok(json(overview.written(|| Dates::of(&overview, |_| true).written())));
    };
    Ok(json(Dates::of(&overview, |schedule| schedule.concert.to_string() == concert).written()))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct SeatsQuery {
    /// The schedule.
    #[serde(deserialize_with = "schedule_id")]
    #[param(value_type = String)]
    schedule_id: ScheduleId,
    /// Whether to list all seats, not the available ones only.
    #[serde(default)]
    all: bool,
    /// Optional; must be the caller.
    user_id: Option<String>,
}

/// One seat of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedSeat {
    seat_id: SeatId,
    section: String,
    row: String,
    number: i32,
    price: Points,
    /// `available`, `held` or `sold`.
    status: String,
}

/// The seats of a schedule.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeatList {
    schedule_id: ScheduleId,
    version: u64,
    seats: Vec<ListedSeat>,
}

refusals!(SeatsRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted, UnknownSchedule, SaleEnded,
    ValidationFailed);

/// Which seats are free, at most 250 ms ago.
#[utoipa::path(
    get, path = "/reservations/available/seat", tag = "booking", security(("bearer" = [])), params(SeatsQuery),
    responses((status = 200, body = SeatList), (status = 304, description = "Nothing changed since."), SeatsRefusals)
)]
pub(super) async fn seats(
    State(app): State<Shared>,
    ActiveVisitor(account): ActiveVisitor,
    Query(query): Query<SeatsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    account.must_be(query.user_id.as_deref())?;
    account.leads_to(&app, Some(query.schedule_id)).await?;
    let schedule = app.seats.schedule(query.schedule_id).ok_or_else(|| Problem::new(Code::UnknownSchedule))?;
    if schedule.is_over() {
        return Err(Problem::new(Code::SaleEnded));
    }
    let snapshot = seats::availability(&app.seats, &schedule).await?;
    let listed = if query.all { Listed::All } else { Listed::Available };
    // A large plan is a hundred kilobytes, each time that somebody holds a seat of it.
    let zipped = accepts_gzip(&headers).then(|| snapshot.gzip(&schedule, listed)).flatten();
    let etag = snapshot.etag(listed, zipped.is_some());
    let gzip = zipped.is_some();
    let body = || zipped.unwrap_or_else(|| snapshot.json(&schedule, listed));
    let mut response = tagged(&headers, &etag, "private, no-cache", body);
    if gzip && response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

/// What to reserve: one seat, several (all or none), or so many together.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReserveRequest {
    /// A string or a whole number.
    #[serde(deserialize_with = "schedule_id")]
    #[schema(value_type = String)]
    schedule_id: ScheduleId,
    seat_id: Option<SeatId>,
    /// 1 to 4 different seats.
    seat_ids: Option<Vec<SeatId>>,
    /// 1 to 4.
    best: Option<usize>,
    /// Optional; must be the caller.
    user_id: Option<String>,
}

impl ReserveRequest {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let named = match (&self.seat_id, &self.seat_ids, self.best) {
            (Some(seat), None, None) => vec![seat.clone()],
            (None, Some(seats), None) => seats.clone(),
            (None, None, Some(best)) if (1..=SEATS_AT_ONCE).contains(&best) => return Ok(Wanted::Best(best)),
            (None, None, Some(_)) => return Err(Problem::invalid("best", "is 1 to 4")),
            _ => return Err(Problem::invalid("seatId", "give exactly one of seatId, seatIds and best")),
        };
        if !(1..=SEATS_AT_ONCE).contains(&named.len()) {
            return Err(Problem::invalid("seatIds", "has 1 to 4 seats"));
        }
        if (1..named.len()).any(|at| named[..at].contains(&named[at])) {
            return Err(Problem::invalid("seatIds", "names each seat once"));
        }
        Ok(Wanted::Named(named))
    }
}

/// A reservation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReservationBody {
    reservation_id: ReservationId,
    schedule_id: ScheduleId,
    seat_ids: Vec<SeatId>,
    /// The first of the seats.
    seat_id: Option<SeatId>,
    amount: Points,
    status: ReservationState,
    /// When the hold ends; null once paid.
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_at: Option<String>,
}

impl From<&Reserved> for ReservationBody {
    fn from(reserved: &Reserved) -> Self {
        match reserved {
            Reserved::Held(held) => Self {
                reservation_id: held.id.clone(),
                schedule_id: held.schedule,
                seat_ids: held.seats.clone(),
                seat_id: held.seats.first().cloned(),
                amount: held.amount,
                status: held.state,
                expires_at: held.expires_ms.map(|ms| clock::rfc3339(clock::from_unix_ms(ms))),
                payment_id: None,
                paid_at: None,
            },
            Reserved::Paid(payment) => Self {
                reservation_id: payment.reservation.clone(),
                schedule_id: payment.schedule,
                seat_ids: payment.seats.clone(),
                seat_id: payment.seats.first().cloned(),
                amount: payment.amount,
                status: ReservationState::Confirmed,
                expires_at: None,
                payment_id: Some(payment.id.to_string()),
                paid_at: Some(clock::rfc3339(payment.paid_at)),
            },
        }
    }
}

refusals!(ReserveRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted, UnknownSchedule, UnknownSeat,
    SeatTaken, SeatLimit, SaleEnded, ValidationFailed, MalformedBody, IdempotencyKeyReused, IdempotencyKeyInFlight);

/// Holds seats. Who holds or owns exactly these gets that reservation again, never prolonged.
#[utoipa::path(
    post, path = "/reservations", tag = "booking", security(("bearer" = [])), request_body = ReserveRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 200, body = ReservationBody), ReserveRefusals)
)]
pub(super) async fn reserve(
    State(app): State<Shared>,
    ActiveVisitor(account): ActiveVisitor,
    IdempotencyKey(key): IdempotencyKey,
    Json { value, body_hash }: Json<ReserveRequest>,
) -> Result<Response, Problem> {
    account.must_be(value.user_id.as_deref())?;
    let wanted = value.wanted()?;
    account.leads_to(&app, Some(value.schedule_id)).await?;
    let key = key.map(|key| Key::new(account.user.as_str(), "reserve", &key, &body_hash));
    let digest = key.as_ref().map(|key| key.digest().to_owned());
    once(app, key, move |app| async move {
        let standing = Standing { user: &account.user, room: account.room() };
        let reserved = booking::reserve(&app.booking, standing, value.schedule_id, &wanted, digest.as_deref()).await?;
        Ok(axum::Json(ReservationBody::from(&reserved)).into_response())
    })
    .await
}

#[derive(Serialize, ToSchema)]
pub(super) struct ReservationList {
    reservations: Vec<ReservationBody>,
}

refusals!(OwnRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted);

/// The caller's own reservations.
#[utoipa::path(
    get, path = "/reservations", tag = "booking", security(("bearer" = [])),
    responses((status = 200, body = ReservationList), OwnRefusals)
)]
pub(super) async fn list(State(app): State<Shared>, account: Account) -> Result<Response, Problem> {
    let standing = Standing { user: &account.user, room: account.room() };
    let reserved = booking::list(&app.booking, standing).await?;
    let reservations = reserved.iter().map(ReservationBody::from).collect();
    Ok(axum::Json(ReservationList { reservations }).into_response())
}

refusals!(OneRefusals: InvalidToken, TokenExpired, UserMismatch, NotAdmitted, UnknownReservation);

/// One of the caller's own reservations.
#[utoipa::path(
    get, path = "/reservations/{id}", tag = "booking", security(("bearer" = [])),
    params(("id" = String, Path, description = "The reservation")),
    responses((status = 200, body = ReservationBody), OneRefusals)
)]
pub(super) async fn find(
    State(app): State<Shared>,
    account: Account,
    Path(id): Path<ReservationId>,
) -> Result<Response, Problem> {
    let found = booking::find(&app.booking, &account.user, &id).await?;
    let found = found.ok_or_else(|| Problem::new(Code::UnknownReservation))?;
    Ok(axum::Json(ReservationBody::from(&found)).into_response())
}

refusals!(CancelRefusals: InvalidToken, TokenExpired, UserMismatch, RateLimited, NotAdmitted, UnknownReservation, AlreadyConfirmed,
    PaymentInFlight, IdempotencyKeyReused, IdempotencyKeyInFlight);

/// Cancels a reservation: its seats are free at once.
#[utoipa::path(
    delete, path = "/reservations/{id}", tag = "booking", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The reservation"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    responses((status = 204), CancelRefusals)
)]
pub(super) async fn cancel(
    State(app): State<Shared>,
    ActiveVisitor(account): ActiveVisitor,
    IdempotencyKey(key): IdempotencyKey,
    Path(id): Path<ReservationId>,
) -> Result<Response, Problem> {
    account.leads_to(&app, id.schedule()).await?;
    let route = format!("cancel {id}");
    let key = key.map(|key| Key::new(account.user.as_str(), &route, &key, &[0; 32]));
    once(app, key, move |app| async move {
        cancelled(booking::cancel(&app.booking, &account.user, &id).await?)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// A schedule's id: a string, or a whole number.
fn schedule_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ScheduleId, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        Number(i64),
    }
    let refusal = || serde::de::Error::custom("a scheduleId is a positive whole number, as a string or a number");
    match Given::deserialize(deserializer).map_err(|_| refusal())? {
        Given::Text(text) => text.parse().map_err(|_| refusal()),
        Given::Number(number) => number.to_string().parse().map_err(|_| refusal()),
    }
}
