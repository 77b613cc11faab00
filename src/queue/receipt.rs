//! Receipts: the tokens that say who has which number, and what they are worth later.

use super::{Queue, Room, draw};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, Number, UserId};
use crate::store::scripts::queue::Shown;
use crate::token::{Claims, Use};

/// What a caller without a token shows: no number of an earlier epoch.
pub(super) const NOTHING_SHOWN: Shown = Shown { epoch: Epoch(0), number: Number(0), since_ms: 0 };

/// An account's number, and since when it has it, in seconds since the Unix epoch.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) number: Number,
    pub(super) since: i64,
}

impl Own {
    /// A number that was given just now.
    pub(super) fn since_now(number: Number) -> Self {
        Self { number, since: clock::unix_ms() / 1_000 }
    }

    /// What whoever has it shows, given in that epoch.
    pub(super) fn shown(self, epoch: Epoch) -> Shown {
        Shown { epoch, number: self.number, since_ms: self.since * 1_000 }
    }
}

/// The number that a token stands for: the one it tells, or what this account drew.
pub(super) fn number_of(room: &Room, claims: &Claims, user: &UserId) -> Number {
    let drawn = || draw::drawn(room, claims.draw.as_deref()?, user);
    claims.number.or_else(drawn).unwrap_or(NOTHING_SHOWN.number)
}

/// Whom a token is for.
#[derive(Clone, Copy)]
pub(super) enum Bearer<'a> {
    Account(&'a UserId),
    /// A login attempt, and the account that it says it is.
    Attempt(&'a str, &'a UserId),
}

/// Signs who has which number in which room. A number that was drawn is not told.
pub(super) fn sign(queue: &Queue, room: &Room, bearer: Bearer<'_>, own: Own) -> Result<String, Fault> {
    let iat = clock::unix_ms() / 1_000;
    let draw = draw::of(room, own.number);
    let (sub, purpose, claimed) = match bearer {
        Bearer::Account(user) => (user.as_str(), Use::Place, None),
        Bearer::Attempt(attempt, claimed) => (attempt, Use::Attempt, Some(claimed.clone())),
    };
    queue.tokens.sign(&Claims {
        sub: sub.to_owned(),
        claimed,
        room: room.name.clone(),
        epoch: room.epoch(),
        number: Some(own.number).filter(|_| draw.is_none()),
        draw,
        since: Some(own.since).filter(|since| *since != iat),
        purpose,
        iat,
        exp: iat + queue.token_seconds,
    })
}

/// Whether a token is to be replaced by the next place.
pub(super) fn ends_soon(queue: &Queue, exp: i64) -> bool {
    exp - clock::unix_ms() / 1_000 < queue.token_seconds / 4
}
