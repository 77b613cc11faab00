//! A visitor in front of a room: who they are, where they stand, and in which words they are told.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;

use super::super::caller::Shared;
use super::super::problem::{Code, Problem};
use super::super::way_back::allowed_way_back;
use super::guest::SHOP;
use super::language::Language;
use super::now::{Now, Seen, Standing};
use super::session::{keep, session};
use super::wait::Asked;
use super::words::{Words, words};
use crate::app::App;
use crate::ids::RoomName;
use crate::queue::{self, Answer, PollError, Room, Session};
use crate::seats;
use crate::token::Opened;

/// Where a visitor stands; nothing without a place in this room.
pub(super) type Polled = Result<Option<Answer>, PollError>;

/// A visitor in front of a room: everything that an answer is made of.
pub(super) struct Visitor {
    pub(super) app: Shared,
    pub(super) room: Arc<Room>,
    pub(super) words: &'static Words,
    /// Where they were going, if they said so and it is allowed.
    pub(super) back: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) opened: Option<Arc<Opened<Session>>>,
    /// The line just refused them, being as long as it may be.
    pub(super) full: bool,
}

impl Visitor {
    /// Whoever asks for a room's page.
    pub(super) fn at(app: Shared, name: &RoomName, asked: &Asked, headers: HeaderMap) -> Result<Self, Problem> {
        let room = app.queue.room(name).ok_or_else(|| Problem::new(Code::UnknownRoom))?;
        let words = words(Language::wanted(asked.lang.as_deref(), &headers));
        let back = asked.r#return.as_deref().and_then(|back| allowed_way_back(&app.config, back));
        let opened = session(&app, name, &headers);
        Ok(Self { app, room, words, back, headers, opened, full: false })
    }

    /// Who they are signed in as, in this room.
    pub(super) fn session(&self) -> Option<&Session> {
        self.opened.as_ref().map(|opened| &opened.value)
    }

    /// Where they go when it is their turn: where they were going, else to the shop if the room leads to one.
    pub(super) fn enter(&self) -> Option<&str> {
        let shop = || (!self.app.seats.schedules_of(&self.room.name).is_empty()).then_some(SHOP);
        self.back.as_deref().or_else(shop)
    }

    /// Where the visitor stands; asking is what keeps a place.
    pub(super) async fn poll(&self) -> Polled {
        match self.session() {
            Some(session) => queue::poll(&self.app.queue, session).await.map(Some),
            None => Ok(None),
        }
    }

    /// What they are shown.
    pub(super) async fn now(&self, polled: &Polled) -> Now {
        let (place, session) = match polled {
            Ok(Some(answer)) => (Standing::Known(&answer.place), self.session()),
            Ok(None) | Err(PollError::Refused) => (Standing::None, None),
            Err(PollError::Fault(_)) => (Standing::Untold, self.session()),
        };
        let full = self.full;
        let seen = Seen { room: &self.room, session, place, full, sold_out: sold_out(&self.app, &self.room).await };
        Now::of(&seen, self.words)
    }

    /// Gives the browser the token that replaces its own, where the service made one.
    pub(super) fn renew(&self, response: &mut Response, polled: &Polled) {
        if let Ok(Some(answer)) = polled
            && let Some(token) = &answer.place.token
        {
            keep(response, &self.app.config, &self.headers, token);
        }
    }
}

/// Whether every seat that the room leads to is sold. Who can still give a seat up may, so holds count as left; and so
/// does what nobody can tell.
async fn sold_out(app: &App, room: &Room) -> bool {
    let Ok(overview) = seats::overview(&app.seats, &room.name).await else { return false };
    let all = &overview.performances;
    !all.is_empty() && all.iter().all(|(schedule, snapshot)| snapshot.counts[2] == schedule.plan.seats.len())
}
