//! What a draw asks of Redis beside the scripts: the time that decides when it is over, and who drew.

use deadpool_redis::redis;

use super::super::{Reply, script};
use crate::error::Fault;
use crate::ids::{Number, UserId};
use crate::store::Redis;
use crate::store::keys::RoomKeys;
use crate::store::script::Call;

script!(DRAW_TIME, "queue/draw_time");

/// What a newcomer draws: a number, and the draw that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// Empty where there is no draw.
    pub(crate) id: String,
    pub(crate) number: Number,
}

impl Drawn {
    /// There is no draw: the number is given at arrival.
    pub(crate) fn nothing() -> Self {
        Self { id: String::new(), number: Number(0) }
    }
}

/// How far a room's draw is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrawTime {
    /// By the clock of the Redis that has the room: it decides what comes before an opening.
    pub(crate) now_ms: i64,
    /// When the room opens, by what Redis knows; 0 for at once.
    pub(crate) opens_ms: i64,
    /// Logins that came while the room drew and are still being checked.
    pub(crate) logins: u64,
}

pub(crate) async fn draw_time(redis: &Redis, keys: &RoomKeys) -> Result<DrawTime, Fault> {
    let call = Call::new(&DRAW_TIME, &[&keys.room, &keys.pending]);
    let reply: Reply = redis.call(call).await?;
    Ok(DrawTime { now_ms: reply.number(0)?, opens_ms: reply.number(1)?, logins: reply.count(2)? })
}

/// Some of those who drew, in the order of their numbers. Costs Redis as many steps as there are in a page.
pub(crate) async fn drawn_page(
    redis: &Redis,
    keys: &RoomKeys,
    page: u64,
    size: u64,
) -> Result<Vec<(UserId, Number)>, Fault> {
    let mut ask = redis::cmd("ZRANGE");
    ask.arg(&keys.drawn).arg(page * size).arg(page * size + size - 1).arg("WITHSCORES");
    let told: Vec<(String, i64)> = redis.command(&ask).await?;
    let read = |(name, number): (String, i64)| match UserId::parse(&name) {
        Ok(user) => Ok((user, Number(number))),
        Err(e) => Err(Fault::Defect(format!("drawn {name:?}: {e}"))),
    };
    told.into_iter().map(read).collect()
}

/// Forgets who drew. In the background of Redis: there may be many.
pub(crate) async fn forget_drawn(redis: &Redis, keys: &RoomKeys) -> Result<(), Fault> {
    redis.command(redis::cmd("UNLINK").arg(&keys.drawn)).await
}
