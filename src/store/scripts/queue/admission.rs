//! The scheduler's scripts: end visits, admit the next, set a room up.

use deadpool_redis::redis;

use super::super::{Reply, script};
use super::Line;
use crate::error::Fault;
use crate::ids::UserId;
use crate::store::Redis;
use crate::store::keys::RoomKeys;
use crate::store::script::{Call, incarnation};

/// Accounts noted by one command at most.
const NOTED_AT_ONCE: usize = 500;

script!(KEEP_VISITS, "queue/keep_visits");
script!(END_VISITS, "queue/end_visits");
script!(END_LINE, "queue/end_line");
script!(ADMIT, "queue/admit");
script!(ADVISE, "queue/advise");
script!(SETUP_ROOM, "queue/setup_room");
script!(CONFIGURE_ROOM, "queue/configure_room");
script!(COUNTS, "queue/counts");

/// A hold that a visit must outlast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlasts {
    /// Until when the visit must last, ms.
    pub(crate) until_ms: i64,
    /// When the hold was made, ms.
    pub(crate) held_ms: i64,
}

pub(crate) async fn keep_visits(line: Line<'_>, holds: &[(UserId, Outlasts)]) -> Result<(), Fault> {
    let k = line.keys;
    let call = Call::new(&KEEP_VISITS, &[&k.room, &k.active, &k.idle, &k.paid, &k.visits]);
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            holds.iter().fold(c, |call, (user, hold)| call.arg(user.as_str()).arg(hold.until_ms).arg(hold.held_ms))
        })
        .await?;
    if reply.word()? == "kept" { Ok(()) } else { Err(reply.unexpected()) }
}

/// What a sweep of a room ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ended {
    pub(crate) over: u64,
    pub(crate) idle: u64,
    pub(crate) unclaimed: u64,
    pub(crate) given_up: u64,
}

pub(crate) async fn end_visits(line: Line<'_>, most: u32, token_ms: i64) -> Result<Ended, Fault> {
    let k = line.keys;
    let call = Call::new(
        &END_VISITS,
        &[
            &k.room,
            &k.present,
            &k.aside,
            &k.grace,
            &k.visits,
            &k.active,
            &k.idle,
            &k.pending,
            &k.left,
            &k.returned,
            &k.paid,
            &k.phones,
            &k.waiting,
        ],
    );
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(most).arg(token_ms)).await?;
    match reply.word()? {
        "ended" => Ok(Ended {
            over: reply.count(1)?,
            idle: reply.count(2)?,
            unclaimed: reply.count(3)?,
            given_up: reply.count(4)?,
        }),
        _ => Err(reply.unexpected()),
    }
}

/// Ends the places of those who stopped asking in the line of a closed room; answers how many.
pub(crate) async fn end_line(line: Line<'_>, most: u32) -> Result<u64, Fault> {
    let k = line.keys;
    let call = Call::new(&END_LINE, &[&k.room, &k.waiting, &k.present, &k.recalled, &k.visits, &k.returned, &k.phones]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(most)).await?;
    match reply.word()? {
        "open" => Ok(0),
        "ended" => reply.count(1),
        _ => Err(reply.unexpected()),
    }
}

/// What a run of the scheduler did, and the room as it stood then.
#[derive(Debug)]
pub(crate) struct Run {
    /// Whether the room was open, so that the limits decided.
    pub(crate) open: bool,
    pub(crate) admitted: u64,
    pub(crate) set_aside: u64,
    pub(crate) active: u64,
    pub(crate) waiting: u64,
    pub(crate) aside: u64,
    pub(crate) pending: u64,
    pub(crate) recalled: u64,
    /// The room's hash: settings and counters.
    pub(crate) room: Vec<(String, String)>,
}

pub(crate) async fn admit(line: Line<'_>, most: u32) -> Result<Run, Fault> {
    let k = line.keys;
    let call = Call::new(
        &ADMIT,
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
            &k.pending,
            &k.phones,
        ],
    );
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(most)).await?;
    let word = reply.word()?;
    match word {
        "held" | "admitted" => Ok(Run {
            open: word == "admitted",
            admitted: reply.count(1)?,
            set_aside: reply.count(2)?,
            active: reply.count(3)?,
            waiting: reply.count(4)?,
            aside: reply.count(5)?,
            pending: reply.count(6)?,
            recalled: reply.count(7)?,
            room: reply.pairs(8)?,
        }),
        _ => Err(reply.unexpected()),
    }
}

/// What one process advises about a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Advice<'a> {
    /// The process.
    pub(crate) adviser: &'a str,
    /// Seats left to sell, where that is known.
    pub(crate) seats_left: Option<u64>,
    /// Visits at once that these need.
    pub(crate) visits: u64,
    /// Admissions in a second that the load allows.
    pub(crate) per_second: f64,
    /// How long this counts.
    pub(crate) valid_ms: u64,
}

pub(crate) async fn advise(line: Line<'_>, advice: Advice<'_>) -> Result<(), Fault> {
    let call = Call::new(&ADVISE, &[&line.keys.room]);
    let seats_left = advice.seats_left.map(|seats| seats.to_string()).unwrap_or_default();
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            c.arg(advice.adviser).arg(seats_left).arg(advice.visits).arg(advice.per_second).arg(advice.valid_ms)
        })
        .await?;
    if reply.word()? == "noted" { Ok(()) } else { Err(reply.unexpected()) }
}

/// For how long a room that was set up anew recovers, all in ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) positions_unknown: i64,
    pub(crate) nobody_admitted: i64,
    pub(crate) old_tokens: i64,
}

/// Answers whether this call set the room up; it did not where the room is at this epoch or a later one.
pub(crate) async fn setup_room(line: Line<'_>, recovery: Recovery, settings: &[(&str, String)]) -> Result<bool, Fault> {
    let k = line.keys;
    let run = line.redis.run(&k.room).await?;
    let call = Call::new(&SETUP_ROOM, &[&k.room, &k.waiting, &k.aside, &k.pending, &k.visits])
        .arg(incarnation(line.epoch.0, &run))
        .arg(line.epoch.0)
        .arg(recovery.positions_unknown)
        .arg(recovery.nobody_admitted)
        .arg(recovery.old_tokens);
    let call = settings.iter().fold(call, |call, (name, value)| call.arg(*name).arg(value));
    let reply: Reply = line.redis.call(call).await?;
    match reply.word()? {
        "older" => Ok(false),
        "ready" => Ok(true),
        _ => Err(reply.unexpected()),
    }
}

/// Answers whether the settings were new to the room.
pub(crate) async fn configure_room(line: Line<'_>, version: i64, settings: &[(&str, String)]) -> Result<bool, Fault> {
    let k = line.keys;
    let call = Call::new(&CONFIGURE_ROOM, &[&k.room]);
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            settings.iter().fold(c.arg(version), |call, (name, value)| call.arg(*name).arg(value))
        })
        .await?;
    match reply.word()? {
        "newer" => Ok(false),
        "configured" => Ok(true),
        _ => Err(reply.unexpected()),
    }
}

/// What the room says its incarnation is; nothing where there is no room.
pub(crate) async fn read_incarnation(redis: &Redis, keys: &RoomKeys) -> Result<Option<String>, Fault> {
    redis.command(redis::cmd("HGET").arg(&keys.room).arg("incarnation")).await
}

/// Notes who has paid, and when, ms, so that no token of an earlier epoch lets them in again.
pub(crate) async fn note_paid(redis: &Redis, keys: &RoomKeys, paid: &[(UserId, i64)]) -> Result<(), Fault> {
    for some in paid.chunks(NOTED_AT_ONCE) {
        let mut add = redis::cmd("ZADD");
        add.arg(&keys.paid);
        for (user, at_ms) in some {
            add.arg(*at_ms).arg(user.as_str());
        }
        redis.command::<()>(&add).await?;
    }
    Ok(())
}

/// A room at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Census {
    pub(crate) waiting: i64,
    pub(crate) aside: i64,
    pub(crate) pending: i64,
    pub(crate) visits: i64,
    pub(crate) active: i64,
    pub(crate) joined: i64,
    pub(crate) ended: i64,
    pub(crate) capacity: i64,
    pub(crate) over_admitted: i64,
}

pub(crate) async fn counts(redis: &Redis, keys: &RoomKeys) -> Result<Census, Fault> {
    let k = keys;
    let call = Call::new(&COUNTS, &[&k.room, &k.waiting, &k.aside, &k.pending, &k.visits, &k.active]);
    let reply: Reply = redis.call(call).await?;
    Ok(Census {
        waiting: reply.number(0)?,
        aside: reply.number(1)?,
        pending: reply.number(2)?,
        visits: reply.number(3)?,
        active: reply.number(4)?,
        joined: reply.number(5)?,
        ended: reply.number(6)?,
        capacity: reply.number(7)?,
        over_admitted: reply.number(8)?,
    })
}
