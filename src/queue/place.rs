//! A visitor's place: taking it, asking for it, giving it up.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::memo::{Last, Memo, Session, Who};
use super::receipt::{self, Bearer, NOTHING_SHOWN, Own};
use super::recovery::believing;
use super::waits::{self, Eta, Slower};
use super::{Queue, Room, State, attempts, draw, together};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, Number, RoomName, UserId};
use crate::store::scripts::queue::{self as scripts, CameBack, Device, Door, Joined, Left, Shown, Standing};

/// An active visitor need not ask often, ms.
const ACTIVE_POLL_MS: u64 = 5_000;
/// Whoever has no place any more need not ask often either, ms.
const OVER_POLL_MS: u64 = 10_000;
/// While the room recovers everyone is asked for soon, so that all are back in time, ms.
const RECOVERING_POLL_MS: u64 = 3_000;
/// No answer is given again after this long when admission may be near, ms.
const NEAR_ANSWER_MS: u64 = 2_000;
/// Admission may be near below this wait, in seconds, or this position.
const NEAR_SECONDS: u64 = 20;
const NEAR_POSITION: u64 = 100;

/// What a visitor's place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The password is being checked; the number is kept meanwhile.
    Verifying,
    /// In line before the opening.
    Scheduled,
    /// In line.
    Waiting,
    /// Inside.
    Active,
    /// Place or visit ended.
    Expired,
    /// Given up by the visitor.
    Left,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Verifying, Self::Scheduled, Self::Waiting, Self::Active, Self::Expired, Self::Left];

    /// The status as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verifying => "verifying",
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Left => "left",
        }
    }
}

/// Where a visitor stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The account; of an attempt, the one that it says it is.
    pub user_id: Option<UserId>,
    /// The room.
    pub room: RoomName,
    /// What the room does now.
    pub room_state: State,
    /// What the place is.
    pub status: Status,
    /// 1 + those with an earlier number who may still come. Null unless in line, and while the room recovers.
    pub position: Option<u64>,
    /// Grows when the line had to be set up anew.
    pub epoch: Epoch,
    /// How many are in line in all.
    pub waiting: u64,
    /// The waiting time, when it is known.
    pub eta: Option<Eta>,
    /// Why the waiting time is longer than the one told before, or no longer known; null otherwise.
    pub eta_reason: Option<Slower>,
    /// When to ask again, in milliseconds.
    pub poll_after_ms: u64,
    /// End of the visit.
    pub active_until: Option<String>,
    /// Replaces the caller's token from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When the room opens.
    pub opens_at: Option<String>,
    /// What the operators say.
    pub message: Option<String>,
    /// The time of this answer.
    pub server_time: String,
    /// True where this is the last answer given again, because Redis does not serve.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// An answer to a visitor, ready to send.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The place.
    pub place: Arc<Place>,
    /// The place as JSON.
    pub body: Bytes,
}

/// Why no place was given.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The room takes nobody in.
    #[error("the room is closed")]
    Closed,
    /// The line is as long as it may be.
    #[error("the line is full")]
    Full,
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The attempt's password was wrong.
    #[error("wrong username or password")]
    Refused,
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Where someone was found, before it is put into words. `lasted_ms`: for how long the password is being checked.
pub(super) enum Found {
    InLine { position: Option<u64>, in_line: u64 },
    Verifying { position: Option<u64>, in_line: u64, lasted_ms: i64 },
    Active { ends_ms: i64 },
    Over(Status),
}

/// Takes a place for an account whose password was checked. The place carries the token.
pub async fn join(queue: &Queue, room: &Arc<Room>, user: &UserId, device: Device) -> Result<Place, JoinError> {
    let door = if queue.postgres_serves() { Door::Open } else { Door::Shut };
    let comes = (door, device);
    let drawn = draw::guess(room, user);
    let mut joined = believing!(queue, room, |line| scripts::join(line, user, comes, &drawn))?;
    if let Joined::Draws { id } = &joined {
        // Boxed: it is rare, and would make every future of a newcomer larger.
        let drawn = Box::pin(draw::told(queue, room, user, id)).await?;
        joined = believing!(queue, room, |line| scripts::join(line, user, comes, &drawn))?;
    }
    let (found, number) = match joined {
        // The opening came between the two: whoever asks again has a place.
        Joined::Draws { .. } => return Err(JoinError::Fault(Fault::Lost)),
        Joined::Active { number, ends_ms } => (Found::Active { ends_ms }, number),
        Joined::Recovering { number, in_line } => (Found::InLine { position: None, in_line }, number),
        Joined::Waiting { number, position, in_line } => (Found::InLine { position: Some(position), in_line }, number),
        Joined::Closed => return Err(JoinError::Closed),
        Joined::Full => return Err(JoinError::Full),
        Joined::Kept => {
            let (found, number) = find(queue, room, user, NOTHING_SHOWN.epoch, || NOTHING_SHOWN).await?;
            (found, number.unwrap_or(NOTHING_SHOWN.number))
        }
    };
    let place = describe(room, Some(user.clone()), &found);
    let place = (*keep(room, &queue.memos.of(&room.name, user.as_str()), place)?.place).clone();
    let token = receipt::sign(queue, room, Bearer::Account(user), Own::since_now(number))?;
    Ok(Place { token: Some(token), ..place })
}

/// Where a visitor stands now. Asked much too early, the answer is the last one, from memory.
pub async fn poll(queue: &Queue, session: &Session) -> Result<Answer, PollError> {
    if let Some(Last { place, body, .. }) = session.memo.early() {
        return Ok(Answer { place, body });
    }
    match look(queue, session).await {
        Err(PollError::Fault(fault)) => stale(&session.memo).ok_or(PollError::Fault(fault)),
        other => other,
    }
}

/// The same, from Redis in any case.
pub(super) async fn look(queue: &Queue, session: &Session) -> Result<Answer, PollError> {
    let room = queue.room_of(session)?;
    let place = match &session.who {
        Who::Account(user) => ask(queue, &room, session, user).await?,
        // Boxed: it is rare, and would make every poll's future several times as large.
        Who::Attempt(attempt) => Box::pin(attempts::ask(queue, &room, session, attempt)).await?,
    };
    Ok(keep(&room, &session.memo, place)?)
}

/// Gives up place and visit, or withdraws an attempt.
pub async fn leave(queue: &Queue, session: &Session) -> Result<Left, Fault> {
    let room = queue.room_of(session)?;
    let left = match &session.who {
        Who::Account(user) => believing!(queue, &room, |line| scripts::leave(line, user))?,
        Who::Attempt(attempt) => attempts::withdraw(queue, &room, session, attempt).await?,
    };
    session.memo.forget();
    if left == Left::Visit {
        room.wake();
    }
    if left != Left::Nothing {
        metrics::counter!("anteroom_leaves_total", "room" => room.name.to_string(), "reason" => "left").increment(1);
    }
    Ok(left)
}

async fn ask(queue: &Queue, room: &Arc<Room>, session: &Session, user: &UserId) -> Result<Place, Fault> {
    let claims = &session.claims;
    let own = || Own { number: receipt::number_of(room, claims, user), since: claims.since() };
    let (found, back) = find(queue, room, user, claims.epoch, || own().shown(claims.epoch)).await?;
    if back.is_some() {
        session.memo.forget_promise();
    }
    let mut place = describe(room, Some(user.clone()), &found);
    let ends_soon = receipt::ends_soon(queue, claims.exp);
    let in_place = !matches!(found, Found::Over(_));
    if in_place && (ends_soon || back.is_some()) {
        place.token = Some(receipt::sign(queue, room, Bearer::Account(user), back.map_or_else(own, Own::since_now))?);
    }
    Ok(place)
}

/// Finds an account in line or inside, taking it back to an earlier place if it has one. Tells the number where that
/// place had to be looked for: then alone it is reckoned what was shown, of this epoch.
pub(super) async fn find(
    queue: &Queue,
    room: &Arc<Room>,
    user: &UserId,
    epoch: Epoch,
    shown: impl FnOnce() -> Shown,
) -> Result<(Found, Option<Number>), Fault> {
    let standing = believing!(queue, room, |_line| together::standing(queue, room, user))?;
    // Who logged in again while the room recovers may show the number that they had before.
    let earlier = epoch > Epoch(0) && epoch < room.epoch();
    if standing == Standing::Absent || (earlier && matches!(standing, Standing::Recovering { .. })) {
        // Boxed: it is rare, and would make every poll's future several times as large.
        return Box::pin(look_back(queue, room, user, shown())).await;
    }
    Ok((found(&standing), None))
}

/// Takes an account that is neither in line nor inside back to an earlier place, if it has one.
async fn look_back(
    queue: &Queue,
    room: &Arc<Room>,
    user: &UserId,
    shown: Shown,
) -> Result<(Found, Option<Number>), Fault> {
    match believing!(queue, room, |line| scripts::come_back(line, user, shown))? {
        CameBack::Back { number } => {
            room.wake();
            let standing = believing!(queue, room, |_line| together::standing(queue, room, user))?;
            Ok((found(&standing), Some(number)))
        }
        CameBack::Recalled { number, position, in_line } => {
            room.wake();
            Ok((Found::InLine { position, in_line }, Some(number)))
        }
        CameBack::Left => Ok((Found::Over(Status::Left), None)),
        CameBack::Gone => Ok((Found::Over(Status::Expired), None)),
    }
}

fn found(standing: &Standing) -> Found {
    match *standing {
        Standing::Active { ends_ms } => Found::Active { ends_ms },
        Standing::Waiting { position, in_line } => Found::InLine { position: Some(position), in_line },
        Standing::Recovering { in_line } => Found::InLine { position: None, in_line },
        Standing::Absent => Found::Over(Status::Expired),
    }
}

/// Puts what was found into words.
pub(super) fn describe(room: &Room, user_id: Option<UserId>, found: &Found) -> Place {
    let view = room.view();
    let spread = view.per_place_ms();
    let poll_after = |position| waits::poll_after_ms(waits::wait_ms(position, spread), rand::random());
    // Nobody knows their place before the opening of a room that draws.
    let draws = view.state == State::Scheduled && room.draw.load().is_some();
    let (status, position, waiting, poll_after_ms, ends_ms) = match *found {
        Found::InLine { in_line, .. } if draws => (Status::Scheduled, None, in_line, poll_after(in_line), None),
        Found::InLine { position: None, in_line } => (Status::Waiting, None, in_line, RECOVERING_POLL_MS, None),
        Found::InLine { position: Some(position), in_line } => match view.state {
            State::Scheduled => (Status::Scheduled, None, in_line, poll_after(position), None),
            _ => (Status::Waiting, Some(position), in_line, poll_after(position), None),
        },
        Found::Verifying { position, in_line, lasted_ms } => {
            let near = position.unwrap_or(NEAR_POSITION).min(NEAR_POSITION);
            let wait_ms = waits::wait_ms(near, spread).max(waits::check_ms(lasted_ms));
            let position = position.filter(|_| !draws);
            (Status::Verifying, position, in_line, waits::poll_after_ms(wait_ms, rand::random()), None)
        }
        Found::Active { ends_ms } => (Status::Active, None, view.counts.in_line(), ACTIVE_POLL_MS, Some(ends_ms)),
        Found::Over(status) => (status, None, view.counts.in_line(), OVER_POLL_MS, None),
    };
    Place {
        user_id,
        room: room.name.clone(),
        room_state: view.state,
        status,
        position,
        epoch: room.epoch(),
        waiting,
        eta: position.zip(view.pace).and_then(|(position, pace)| pace.eta(position)),
        eta_reason: None,
        poll_after_ms,
        active_until: ends_ms.map(until),
        token: None,
        opens_at: view.opens_at.map(clock::rfc3339),
        message: view.message.clone(),
        server_time: clock::rfc3339(clock::utc()),
        stale: false,
    }
}

/// The end of a visit, as it is written.
pub(super) fn until(ends_ms: i64) -> String {
    clock::rfc3339(clock::from_unix_ms(ends_ms))
}

/// Remembers an answer, so that asking again too early costs nothing, and keeps to what was told before.
pub(super) fn keep(room: &Room, memo: &Memo, mut place: Place) -> Result<Answer, Fault> {
    memo.follow(room, &mut place);
    place.message = room.view().message_in(memo.language());
    let body = Bytes::from(serde_json::to_vec(&place).map_err(|e| Fault::Defect(e.to_string()))?);
    let near = place.position.is_none_or(|position| position <= NEAR_POSITION)
        || place.eta.is_none_or(|eta| eta.p50_seconds < NEAR_SECONDS);
    let half = place.poll_after_ms / 2;
    let early_ms = if near { half.min(NEAR_ANSWER_MS) } else { half };
    let place = Arc::new(place);
    memo.remember(Arc::clone(&place), body.clone(), early_ms);
    Ok(Answer { place, body })
}

/// The last answer, marked as such, where there is one.
fn stale(memo: &Memo) -> Option<Answer> {
    let last = memo.last()?;
    let place = Place { stale: true, ..(*last.place).clone() };
    let body = serde_json::to_vec(&place).ok()?;
    Some(Answer { place: Arc::new(place), body: body.into() })
}
