//! The line's scripts: one function each.

mod admission;
mod attempts;
mod draw;
mod listening;
mod operators;
mod order;

use super::{Reply, script};
use crate::error::Fault;
use crate::ids::{Epoch, Number, UserId};
use crate::store::Redis;
use crate::store::keys::RoomKeys;
use crate::store::script::Call;

pub(crate) use admission::*;
pub(crate) use attempts::*;
pub(crate) use draw::*;
pub(crate) use listening::*;
pub(crate) use operators::*;
pub(crate) use order::*;

script!(PLACE, "queue/place");
script!(JOIN, "queue/join");
script!(COME_BACK, "queue/come_back");
script!(LEAVE, "queue/leave");
script!(VISIT, "queue/visit");
script!(END_VISIT_SOON, "queue/end_visit_soon");

/// A room as a caller knows it: its keys, and the epoch it believes in.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) redis: &'a Redis,
    pub(crate) keys: &'a RoomKeys,
    pub(crate) epoch: Epoch,
}

/// Where an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Active { ends_ms: i64 },
    Waiting { position: u64, in_line: u64 },
    Recovering { in_line: u64 },
    Absent,
}

/// Where these accounts stand, in their order.
pub(crate) async fn place(
    line: Line<'_>,
    users: impl Iterator<Item = &UserId>,
    wait_per_place_ms: f64,
) -> Result<Vec<Standing>, Fault> {
    let k = line.keys;
    let call =
        Call::new(&PLACE, &[&k.room, &k.waiting, &k.present, &k.aside, &k.pending, &k.active, &k.idle, &k.visits]);
    let named = |call: Call| users.fold(call.arg(wait_per_place_ms), |call, user| call.arg(user.as_str()));
    let reply: Reply = line.redis.call_in(line.epoch.0, call, named).await?;
    if reply.word()? != "told" {
        return Err(reply.unexpected());
    }
    let in_line = reply.count(1)?;
    (2..reply.len()).step_by(2).map(|at| standing(&reply, at, in_line)).collect()
}

fn standing(reply: &Reply, at: usize, in_line: u64) -> Result<Standing, Fault> {
    match reply.text(at)? {
        "active" => Ok(Standing::Active { ends_ms: reply.number(at + 1)? }),
        "absent" => Ok(Standing::Absent),
        "recovering" => Ok(Standing::Recovering { in_line }),
        "waiting" => Ok(Standing::Waiting { position: reply.count(at + 1)?, in_line }),
        _ => Err(reply.unexpected()),
    }
}

/// What asking for a place gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    Active { number: Number, ends_ms: i64 },
    Kept,
    Closed,
    Full,
    Draws { id: String },
    Recovering { number: Number, in_line: u64 },
    Waiting { number: Number, position: u64, in_line: u64 },
}

/// Whether a newcomer may be let in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    Shut,
}

/// For how long it is remembered that someone came by phone, ms: longer than any line. It is forgotten with the place.
const PHONE_REMEMBERED_MS: i64 = 86_400_000;

/// What a visitor came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// It says that it is a phone, whose browser sleeps in the pocket: its place is kept for longer.
    Phone,
    /// Anything else, or nothing was said.
    Other,
}

impl Device {
    /// For how long to remember it, ms.
    fn remembered_ms(self) -> i64 {
        match self {
            Self::Phone => PHONE_REMEMBERED_MS,
            Self::Other => 0,
        }
    }
}

pub(crate) async fn join(
    line: Line<'_>,
    user: &UserId,
    (door, device): (Door, Device),
    drawn: &Drawn,
) -> Result<Joined, Fault> {
    let k = line.keys;
    let call = Call::new(
        &JOIN,
        &[
            &k.room,
            &k.waiting,
            &k.present,
            &k.aside,
            &k.recalled,
            &k.visits,
            &k.active,
            &k.idle,
            &k.left,
            &k.pending,
            &k.drawn,
            &k.phones,
        ],
    );
    let door = i32::from(door == Door::Open);
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            let call = c.arg(user.as_str()).arg(door).arg(&drawn.id).arg(drawn.number.0);
            call.arg(device.remembered_ms())
        })
        .await?;
    match reply.word()? {
        "active" => Ok(Joined::Active { number: Number(reply.number(1)?), ends_ms: reply.number(2)? }),
        "kept" => Ok(Joined::Kept),
        "closed" => Ok(Joined::Closed),
        "full" => Ok(Joined::Full),
        "draws" => Ok(Joined::Draws { id: reply.text(1)?.to_owned() }),
        "recovering" => Ok(Joined::Recovering { number: Number(reply.number(1)?), in_line: reply.count(2)? }),
        "waiting" => Ok(Joined::Waiting {
            number: Number(reply.number(1)?),
            position: reply.count(2)?,
            in_line: reply.count(3)?,
        }),
        _ => Err(reply.unexpected()),
    }
}

/// What is left of an earlier place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CameBack {
    Back { number: Number },
    Recalled { number: Number, position: Option<u64>, in_line: u64 },
    Left,
    Gone,
}

/// The number that an account shows from its token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) epoch: Epoch,
    pub(crate) number: Number,
    pub(crate) since_ms: i64,
}

pub(crate) async fn come_back(line: Line<'_>, user: &UserId, shown: Shown) -> Result<CameBack, Fault> {
    let k = line.keys;
    let call = Call::new(
        &COME_BACK,
        &[
            &k.room,
            &k.waiting,
            &k.present,
            &k.aside,
            &k.grace,
            &k.recalled,
            &k.visits,
            &k.left,
            &k.returned,
            &k.paid,
            &k.active,
            &k.pending,
            &k.drawn,
        ],
    );
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            c.arg(user.as_str()).arg(shown.epoch.0).arg(shown.number.0).arg(shown.since_ms)
        })
        .await?;
    match reply.word()? {
        "back" => Ok(CameBack::Back { number: Number(reply.number(1)?) }),
        "recalled" => Ok(CameBack::Recalled {
            number: Number(reply.number(1)?),
            position: known_position(&reply, 2)?,
            in_line: reply.count(3)?,
        }),
        "left" => Ok(CameBack::Left),
        "gone" => Ok(CameBack::Gone),
        _ => Err(reply.unexpected()),
    }
}

pub(crate) async fn leave(line: Line<'_>, user: &UserId) -> Result<Left, Fault> {
    let k = line.keys;
    let call = Call::new(
        &LEAVE,
        &[
            &k.room,
            &k.waiting,
            &k.present,
            &k.aside,
            &k.grace,
            &k.recalled,
            &k.visits,
            &k.active,
            &k.idle,
            &k.left,
            &k.phones,
        ],
    );
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(user.as_str())).await?;
    match reply.word()? {
        "none" => Ok(Left::Nothing),
        "visit" => Ok(Left::Visit),
        "place" => Ok(Left::Place),
        _ => Err(reply.unexpected()),
    }
}

/// What leaving gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// There was neither place nor visit.
    Nothing,
    /// A visit ended.
    Visit,
    /// A place in line was given up.
    Place,
}

/// Answers the end of the visit, ms, or nothing where there is no visit.
pub(crate) async fn visit(line: Line<'_>, user: &UserId) -> Result<Option<i64>, Fault> {
    let k = line.keys;
    let call = Call::new(&VISIT, &[&k.room, &k.active, &k.idle, &k.visits]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(user.as_str())).await?;
    match reply.word()? {
        "none" => Ok(None),
        "visit" => Ok(Some(reply.number(1)?)),
        _ => Err(reply.unexpected()),
    }
}

/// Answers the end of the visit, ms, or nothing where there is no visit.
pub(crate) async fn end_visit_soon(line: Line<'_>, user: &UserId, in_ms: i64) -> Result<Option<i64>, Fault> {
    let k = line.keys;
    let call = Call::new(&END_VISIT_SOON, &[&k.room, &k.active, &k.paid]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(user.as_str()).arg(in_ms)).await?;
    match reply.word()? {
        "none" => Ok(None),
        "ending" => Ok(Some(reply.number(1)?)),
        _ => Err(reply.unexpected()),
    }
}

/// A position, which is 0 while the room recovers and positions are unknown.
fn known_position(reply: &Reply, at: usize) -> Result<Option<u64>, Fault> {
    Ok(Some(reply.count(at)?).filter(|position| *position > 0))
}
