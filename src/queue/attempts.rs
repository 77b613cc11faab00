//! Login attempts in line: they have a number from their arrival, and nothing else until the password was checked.

use std::sync::Arc;
use std::time::Duration;

use super::memo::{Check, Session, Who};
use super::place::{self, Found, JoinError, Place, PollError, Status};
use super::receipt::{self, Bearer, Own};
use super::recovery::believing;
use super::{Queue, Room, draw};
use crate::clock;
use crate::error::Fault;
use crate::ids::{self, Number, UserId};
use crate::store::scripts::queue::{
    self as scripts, AttemptStanding, Device, JoinedAttempt, Left, Terms, Undone, VerifyAnswer,
};

/// For how long the outcome of an attempt is remembered, ms.
const LIFE_MS: i64 = 600_000;

/// An attempt keeps its number for this long unless the process that checks it says that it is still there, ms: a
/// process that was killed checks nothing any more.
const LEASE_MS: i64 = 30_000;

/// How often a process says so.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// When an outcome that the line did not take in is told again: many times before a lease ends.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

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
        let found = Found::Verifying { position: self.position, in_line: self.in_line, lasted_ms: 0 };
        let mut place = place::describe(room, Some(user.clone()), &found);
        place.token = Some(receipt::sign(queue, room, Bearer::Attempt(&self.id, user), Own::since_now(self.number))?);
        Ok(place)
    }
}

/// Takes a number for a login whose password is yet to be checked. Where the room draws, it is the one that the account
/// which it claims to be would draw: it becomes that account's, or nobody's.
pub async fn take_attempt(queue: &Queue, room: &Arc<Room>, claimed: &UserId) -> Result<Attempt, JoinError> {
    // No username has a ~ in it: an attempt is nobody's account, whatever name one signs up under.
    let id = format!("~{}", ids::new_uuid().simple());
    let terms = Terms { life_ms: LIFE_MS, lease_ms: LEASE_MS };
    let drawn = draw::guess(room, claimed);
    let mut joined = believing!(queue, room, |line| scripts::join_attempt(line, &id, terms, &drawn))?;
    if let JoinedAttempt::Draws { id: on } = &joined {
        // Boxed: it is rare, and would make every future of a newcomer larger.
        let drawn = Box::pin(draw::told(queue, room, claimed, on)).await?;
        joined = believing!(queue, room, |line| scripts::join_attempt(line, &id, terms, &drawn))?;
    }
    match joined {
        JoinedAttempt::Draws { .. } => Err(JoinError::Fault(Fault::Lost)),
        JoinedAttempt::Closed => Err(JoinError::Closed),
        JoinedAttempt::Full => Err(JoinError::Full),
        JoinedAttempt::Pending { number, position, in_line } => {
            queue.memos.of(&room.name, &id).note_check(Check::UnderWay);
            Ok(Attempt { id, position, in_line, number })
        }
    }
}

/// The password is still being checked: the attempt keeps its number.
pub async fn renew_attempt(queue: &Queue, room: &Arc<Room>, attempt: &str) -> Result<(), Fault> {
    believing!(queue, room, |line| scripts::renew_attempt(line, attempt, LEASE_MS))?;
    Ok(())
}

/// The password was right: the attempt's number becomes the account's, unless the account has an earlier one.
pub async fn verify_attempt(
    queue: &Queue,
    room: &Arc<Room>,
    attempt: &Attempt,
    (user, device): (&UserId, Device),
) -> Result<(), Fault> {
    let (own, by) = ((attempt.id.as_str(), attempt.number), (user, device));
    let verify = || async move { believing!(queue, room, |line| scripts::verify_attempt(line, own, by, LIFE_MS)) };
    let verified = insist(verify).await;
    settle(queue, room, &attempt.id, Check::Right(user.clone()));
    if let VerifyAnswer::Verified { .. } = verified? {
        room.wake();
    }
    Ok(())
}

/// The password could not be checked: the attempt's number is gone, and its token says that the place is over.
pub async fn drop_attempt(queue: &Queue, room: &Arc<Room>, attempt: &str) -> Result<(), Fault> {
    undo(queue, room, attempt, FORGOTTEN_MS).await
}

/// The password was wrong: the attempt's number is gone.
pub async fn refuse_attempt(queue: &Queue, room: &Arc<Room>, attempt: &str) -> Result<(), Fault> {
    undo(queue, room, attempt, LIFE_MS).await
}

async fn undo(queue: &Queue, room: &Arc<Room>, attempt: &str, told_ms: i64) -> Result<(), Fault> {
    let why = Undone::Refused;
    let refuse = || async move { believing!(queue, room, |line| scripts::refuse_attempt(line, attempt, why, told_ms)) };
    let refused = insist(refuse).await;
    settle(queue, room, attempt, Check::Nothing);
    refused.map(drop)
}

/// Tells the line what became of an attempt, again and again until it takes it in: a Redis that is away for a moment
/// costs nobody their number. After as long as an outcome is remembered nobody asks for it any more.
async fn insist<T, F: Future<Output = Result<T, Fault>>>(tell: impl Fn() -> F) -> Result<T, Fault> {
    let began_ms = clock::uptime_ms();
    loop {
        match tell().await {
            Err(fault) if clock::uptime_ms() - began_ms < LIFE_MS.unsigned_abs() => {
                tracing::debug!(%fault, "what became of a login is told to the line again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            done => return done,
        }
    }
}

/// From now on this process is done with the attempt's password.
fn settle(queue: &Queue, room: &Room, attempt: &str, check: Check) {
    let memo = queue.memos.of(&room.name, attempt);
    memo.note_check(check);
    memo.forget();
}

/// Withdraws an attempt; where its password was found right before that, its account leaves.
pub(super) async fn withdraw(queue: &Queue, room: &Arc<Room>, session: &Session, attempt: &str) -> Result<Left, Fault> {
    if believing!(queue, room, |line| scripts::refuse_attempt(line, attempt, Undone::Withdrawn, LIFE_MS))? {
        return Ok(Left::Place);
    }
    let Some(user) = account_of(queue, session).await? else { return Ok(Left::Nothing) };
    let left = believing!(queue, room, |line| scripts::leave(line, &user))?;
    queue.memos.of(&room.name, user.as_str()).forget();
    Ok(left)
}

/// The account that a session speaks for: of an attempt, the one that has its number once the password was found right.
pub async fn account_of(queue: &Queue, session: &Session) -> Result<Option<UserId>, Fault> {
    let attempt = match &session.who {
        Who::Account(user) => return Ok(Some(user.clone())),
        Who::Attempt(attempt) => attempt,
    };
    let room = queue.room_of(session)?;
    match (believing!(queue, &room, |line| scripts::attempt_place(line, attempt))?, session.memo.check()) {
        (AttemptStanding::Verified { user, .. }, _) | (AttemptStanding::Gone, Check::Right(user)) => Ok(Some(user)),
        _ => Ok(None),
    }
}

/// Where an attempt stands; once verified, where its account stands, with the account's token.
pub(super) async fn ask(queue: &Queue, room: &Arc<Room>, session: &Session, attempt: &str) -> Result<Place, PollError> {
    let claimed = || session.claims.claimed.clone();
    match believing!(queue, room, |line| scripts::attempt_place(line, attempt))? {
        AttemptStanding::Pending { position, in_line } => {
            Ok(place::describe(room, claimed(), &Found::Verifying { position, in_line, lasted_ms: lasted_ms(session) }))
        }
        AttemptStanding::Gone => ask_of_forgotten(queue, room, session).await,
        AttemptStanding::Left => Ok(place::describe(room, claimed(), &Found::Over(Status::Left))),
        AttemptStanding::Refused => Err(PollError::Refused),
        AttemptStanding::Verified { user, number } => Ok(become_account(queue, room, session, (&user, number)).await?),
    }
}

/// For how long the password of an attempt is being checked: since its token was made, to the second.
fn lasted_ms(session: &Session) -> i64 {
    (clock::unix_ms() - session.claims.iat * 1_000).max(0)
}

/// An attempt that Redis forgot or gave up is still being checked where this process checks it; one that was found
/// right stands where its number says.
async fn ask_of_forgotten(queue: &Queue, room: &Arc<Room>, session: &Session) -> Result<Place, PollError> {
    let claimed = session.claims.claimed.clone();
    match session.memo.check() {
        Check::UnderWay => {
            let in_line = room.view().counts.in_line();
            let found = Found::Verifying { position: None, in_line, lasted_ms: lasted_ms(session) };
            Ok(place::describe(room, claimed, &found))
        }
        Check::Right(user) => {
            let number = receipt::number_of(room, &session.claims, &user);
            Ok(become_account(queue, room, session, (&user, number)).await?)
        }
        Check::Nothing => Ok(place::describe(room, claimed, &Found::Over(Status::Expired))),
    }
}

async fn become_account(
    queue: &Queue,
    room: &Arc<Room>,
    session: &Session,
    account: (&UserId, Number),
) -> Result<Place, Fault> {
    let (user, number) = account;
    // The account has it since the attempt has: however often the attempt asks, the number becomes no younger.
    let own = Own { number, since: session.claims.since() };
    let (found, back) =
        place::find(queue, room, user, session.claims.epoch, || own.shown(session.claims.epoch)).await?;
    let mut place = place::describe(room, Some(user.clone()), &found);
    place.token = Some(receipt::sign(queue, room, Bearer::Account(user), back.map_or(own, Own::since_now))?);
    Ok(place)
}
