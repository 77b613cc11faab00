//! Login attempts in line: they have a number from their arrival, and nothing else until the password was checked.

use std::sync::Arc;

use super::memo::Session;
use super::place::{self, Found, JoinError, Place, PollError, Status};
use super::recovery::believing;
use super::{Queue, Room};
use crate::error::Fault;
use crate::ids::{self, Number, UserId};
use crate::store::scripts::queue::{self as scripts, AttemptStanding, JoinedAttempt, Left, Shown, VerifyAnswer};
use crate::token::Use;

/// For how long an attempt that nobody checks keeps its number, and its outcome is remembered, ms.
const LIFE_MS: i64 = 600_000;

/// The outcome of an attempt that came to nothing is forgotten at once, ms: Redis keeps no key for less.
const FORGOTTEN_MS: i64 = 1;

/// An attempt that took a number.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id: the subject of its token.
    pub id: String,
    position: Option<u64>,
    in_line: u64,
    number: Number,
}

impl Attempt {
    /// The attempt's place, with a token that opens its position and nothing else.
    pub fn place(&self, queue: &Queue, room: &Room, user: &UserId) -> Result<Place, Fault> {
        let found = Found::Verifying { position: self.position, in_line: self.in_line };
        let mut place = place::describe(room, Some(user.clone()), &found);
        place.token = Some(place::receipt(queue, room, &self.id, (Use::Attempt, self.number))?);
        Ok(place)
    }
}

/// Takes a number for a login whose password is yet to be checked.
pub async fn take_attempt(queue: &Queue, room: &Arc<Room>) -> Result<Attempt, JoinError> {
    let id = format!("attempt-{}", ids::new_uuid().simple());
    match believing!(queue, room, |line| scripts::join_attempt(line, &id, LIFE_MS))? {
        JoinedAttempt::Closed => Err(JoinError::Closed),
        JoinedAttempt::Full => Err(JoinError::Full),
        JoinedAttempt::Pending { number, position, in_line } => Ok(Attempt { id, position, in_line, number }),
    }
}

/// The password was right: the attempt's number becomes the account's, unless the account has an earlier one.
pub async fn verify_attempt(queue: &Queue, room: &Arc<Room>, attempt: &str, user: &UserId) -> Result<(), Fault> {
    let verified = believing!(queue, room, |line| scripts::verify_attempt(line, attempt, user, LIFE_MS))?;
    if let VerifyAnswer::Verified { .. } = verified {
        room.wake();
    }
    queue.memos.of(&room.name, attempt).forget();
    Ok(())
}

/// The password could not be checked: the attempt's number is gone, and its token says that the place is over.
pub async fn drop_attempt(queue: &Queue, room: &Arc<Room>, attempt: &str) -> Result<(), Fault> {
    believing!(queue, room, |line| scripts::refuse_attempt(line, attempt, FORGOTTEN_MS))?;
    queue.memos.of(&room.name, attempt).forget();
    Ok(())
}

/// The password was wrong: the attempt's number is gone.
pub async fn refuse_attempt(queue: &Queue, room: &Arc<Room>, attempt: &str) -> Result<(), Fault> {
    believing!(queue, room, |line| scripts::refuse_attempt(line, attempt, LIFE_MS))?;
    queue.memos.of(&room.name, attempt).forget();
    Ok(())
}

pub(super) async fn withdraw(queue: &Queue, room: &Arc<Room>, attempt: &str) -> Result<Left, Fault> {
    let waited = believing!(queue, room, |line| scripts::refuse_attempt(line, attempt, LIFE_MS))?;
    Ok(if waited { Left::Place } else { Left::Nothing })
}

/// Where an attempt stands; once verified, where its account stands, with the account's token.
pub(super) async fn ask(queue: &Queue, room: &Arc<Room>, session: &Session, attempt: &str) -> Result<Place, PollError> {
    match believing!(queue, room, |line| scripts::attempt_place(line, attempt))? {
        AttemptStanding::Pending { position, in_line } => {
            Ok(place::describe(room, None, &Found::Verifying { position, in_line }))
        }
        AttemptStanding::Gone => Ok(place::describe(room, None, &Found::Over(Status::Expired))),
        AttemptStanding::Refused => Err(PollError::Refused),
        AttemptStanding::Verified { user, number } => {
            let shown = Shown { epoch: session.claims.epoch, number, since_ms: session.claims.iat * 1_000 };
            let (found, back) = place::find(queue, room, &user, shown).await?;
            let mut place = place::describe(room, Some(user.clone()), &found);
            place.token = Some(place::receipt(queue, room, user.as_str(), (Use::Place, back.unwrap_or(number)))?);
            Ok(place)
        }
    }
}
