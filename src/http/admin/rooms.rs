//! Rooms: their settings, and how they stand.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Terms, TermsQuery, known, once};
use crate::http::caller::{Operator, Shared};
use crate::http::problem::{Code, Problem};
use crate::http::request::{Json, MaybeJson, Path, PathName, Raw};
use crate::ids::RoomName;
use crate::queue::{self, Base, Change, Changed, Foresight, Limit, PublicDraw, Room, Settings, State as RoomState};
use crate::refusals;

/// A room: its settings, and how it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RoomBody {
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
    /// How long the next in line waits for each place before them, in milliseconds, as measured.
    wait_per_place_ms: Option<f64>,
    /// How many may be in line: what Redis' memory holds beside all else.
    line_limit: i64,
    /// What is public of the draw, in a room that draws.
    public_draw: Option<PublicDraw>,
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
            wait_per_place_ms: view.wait_per_place_ms(),
            line_limit: view.line_limit,
            public_draw: room.draw().map(|draw| draw.public()),
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
pub(in crate::http) struct RoomList {
    rooms: Vec<RoomBody>,
}

refusals!(ListRefusals: AdminUnauthorized);

/// Every room.
#[utoipa::path(
    get, path = "/admin/rooms", tag = "rooms", security(("bearer" = [])),
    responses((status = 200, body = RoomList), ListRefusals)
)]
pub(in crate::http) async fn list(State(app): State<Shared>, _: Operator) -> Result<Response, Problem> {
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
pub(in crate::http) async fn show(
    State(app): State<Shared>,
    _: Operator,
    Path(name): Path<RoomName>,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    let settings = queue::find_settings(&app.queue, &name).await?;
    let settings = settings.ok_or_else(|| Problem::new(Code::UnknownRoom))?;
    Ok(RoomBody::new(&room, settings).reply())
}

refusals!(
    ChangeRefusals: AdminUnauthorized, UnknownRoom, StaleVersion, ValidationFailed, MalformedBody,
    UnsupportedMediaType, IdempotencyKeyReused, IdempotencyKeyInFlight
);

/// Changes what is given. With `If-Match`, only if nobody changed the room meanwhile. A dry run answers a `Foresight`.
#[utoipa::path(
    patch, path = "/admin/rooms/{room}", tag = "rooms", security(("bearer" = [])), request_body = Change,
    params(
        ("room" = String, Path, description = "The room's name"),
        ("If-Match" = Option<String>, Header, description = "The version that is to be changed"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        TermsQuery,
    ),
    responses((status = 200, body = RoomBody), ChangeRefusals)
)]
pub(in crate::http) async fn change(
    State(app): State<Shared>,
    terms: Terms,
    Path(name): Path<RoomName>,
    Json { value, body_hash }: Json<Change>,
) -> Result<Response, Problem> {
    let Terms { version, key, dry_run } = terms;
    let order = Order { version, change: value, base: Base::Present, dry_run };
    once(app, &format!("change-room {name}"), (key, body_hash), move |app| order.carry_out(app, name)).await
}

/// Makes a room, or sets it anew: what is not given becomes the default. With `If-Match`, only if nobody changed the room
/// meanwhile. A dry run answers a `Foresight`.
#[utoipa::path(
    put, path = "/admin/rooms/{room}", tag = "rooms", security(("bearer" = [])), request_body = Change,
    params(
        ("room" = String, Path, description = "The room's name: 1 to 32 of a-z, 0-9 and -"),
        ("If-Match" = Option<String>, Header, description = "The version that is to be replaced"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        TermsQuery,
    ),
    responses((status = 200, body = RoomBody), (status = 201, body = RoomBody), ChangeRefusals)
)]
pub(in crate::http) async fn replace(
    State(app): State<Shared>,
    terms: Terms,
    Path(Raw(name)): Path<Raw>,
    Json { value, body_hash }: Json<Change>,
) -> Result<Response, Problem> {
    let name = RoomName::parse(&name).map_err(|e| Problem::invalid("room", e.0))?;
    let Terms { version, key, dry_run } = terms;
    let order = Order { version, change: value, base: Base::Defaults, dry_run };
    once(app, &format!("put-room {name}"), (key, body_hash), move |app| order.carry_out(app, name)).await
}

/// What is done to a room with one word.
#[derive(Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::http) enum Verb {
    Open,
    Pause,
    Resume,
    Drain,
    Close,
}

impl PathName for Verb {
    fn read(text: &str) -> Result<Self, Code> {
        let verbs = [Self::Open, Self::Pause, Self::Resume, Self::Drain, Self::Close];
        verbs.into_iter().find(|verb| verb.name() == text).ok_or(Code::NotFound)
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::Close => "close",
        }
    }

    fn state(self) -> RoomState {
        match self {
            Self::Open | Self::Resume => RoomState::Open,
            Self::Pause => RoomState::Paused,
            Self::Drain => RoomState::Draining,
            Self::Close => RoomState::Closed,
        }
    }
}

/// Why something is done, for the audit.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::http) struct Why {
    /// At most 500 characters.
    pub(super) reason: Option<String>,
}

refusals!(
    VerbRefusals: AdminUnauthorized, UnknownRoom, NotFound, StaleVersion, ValidationFailed, MalformedBody,
    IdempotencyKeyReused, IdempotencyKeyInFlight
);

/// Opens, pauses, resumes, drains or closes a room: the same as changing its `state`. The body may be left out.
#[utoipa::path(
    post, path = "/admin/rooms/{room}/{verb}", tag = "rooms", security(("bearer" = [])), request_body = Option<Why>,
    params(
        ("room" = String, Path, description = "The room's name"),
        ("verb" = Verb, Path, description = "What to do"),
        ("If-Match" = Option<String>, Header, description = "The version that is to be changed"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        TermsQuery,
    ),
    responses((status = 200, body = RoomBody), VerbRefusals)
)]
pub(in crate::http) async fn say(
    State(app): State<Shared>,
    terms: Terms,
    Path((name, verb)): Path<(RoomName, Verb)>,
    MaybeJson { value: Why { reason }, body_hash }: MaybeJson<Why>,
) -> Result<Response, Problem> {
    let change = Change { state: Some(verb.state()), reason, ..Change::default() };
    let Terms { version, key, dry_run } = terms;
    let order = Order { version, change, base: Base::Present, dry_run };
    let what = format!("{} {name}", verb.name());
    once(app, &what, (key, body_hash), move |app| order.carry_out(app, name)).await
}

/// A change that was asked for.
struct Order {
    version: Option<i64>,
    change: Change,
    base: Base,
    dry_run: bool,
}

impl Order {
    async fn carry_out(self, app: Shared, name: RoomName) -> Result<Response, Problem> {
        let Self { version, change, base, dry_run } = self;
        if dry_run {
            let changed = queue::preview(&app.queue, &name, version, &change, base).await?;
            return Ok(axum::Json(foresee(&app, &name, &changed)).into_response());
        }
        let (changed, room) = queue::change(&app.queue, &name, version, &change, base).await?;
        let mut response = RoomBody::new(&room, changed.after).reply();
        if changed.before.is_none() {
            *response.status_mut() = StatusCode::CREATED;
        }
        Ok(response)
    }
}

fn foresee(app: &Shared, name: &RoomName, changed: &Changed) -> Foresight {
    queue::foresee(app.queue.room(name).as_deref(), changed)
}
