//! The programme: concerts, schedules and seat plans.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::hand::told;
use super::once;
use crate::http::caller::{Operator, Shared};
use crate::http::problem::Problem;
use crate::http::request::{IdempotencyKey, Json};
use crate::ids::{RoomName, ScheduleId};
use crate::queue::given;
use crate::refusals;
use crate::seats::{self, Concert, Performance, Section, Wish};

/// An id, as text or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(i64),
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match TextOrNumber::deserialize(deserializer) {
        Ok(TextOrNumber::Number(id)) if id > 0 => Ok(Some(id)),
        Ok(TextOrNumber::Text(text)) if text.parse().is_ok_and(|id: i64| id > 0) => Ok(text.parse().ok()),
        _ => Err(serde::de::Error::custom("invalid value, expected a positive whole number")),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ConcertBody {
    /// Which one, for `PUT`: one that is there, or an id of one's own below 100 000.
    #[serde(default, deserialize_with = "id")]
    #[schema(value_type = Option<String>)]
    concert_id: Option<i64>,
    /// 1 to 300 characters.
    title: String,
    /// Why, for the audit.
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Concerts {
    concerts: Vec<Concert>,
}

refusals!(ListRefusals: AdminUnauthorized);
refusals!(
    PutRefusals: AdminUnauthorized, ValidationFailed, MalformedBody, UnsupportedMediaType, IdempotencyKeyReused,
    IdempotencyKeyInFlight
);

/// Every concert, the newest first.
#[utoipa::path(
    get, path = "/admin/concerts", tag = "programme", security(("bearer" = [])),
    responses((status = 200, body = Concerts), ListRefusals)
)]
pub(in crate::http) async fn concerts(State(app): State<Shared>, _: Operator) -> Result<Response, Problem> {
    Ok(axum::Json(Concerts { concerts: seats::list_concerts(&app.seats).await? }).into_response())
}

/// Makes a concert.
#[utoipa::path(
    post, path = "/admin/concerts", tag = "programme", security(("bearer" = [])), request_body = ConcertBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 201, body = Concert), PutRefusals)
)]
pub(in crate::http) async fn add_concert(
    State(app): State<Shared>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json { value, body_hash }: Json<ConcertBody>,
) -> Result<Response, Problem> {
    let reason = told(value.reason)?;
    once(app, "add-concert", (key, body_hash), move |app| async move {
        let made = seats::put_concert(&app.seats, None, &value.title, reason.as_deref()).await?;
        Ok((StatusCode::CREATED, axum::Json(made)).into_response())
    })
    .await
}

/// Makes or changes the concert of this id.
#[utoipa::path(
    put, path = "/admin/concerts", tag = "programme", security(("bearer" = [])), request_body = ConcertBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 200, body = Concert), PutRefusals)
)]
pub(in crate::http) async fn put_concert(
    State(app): State<Shared>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json { value, body_hash }: Json<ConcertBody>,
) -> Result<Response, Problem> {
    let id = value.concert_id.ok_or_else(|| Problem::invalid("concertId", "is missing"))?;
    let reason = told(value.reason)?;
    once(app, "put-concert", (key, body_hash), move |app| async move {
        let put = seats::put_concert(&app.seats, Some(id), &value.title, reason.as_deref()).await?;
        Ok(axum::Json(put).into_response())
    })
    .await
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ScheduleBody {
    /// Which one, for `PUT`: one that is there, or an id of one's own below 100 000.
    #[serde(default, deserialize_with = "id")]
    #[schema(value_type = Option<String>)]
    schedule_id: Option<i64>,
    /// The concert that it is a performance of.
    #[serde(deserialize_with = "id")]
    #[schema(value_type = String)]
    concert_id: Option<i64>,
    /// The room whose line leads to it.
    #[schema(value_type = String)]
    room: RoomName,
    /// 1 to 300 characters.
    venue: String,
    /// When it begins.
    starts_at: DateTime<Utc>,
    /// From when it is on sale no more: listed no more, and no seat of it can be held. Left out, `PUT` leaves it as it is;
    /// null, the sale has no end of its own.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    #[expect(
        clippy::option_option,
        reason = "null takes the end away, absent leaves it: three cases, as serde knows them"
    )]
    sale_ends_at: Option<Option<DateTime<Utc>>>,
    /// The seat plan, at most 50 000 seats; left out, `PUT` leaves the seats as they are. A plan on sale may change prices
    /// and sections and gain seats, and never loses one.
    sections: Option<Vec<Section>>,
    /// Why, for the audit.
    reason: Option<String>,
}

impl ScheduleBody {
    fn wish(self, id: Option<i64>) -> Wish {
        let Self { concert_id, room, venue, starts_at, sale_ends_at, sections, .. } = self;
        let concert_id = concert_id.unwrap_or_default();
        Wish { id: id.map(ScheduleId), concert_id, room, venue, starts_at, sale_ends_at, sections }
    }
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Schedules {
    schedules: Vec<Performance>,
}

/// Every schedule, the latest first.
#[utoipa::path(
    get, path = "/admin/schedules", tag = "programme", security(("bearer" = [])),
    responses((status = 200, body = Schedules), ListRefusals)
)]
pub(in crate::http) async fn schedules(State(app): State<Shared>, _: Operator) -> Result<Response, Problem> {
    Ok(axum::Json(Schedules { schedules: seats::list_performances(&app.seats).await? }).into_response())
}

/// Makes a schedule with its seats.
#[utoipa::path(
    post, path = "/admin/schedules", tag = "programme", security(("bearer" = [])), request_body = ScheduleBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 201, body = Performance), PutRefusals)
)]
pub(in crate::http) async fn add_schedule(
    State(app): State<Shared>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json { mut value, body_hash }: Json<ScheduleBody>,
) -> Result<Response, Problem> {
    let reason = told(value.reason.take())?;
    if value.sections.is_none() {
        return Err(Problem::invalid("sections", "is missing"));
    }
    once(app, "add-schedule", (key, body_hash), move |app| async move {
        let made = seats::put_performance(&app.seats, &value.wish(None), reason.as_deref()).await?;
        Ok((StatusCode::CREATED, axum::Json(made)).into_response())
    })
    .await
}

/// Makes or changes the schedule of this id.
#[utoipa::path(
    put, path = "/admin/schedules", tag = "programme", security(("bearer" = [])), request_body = ScheduleBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 200, body = Performance), PutRefusals)
)]
pub(in crate::http) async fn put_schedule(
    State(app): State<Shared>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json { mut value, body_hash }: Json<ScheduleBody>,
) -> Result<Response, Problem> {
    let id = value.schedule_id.ok_or_else(|| Problem::invalid("scheduleId", "is missing"))?;
    let reason = told(value.reason.take())?;
    once(app, "put-schedule", (key, body_hash), move |app| async move {
        let put = seats::put_performance(&app.seats, &value.wish(Some(id)), reason.as_deref()).await?;
        Ok(axum::Json(put).into_response())
    })
    .await
}
