//! Who books: an account by its cookie, in the room that its token leads to.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::caller::Shared;
use super::super::origin::meant;
use super::super::problem::Problem;
use super::super::request::{Query, bearer};
use super::language::Language;
use super::wait::Asked;
use super::words::{Words, words};
use crate::booking::Standing;
use crate::ids::{RoomName, ScheduleId, UserId};
use crate::queue::{self, Admission, Session, Who};
use crate::token::Opened;

/// Where the shop begins.
pub(super) const SHOP: &str = "/book";

/// An account in front of the shop, inside or not: it may look at what it has.
pub(super) struct Guest {
    pub(super) app: Shared,
    pub(super) user: UserId,
    pub(super) words: &'static Words,
    /// The choice of a language that the address makes.
    pub(super) chosen: bool,
    pub(super) headers: HeaderMap,
    opened: Arc<Opened<Session>>,
    path: String,
}

/// An account with a visit.
pub(super) struct Inside(pub(super) Guest);

/// Why somebody does not book: they are sent to wait, or something is wrong.
pub(super) enum Outside {
    Waiting(RoomName, String),
    Problem(Problem),
}

impl<T: Into<Problem>> From<T> for Outside {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

impl IntoResponse for Outside {
    fn into_response(self) -> Response {
        match self {
            Self::Waiting(room, path) => {
                let back: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
                see(&format!("/wait/{room}?return={back}"))
            }
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// Leads a browser on, so that a refresh sends nothing again.
pub(super) fn see(path: &str) -> Response {
    let path = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static(SHOP));
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

impl FromRequestParts<Shared> for Guest {
    type Rejection = Outside;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Outside> {
        let Query(asked) = Query::<Asked>::from_request_parts(parts, app).await?;
        meant(&app.config, &parts.method, &parts.headers)?;
        // After waiting, a form is filled in again: only what is looked at can be led back to.
        let path = if parts.method.is_safe() { parts.uri.path() } else { SHOP };
        let waiting = |room: &RoomName| Outside::Waiting(room.clone(), path.to_owned());
        let opened = bearer(&parts.headers).and_then(|token| app.queue.open(token).ok());
        let opened = opened.ok_or_else(|| waiting(&app.default_room))?;
        let Who::Account(user) = opened.value.who.clone() else {
            return Err(waiting(&opened.value.claims.room));
        };
        let words = words(Language::wanted(asked.lang.as_deref(), &parts.headers));
        let (headers, path) = (parts.headers.clone(), path.to_owned());
        Ok(Self { app: Arc::clone(app), user, words, chosen: asked.lang.is_some(), headers, opened, path })
    }
}

impl FromRequestParts<Shared> for Inside {
    type Rejection = Outside;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Outside> {
        Guest::from_request_parts(parts, app).await?.inside().await
    }
}

impl Guest {
    /// The room whose schedules they may book.
    pub(super) fn room(&self) -> &RoomName {
        &self.opened.value.claims.room
    }

    /// Goes on only with a visit; whoever has none is sent to wait for one.
    pub(super) async fn inside(self) -> Result<Inside, Outside> {
        match queue::check_visit(&self.app.queue, &self.opened.value).await? {
            Admission::Admitted { .. } => Ok(Inside(self)),
            Admission::NotAdmitted(_) => Err(Outside::Waiting(self.room().clone(), self.path)),
        }
    }

    /// Goes on only with a visit in the room that the schedule belongs to: a visit opens its own room alone.
    pub(super) async fn inside_for(self, schedule: ScheduleId) -> Result<Inside, Outside> {
        match self.app.seats.schedule(schedule).filter(|schedule| schedule.room != *self.room()) {
            Some(elsewhere) => Err(Outside::Waiting(elsewhere.room.clone(), self.path)),
            None => self.inside().await,
        }
    }

    pub(super) fn standing(&self) -> Standing<'_> {
        Standing { user: &self.user, room: self.room() }
    }
}
