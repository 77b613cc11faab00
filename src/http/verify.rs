//! The gate for any site: a proxy asks, for each request, whether its visitor is inside.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::caller::Shared;
use super::problem::{Code, Problem};
use super::reply::admission_required;
use super::request::{Query, authorization, cookie};
use super::way_back::waiting_page;
use crate::app::App;
use crate::clock;
use crate::ids::{RoomName, UserId};
use crate::queue::{self, Admission, Answer, PollError, Session, Who};
use crate::refusals;
use crate::token::{Opened, TokenRefusal};

const USER: HeaderName = HeaderName::from_static("x-queue-user");
const ROOM: HeaderName = HeaderName::from_static("x-queue-room");
const UNTIL: HeaderName = HeaderName::from_static("x-queue-until");
const REDIRECT: HeaderName = HeaderName::from_static("x-queue-redirect");

/// How those are answered who are not inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// 401, for nginx: its `auth_request` takes only 2xx, 401 and 403.
    #[default]
    Status,
    /// 303 to the waiting page, for proxies that hand the answer on.
    Redirect,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct VerifyQuery {
    /// The room that leads to the site. Where none is named: the room of the token, else the default room.
    #[param(value_type = Option<String>)]
    room: Option<RoomName>,
    /// How those are answered who are not inside: `status` (401) or `redirect` (303).
    #[serde(default)]
    #[param(inline)]
    mode: Mode,
}

/// What is known of a visitor whom a proxy asks about.
enum Found {
    Inside { user: UserId, room: RoomName, ends_ms: i64 },
    Outside { place: Option<Answer> },
}

refusals!(VerifyRefusals: AdmissionRequired, InvalidToken, TokenExpired, UnknownRoom, ValidationFailed);

/// Whether a visitor is inside, for a proxy in front of any site: nginx `auth_request`, Traefik `ForwardAuth`, Caddy
/// `forward_auth`, Envoy `ext_authz`, haproxy.
///
/// Takes the token as every request does, from `Authorization` or from the cookie `anteroom_token`. Where the visitor was
/// going is read from `X-Original-URL`, `X-Original-URI` or `X-Forwarded-Uri` (with `X-Forwarded-Host` and
/// `X-Forwarded-Proto`), so that the waiting page can lead back. Any method is answered like `GET`. Asking claims the visit
/// and keeps it from idling. 503 where the service cannot know: it is for the proxy to let pass or not.
#[utoipa::path(
    get, path = "/queue/verify", tag = "gate", security((), ("bearer" = [])), params(VerifyQuery),
    responses(
        (status = 200, description = "Inside.", headers(
            ("X-Queue-User" = String, description = "The account."),
            ("X-Queue-Room" = String, description = "The room."),
            ("X-Queue-Until" = String, description = "The end of the visit, RFC 3339."),
        )),
        (status = 303, description = "Not inside, in mode `redirect`.", headers(
            ("Location" = String, description = "The waiting page, with the way back."),
            ("X-Queue-Redirect" = String, description = "The same."),
        )),
        VerifyRefusals,
    )
)]
pub(super) async fn verify(
    State(app): State<Shared>,
    Query(query): Query<VerifyQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let opened = opened(&app, &headers);
    let session = opened.as_ref().and_then(|opened| opened.as_ref().ok()).map(|opened| &opened.value);
    let room = query.room.or_else(|| session.map(|session| session.claims.room.clone()));
    let room = room.unwrap_or_else(|| app.default_room.clone());
    app.queue.room(&room).ok_or_else(|| Problem::new(Code::UnknownRoom))?;
    let place = match look(&app, session, &room).await? {
        Found::Inside { user, room, ends_ms } => return Ok(inside(&user, &room, ends_ms)),
        Found::Outside { place } => place,
    };
    let page = header(&waiting_page(&app.config, &room, &headers))?;
    let mut response = match (query.mode, opened) {
        (Mode::Redirect, _) => (StatusCode::SEE_OTHER, [(LOCATION, page.clone())]).into_response(),
        (Mode::Status, Some(Err(refusal))) => Problem::from(refusal).into_response(),
        (Mode::Status, None) => Problem::new(Code::InvalidToken).into_response(),
        (Mode::Status, Some(Ok(_))) => admission_required(place.as_ref()).into_response(),
    };
    response.headers_mut().insert(REDIRECT, page);
    Ok(response)
}

/// The same for the methods that are not documented: Envoy asks with the one of its visitor.
pub(super) fn other_methods() -> MethodRouter<Shared> {
    delete(verify).post(verify).put(verify).patch(verify).options(verify)
}

/// The visitor's token. The site behind the gate may have tokens of its own in `Authorization`: one that is none of ours hides no
/// cookie.
fn opened(app: &App, headers: &HeaderMap) -> Option<Result<Arc<Opened<Session>>, TokenRefusal>> {
    let shown = authorization(headers).map(|token| app.queue.open(token));
    match shown {
        Some(Err(TokenRefusal::Invalid)) | None => cookie(headers).map(|token| app.queue.open(token)).or(shown),
        shown => shown,
    }
}

async fn look(app: &App, session: Option<&Session>, room: &RoomName) -> Result<Found, Problem> {
    let Some(session) = session.filter(|session| session.claims.room == *room) else {
        return Ok(Found::Outside { place: None });
    };
    match (queue::check_visit(&app.queue, session).await, &session.who) {
        (Ok(Admission::Admitted { ends_ms }), Who::Account(user)) => {
            Ok(Found::Inside { user: user.clone(), room: room.clone(), ends_ms })
        }
        (Ok(Admission::Admitted { .. }) | Err(PollError::Refused), _) => Ok(Found::Outside { place: None }),
        (Ok(Admission::NotAdmitted(answer)), _) => Ok(Found::Outside { place: Some(answer) }),
        (Err(PollError::Fault(fault)), _) => Err(fault.into()),
    }
}

fn inside(user: &UserId, room: &RoomName, ends_ms: i64) -> Response {
    let until = clock::rfc3339(clock::from_unix_ms(ends_ms));
    let told = [(USER, user.as_str()), (ROOM, room.as_str()), (UNTIL, until.as_str())];
    let told = told.map(|(name, value)| header(value).map(|value| (name, value)));
    let mut response = StatusCode::OK.into_response();
    response.headers_mut().extend(told.into_iter().flatten());
    response
}

fn header(value: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(value).map_err(|e| Problem::new(Code::InternalError).cause(e.to_string()))
}
