//! What operators do by hand: admit the next, look at a place, take one away.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{known, once};
use crate::booking;
use crate::http::caller::{Operator, Shared};
use crate::http::problem::{Code, Problem};
use crate::http::request::{IdempotencyKey, Json, Path, Query};
use crate::ids::{RoomName, UserId};
use crate::queue::{self, Admitted, SeenPlace};
use crate::refusals;

/// Admitted by one request at most: each 500 keep Redis for about a millisecond.
const MOST: u32 = 10_000;

/// Characters of a reason at most.
const LONGEST_REASON: usize = 500;

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct AdmitBody {
    /// How many, 1 to 10 000.
    count: u32,
    /// Why, for the audit.
    reason: Option<String>,
}

/// What admitting by hand did, and how the room stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct AdmittedBody {
    #[serde(flatten)]
    done: Admitted,
    /// How many were asked for: fewer are admitted where fewer are present or less room is free.
    count: u32,
}

refusals!(
    AdmitRefusals: AdminUnauthorized, UnknownRoom, RoomClosed, ValidationFailed, MalformedBody, UnsupportedMediaType,
    IdempotencyKeyReused, IdempotencyKeyInFlight
);

/// Admits the next in line who are present: within the free visits, without waiting for the rate, also while paused.
#[utoipa::path(
    post, path = "/admin/rooms/{room}/admit", tag = "rooms", security(("bearer" = [])), request_body = AdmitBody,
    params(
        ("room" = String, Path, description = "The room's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    responses((status = 200, body = AdmittedBody), AdmitRefusals)
)]
pub(in crate::http) async fn admit(
    State(app): State<Shared>,
    _: Operator,
    Path(name): Path<RoomName>,
    IdempotencyKey(key): IdempotencyKey,
    Json { value: AdmitBody { count, reason }, body_hash }: Json<AdmitBody>,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    if !(1..=MOST).contains(&count) {
        return Err(Problem::invalid("count", "is 1 to 10000"));
    }
    let reason = told(reason)?;
    once(app, &format!("admit {name}"), (key, body_hash), move |app| async move {
        let done = queue::admit_now(&app.queue, &room, count, reason.as_deref()).await?;
        Ok(axum::Json(AdmittedBody { done, count }).into_response())
    })
    .await
}

refusals!(PlaceRefusals: AdminUnauthorized, UnknownRoom, UnknownPlace);

/// Where an account stands. Nobody counts as present by being looked at.
#[utoipa::path(
    get, path = "/admin/rooms/{room}/places/{userId}", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's name"), ("userId" = String, Path)),
    responses((status = 200, body = SeenPlace), PlaceRefusals)
)]
pub(in crate::http) async fn place(
    State(app): State<Shared>,
    _: Operator,
    Path((name, user)): Path<(RoomName, UserId)>,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    let seen = queue::look_at_place(&app.queue, &room, &user).await?;
    Ok(axum::Json(seen.ok_or_else(|| Problem::new(Code::UnknownPlace))?).into_response())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct WhyQuery {
    /// Why, for the audit.
    reason: Option<String>,
}

refusals!(
    RemoveRefusals: AdminUnauthorized, UnknownRoom, UnknownPlace, ValidationFailed, IdempotencyKeyReused,
    IdempotencyKeyInFlight
);

/// Takes an account's place, visit and holds away, as leaving does. A payment under way goes on.
#[utoipa::path(
    delete, path = "/admin/rooms/{room}/places/{userId}", tag = "rooms", security(("bearer" = [])),
    params(
        ("room" = String, Path, description = "The room's name"),
        ("userId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        WhyQuery,
    ),
    responses((status = 204), RemoveRefusals)
)]
pub(in crate::http) async fn remove(
    State(app): State<Shared>,
    _: Operator,
    Path((name, user)): Path<(RoomName, UserId)>,
    Query(WhyQuery { reason }): Query<WhyQuery>,
    IdempotencyKey(key): IdempotencyKey,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    let reason = told(reason)?;
    once(app, &format!("remove {name} {user}"), (key, [0; 32]), move |app| async move {
        if booking::remove(&app.booking, &room, &user, reason.as_deref()).await? {
            Ok(StatusCode::NO_CONTENT.into_response())
        } else {
            Err(Problem::new(Code::UnknownPlace))
        }
    })
    .await
}

/// A reason that the audit can keep.
pub(super) fn told(reason: Option<String>) -> Result<Option<String>, Problem> {
    match reason {
        Some(reason) if reason.chars().count() > LONGEST_REASON || reason.contains('\0') => {
            Err(Problem::invalid("reason", "has at most 500 characters"))
        }
        other => Ok(other),
    }
}
