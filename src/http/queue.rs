//! The line, as visitors see it.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cached::tagged_by_content;
use super::caller::{Caller, Shared};
use super::idempotency::once;
use super::problem::{Code, Problem};
use super::reply::json;
use super::request::{IdempotencyKey, MaybeJson, Path, authorization, bearer};
use crate::booking::{self, Key};
use crate::clock;
use crate::error::Fault;
use crate::ids::RoomName;
use crate::queue::{self, Messages, Place, PublicDraw, State as RoomState, Who};
use crate::refusals;

refusals!(PositionRefusals: InvalidToken, TokenExpired, UserMismatch);

/// Where the caller stands.
#[utoipa::path(
    get, path = "/queue/position", tag = "queue", security(("bearer" = [])),
    responses((status = 200, body = Place), PositionRefusals)
)]
pub(super) async fn position(State(app): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    Ok(json(queue::poll(&app.queue, caller.session()).await?.body))
}

refusals!(LeaveRefusals: InvalidToken, TokenExpired, UserMismatch, RateLimited, IdempotencyKeyReused,
    IdempotencyKeyInFlight);

/// Gives up place, visit and holds. A payment under way goes on.
#[utoipa::path(
    delete, path = "/queue/position", tag = "queue", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 204), LeaveRefusals)
)]
pub(super) async fn leave(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
) -> Result<Response, Problem> {
    let session = caller.session();
    // An attempt is nobody yet: nothing is kept for it, and withdrawing twice changes nothing.
    let key = key.filter(|_| matches!(session.who, Who::Account(_)));
    let what = format!("leave {}", session.claims.room);
    let key = key.map(|key| Key::new(&session.claims.sub, &what, &key, &[0; 32]));
    once(app, key, move |app| async move {
        booking::leave(&app.booking, caller.session()).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// What a beacon may bring.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct LeaveBody {
    /// The token, where neither `Authorization` nor the cookie carries it.
    #[serde(default)]
    token: Option<String>,
}

refusals!(BeaconRefusals: InvalidToken, TokenExpired, UserMismatch, RateLimited, CrossOrigin, ValidationFailed, MalformedBody, UnsupportedMediaType,
    IdempotencyKeyReused, IdempotencyKeyInFlight);

/// The same for `navigator.sendBeacon`, which can only post, and set no header: a page of another site, where no cookie comes
/// along, sends the token in the body. A beacon of a plain string is `text/plain`, which is taken for JSON here.
#[utoipa::path(
    post, path = "/queue/leave", tag = "queue", security((), ("bearer" = [])), request_body = Option<LeaveBody>,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 204), BeaconRefusals)
)]
pub(super) async fn leave_by_beacon(
    state: State<Shared>,
    key: IdempotencyKey,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let brought = match authorization(&parts.headers) {
        Some(_) => Ok(None),
        None => token_in_body(Request::from_parts(parts.clone(), body)).await,
    };
    let caller = match (brought, bearer(&parts.headers)) {
        (Ok(Some(token)), _) => Caller::shown(&state.0, &token)?,
        (Err(problem), None) => return Err(problem),
        _ => Caller::from_request_parts(&mut parts, &state.0).await?,
    };
    leave(state, caller, key).await
}

async fn token_in_body(mut request: Request) -> Result<Option<String>, Problem> {
    let plain =
        |told: &HeaderValue| told.to_str().is_ok_and(|told| told.to_ascii_lowercase().starts_with("text/plain"));
    if request.headers().get(CONTENT_TYPE).is_some_and(plain) {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let MaybeJson { value: LeaveBody { token }, .. } = MaybeJson::from_request(request, &()).await?;
    Ok(token)
}

/// What anyone may know of a room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublicRoom {
    room: RoomName,
    state: RoomState,
    opens_at: Option<String>,
    /// How many are in line in all.
    waiting: u64,
    admitted_per_minute: u64,
    /// What operators say, where they say nothing in a visitor's language.
    message: Option<String>,
    /// What they say in each language: all of them, so that one answer serves everyone from a cache.
    messages: Messages,
    /// The draw's commitment and seed, in a room that draws.
    draw: Option<PublicDraw>,
}

refusals!(RoomRefusals: UnknownRoom);

/// The public status of a room: the same for all, so any cache may keep it for a second, and ask by its `ETag` whether
/// it changed.
#[utoipa::path(
    get, path = "/queue/rooms/{room}", tag = "queue",
    params(("room" = String, Path, description = "The room's name")),
    responses((status = 200, body = PublicRoom), (status = 304, description = "Nothing changed since."), RoomRefusals)
)]
pub(super) async fn room(
    State(app): State<Shared>,
    Path(name): Path<RoomName>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let room = app.queue.room(&name).ok_or_else(|| Problem::new(Code::UnknownRoom))?;
    let view = room.view();
    let counts = view.counts;
    let public = PublicRoom {
        room: name,
        state: view.state,
        opens_at: view.opens_at.map(clock::rfc3339),
        waiting: counts.in_line(),
        admitted_per_minute: view.admitted_per_minute,
        message: view.message.clone(),
        messages: view.messages.clone(),
        draw: room.draw().map(|draw| draw.public()),
    };
    let body = serde_json::to_vec(&public).map_err(|e| Fault::Defect(e.to_string()))?;
    Ok(tagged_by_content(&headers, "public, max-age=1", body.into()))
}
