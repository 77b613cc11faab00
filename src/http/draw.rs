//! The draw, as anyone and as each visitor may see it.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Account, Operator, Shared};
use super::problem::{Code, Problem};
use super::request::{Path, Query};
use crate::app::App;
use crate::ids::RoomName;
use crate::queue::draw::proof::DrawList;
use crate::queue::{self, Lot};
use crate::refusals;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Which thousand tickets, counted from 0.
    #[serde(default)]
    page: u64,
}

refusals!(ListRefusals: UnknownRoom, NoDraw, ValidationFailed);

/// The public list of a draw: commitment, seed, and everyone's ticket in order, a thousand a page. Before the opening
/// there is neither seed nor ticket; `count` is there once all tickets are.
#[utoipa::path(
    get, path = "/queue/rooms/{room}/draw", tag = "queue",
    params(("room" = String, Path, description = "The room's name"), PageQuery),
    responses((status = 200, body = DrawList), ListRefusals)
)]
pub(super) async fn list(
    State(app): State<Shared>,
    Path(name): Path<RoomName>,
    Query(PageQuery { page }): Query<PageQuery>,
) -> Result<Response, Problem> {
    // The seed and the tickets may come at any second: only a cache that asks again then may keep it.
    Ok(([(CACHE_CONTROL, "public, max-age=5"), (CONTENT_TYPE, "application/json")], find(&app, &name, page).await?)
        .into_response())
}

refusals!(OperatorRefusals: AdminUnauthorized, UnknownRoom, NoDraw, ValidationFailed);

/// The same list, on the operators' listener.
#[utoipa::path(
    get, path = "/admin/rooms/{room}/draw", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's name"), PageQuery),
    responses((status = 200, body = DrawList), OperatorRefusals)
)]
pub(super) async fn list_for_operators(
    State(app): State<Shared>,
    _: Operator,
    Path(name): Path<RoomName>,
    Query(PageQuery { page }): Query<PageQuery>,
) -> Result<Response, Problem> {
    Ok(([(CONTENT_TYPE, "application/json")], find(&app, &name, page).await?).into_response())
}

async fn find(app: &App, name: &RoomName, page: u64) -> Result<Bytes, Problem> {
    let room = app.queue.room(name).ok_or_else(|| Problem::new(Code::UnknownRoom))?;
    queue::draw::list(&app.queue, &room, page).await?.ok_or_else(|| Problem::new(Code::NoDraw))
}

refusals!(LotRefusals: InvalidToken, TokenExpired, NotAdmitted, NoDraw);

/// The caller's own lot in the draw of their room: a secret that finds their ticket in the public list, and that nobody
/// else is told. It is the same before and after the opening.
#[utoipa::path(
    get, path = "/queue/draw", tag = "queue", security(("bearer" = [])),
    responses((status = 200, body = Lot), LotRefusals)
)]
pub(super) async fn lot(State(app): State<Shared>, account: Account) -> Result<Response, Problem> {
    let room = app.queue.room(account.room()).ok_or_else(|| Problem::new(Code::UnknownRoom))?;
    let draw = room.draw().ok_or_else(|| Problem::new(Code::NoDraw))?;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(draw.lot(&room, &account.user))).into_response())
}
