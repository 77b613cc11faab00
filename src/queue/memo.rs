//! What a process remembers of a visitor: the last answer, and until when a visit needs no second look.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;

use super::Room;
use super::messages::Language;
use super::place::Place;
use super::waited::Wait;
use crate::clock;
use crate::ids::{RoomName, UserId};
use crate::token::{Claims, Use};

/// Visitors remembered at most; a forgotten one costs one question to Redis.
const REMEMBERED: u64 = 500_000;

/// A visitor not heard of for this long is forgotten: longer than any poll interval.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// For how long a visit that was seen needs no second look, ms.
const VISIT_TRUSTED_MS: u64 = 1_000;

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An account.
    Account(UserId),
    /// A login whose password is not yet checked: it may ask where it stands, and nothing else.
    Attempt(String),
}

/// An opened token: who it is, and what this process remembers of them.
#[derive(Debug)]
pub struct Session {
    /// What the token says.
    pub claims: Claims,
    /// Whom it speaks for.
    pub who: Who,
    pub(super) memo: Arc<Memo>,
}

/// The last answer to a visitor.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) place: Arc<Place>,
    pub(super) body: Bytes,
    /// Until when asking again is too early, by uptime, ms.
    early_until_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Memo {
    last: Mutex<Option<Last>>,
    visit_until_ms: AtomicU64,
    visit_ends_ms: AtomicI64,
    check: Mutex<Check>,
    wait: Mutex<Wait>,
    language: Mutex<Option<Language>>,
}

/// How far this process is with the password of an attempt; told where Redis forgot it.
#[derive(Debug, Clone, Default)]
pub(super) enum Check {
    /// It does not check this one, or the password was wrong.
    #[default]
    Nothing,
    UnderWay,
    Right(UserId),
}

impl Session {
    /// Notes the language that the visitor wants to be told things in.
    pub fn speak(&self, language: Option<Language>) {
        *self.memo.language.lock().unwrap_or_else(PoisonError::into_inner) = language;
    }
}

impl Memo {
    /// The language that the visitor wants to be told things in.
    pub(super) fn language(&self) -> Option<Language> {
        *self.language.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last answer, where asking again is too early.
    pub(super) fn early(&self) -> Option<Last> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|last| clock::uptime_ms() < last.early_until_ms).cloned()
    }

    /// The last answer, however old.
    pub(super) fn last(&self) -> Option<Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn remember(&self, place: Arc<Place>, body: Bytes, early_ms: u64) {
        let last = Last { place, body, early_until_ms: clock::uptime_ms().saturating_add(early_ms) };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// Follows a wait to this answer, which keeps to what was told before.
    pub(super) fn follow(&self, room: &Room, place: &mut Place) {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner).follow(room, place);
    }

    /// The visitor was absent at their turn: what was told before is not to be measured by when they come in.
    pub(super) fn forget_promise(&self) {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner).forget_promise();
    }

    pub(super) fn note_check(&self, check: Check) {
        *self.check.lock().unwrap_or_else(PoisonError::into_inner) = check;
    }

    pub(super) fn check(&self) -> Check {
        self.check.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the answer and the visit: something changed.
    pub(super) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.visit_until_ms.store(0, Ordering::Relaxed);
    }

    /// The end of a visit that was seen less than a second ago, ms.
    pub(super) fn visit(&self) -> Option<i64> {
        let trusted = clock::uptime_ms() < self.visit_until_ms.load(Ordering::Relaxed);
        trusted.then(|| self.visit_ends_ms.load(Ordering::Relaxed))
    }

    pub(super) fn trust_visit(&self, ends_ms: i64) {
        self.visit_ends_ms.store(ends_ms, Ordering::Relaxed);
        let left_ms = u64::try_from(ends_ms.saturating_sub(clock::unix_ms())).unwrap_or(0);
        self.visit_until_ms.store(clock::uptime_ms() + left_ms.min(VISIT_TRUSTED_MS), Ordering::Relaxed);
    }
}

/// One memo for each visitor of a room, however many tokens they have.
pub(super) struct Memos(Cache<(RoomName, String), Arc<Memo>>);

impl Memos {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_idle(FORGOTTEN_AFTER).build())
    }

    pub(super) fn of(&self, room: &RoomName, subject: &str) -> Arc<Memo> {
        self.0.get_with((room.clone(), subject.to_owned()), Arc::default)
    }

    pub(super) fn session(&self, claims: Claims) -> Session {
        let memo = self.of(&claims.room, &claims.sub);
        let account = match claims.purpose {
            Use::Place => UserId::parse(&claims.sub).ok(),
            Use::Attempt => None,
        };
        let who = account.map_or_else(|| Who::Attempt(claims.sub.clone()), Who::Account);
        Session { claims, who, memo }
    }
}
