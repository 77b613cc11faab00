//! Operators: rooms, checks, metrics. On the admin listener only.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Operator, Shared};
use super::metrics;
use super::problem::{Code, Problem};
use super::request::{Json, Path};
use crate::app::App;
use crate::booking;
use crate::ids::RoomName;
use crate::ledger::Check;
use crate::queue::{self, Change, Limit, Room, Settings, State as RoomState};
use crate::refusals;

/// A room: its settings, and how it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomBody {
    #[serde(flatten)]
    settings: Settings,
    /// What the room does now, the clock considered.
    effective_state: RoomState,
    active: u64,
    waiting: u64,
    aside: u64,
    pending: u64,
    recalled: u64,
    /// Admissions in this epoch, and in the last minute.
    admitted: u64,
    admitted_per_minute: u64,
    /// Which limit holds back those in line, where one does.
    held_back_by: Option<Limit>,
    /// Admissions in a second that are aimed at: those set, or fewer while the load allows no more.
    target_per_second: f64,
    /// Seats left to sell, free or held, where the room sells any.
    seats_left: Option<u64>,
}

impl RoomBody {
    fn new(room: &Room, settings: Settings) -> Self {
        let view = room.view();
        let counts = view.counts;
        Self {
            settings,
            effective_state: view.state,
            active: counts.active,
            waiting: counts.waiting,
            aside: counts.aside,
            pending: counts.pending,
            recalled: counts.recalled,
            admitted: counts.admitted,
            admitted_per_minute: view.admitted_per_minute,
            held_back_by: view.held_back_by,
            target_per_second: view.target_per_second,
            seats_left: view.seats_left,
        }
    }

    fn reply(self) -> Response {
        let etag = HeaderValue::from_str(&format!("\"{}\"", self.settings.version));
        let mut response = axum::Json(self).into_response();
        if let Ok(etag) = etag {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct RoomList {
    rooms: Vec<RoomBody>,
}

refusals!(ListRefusals: AdminUnauthorized);

/// Every room.
#[utoipa::path(
    get, path = "/admin/rooms", tag = "rooms", security(("bearer" = [])),
    responses((status = 200, body = RoomList), ListRefusals)
)]
pub(super) async fn rooms(State(app): State<Shared>, _: Operator) -> Result<Response, Problem> {
    let settings = queue::list_settings(&app.queue).await?;
    let rooms = settings.into_iter().filter_map(|settings| {
        let room = app.queue.room(&RoomName::parse(&settings.name).ok()?)?;
        Some(RoomBody::new(&room, settings))
    });
    Ok(axum::Json(RoomList { rooms: rooms.collect() }).into_response())
}

refusals!(RoomRefusals: AdminUnauthorized, UnknownRoom);

/// One room, with its version as `ETag`.
#[utoipa::path(
    get, path = "/admin/rooms/{room}", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's name")),
    responses((status = 200, body = RoomBody), RoomRefusals)
)]
pub(super) async fn room(
    State(app): State<Shared>,
    _: Operator,
    Path(name): Path<RoomName>,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    let settings = queue::find_settings(&app.queue, &name).await?;
    let settings = settings.ok_or_else(|| Problem::new(Code::UnknownRoom))?;
    Ok(RoomBody::new(&room, settings).reply())
}

refusals!(ChangeRefusals: AdminUnauthorized, UnknownRoom, StaleVersion, ValidationFailed, MalformedBody);

/// Changes what is given. With `If-Match`, only if nobody changed the room meanwhile.
#[utoipa::path(
    patch, path = "/admin/rooms/{room}", tag = "rooms", security(("bearer" = [])), request_body = Change,
    params(
        ("room" = String, Path, description = "The room's name"),
        ("If-Match" = Option<String>, Header, description = "The version that is to be changed"),
    ),
    responses((status = 200, body = RoomBody), ChangeRefusals)
)]
pub(super) async fn change(
    State(app): State<Shared>,
    _: Operator,
    Path(name): Path<RoomName>,
    headers: HeaderMap,
    Json { value, .. }: Json<Change>,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    let settings = queue::change(&app.queue, &room, version(&headers), &value).await?;
    Ok(RoomBody::new(&room, settings).reply())
}

#[derive(Serialize, ToSchema)]
pub(super) struct Invariants {
    ok: bool,
    #[schema(value_type = Vec<serde_json::Value>)]
    checks: Vec<Check>,
}

/// The invariants, looked at in the stores themselves.
#[utoipa::path(
    get, path = "/admin/invariants", tag = "checks", security(("bearer" = [])),
    responses((status = 200, body = Invariants), ListRefusals)
)]
pub(super) async fn invariants(State(app): State<Shared>, _: Operator) -> Result<Response, Problem> {
    let checks = booking::check(&app.booking).await?;
    Ok(axum::Json(Invariants { ok: checks.iter().all(|check| check.ok), checks }).into_response())
}

/// What Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "checks", responses((status = 200, content_type = "text/plain")))]
pub(super) async fn scrape() -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::recorder().render()).into_response()
}

fn known(app: &App, name: &RoomName) -> Result<Arc<Room>, Problem> {
    app.queue.room(name).ok_or_else(|| Problem::new(Code::UnknownRoom))
}

/// What `If-Match` says where it names no version of ours: a version that no room ever has, they count from 1.
const NO_VERSION: i64 = 0;

/// The version in `If-Match`: none, or `*`, for whatever is there.
fn version(headers: &HeaderMap) -> Option<i64> {
    let told = headers.get(IF_MATCH)?.to_str().unwrap_or_default();
    let told = told.trim().trim_start_matches("W/").trim_matches('"');
    if told == "*" { None } else { Some(told.parse().unwrap_or(NO_VERSION)) }
}
