//! The line, as visitors see it.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::cached::tagged_by_content;
use super::caller::{Caller, Shared};
use super::idempotency::once;
use super::problem::{Code, Problem};
use super::reply::json;
use super::request::{IdempotencyKey, Path};
use crate::booking::{self, Key};
use crate::clock;
use crate::error::Fault;
use crate::ids::RoomName;
use crate::queue::{self, Messages, Place, PublicDraw, State as RoomState};
use crate::refusals;

refusals!(PositionRefusals: InvalidToken, TokenExpired);

/// Where the caller stands.
#[utoipa::path(
    get, path = "/queue/position", tag = "queue", security(("bearer" = [])),
    responses((status = 200, body = Place), PositionRefusals)
)]
pub(super) async fn position(State(app): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    Ok(json(queue::poll(&app.queue, caller.session()).await?.body))
}

refusals!(LeaveRefusals: InvalidToken, TokenExpired, IdempotencyKeyReused, IdempotencyKeyInFlight);

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
    let key = key.map(|key| Key::new(&session.claims.sub, "leave", &key, &[0; 32]));
    once(&app, key, async {
        booking::leave(&app.booking, session).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// The same for `navigator.sendBeacon`, which can only post.
#[utoipa::path(
    post, path = "/queue/leave", tag = "queue", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 204), LeaveRefusals)
)]
pub(super) async fn leave_by_beacon(
    state: State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    leave(state, caller, key).await
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
        waiting: counts.waiting + counts.aside + counts.pending + counts.recalled,
        admitted_per_minute: view.admitted_per_minute,
        message: view.message.clone(),
        messages: view.messages.clone(),
        draw: room.draw().map(|draw| draw.public()),
    };
    let body = serde_json::to_vec(&public).map_err(|e| Fault::Defect(e.to_string()))?;
    Ok(tagged_by_content(&headers, "public, max-age=1", body.into()))
}
