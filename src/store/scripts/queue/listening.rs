//! The scripts for those who listen: two steps for all of them, instead of one for each.

use super::super::{Reply, script};
use super::Line;
use crate::error::Fault;
use crate::ids::{Number, UserId};
use crate::store::script::Call;

script!(LOOK_ALONG, "queue/look_along");
script!(HEAR, "queue/hear");

/// A stretch of the line.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Positions are unknown.
    pub(crate) recovering: bool,
    pub(crate) in_line: u64,
    /// In order.
    pub(crate) waiting: Vec<(String, Number)>,
    /// In order.
    pub(crate) aside: Vec<Number>,
    /// In order.
    pub(crate) pending: Vec<Number>,
}

pub(crate) async fn look_along(line: Line<'_>, behind: Option<Number>, most: usize) -> Result<Stretch, Fault> {
    let k = line.keys;
    let call = Call::new(&LOOK_ALONG, &[&k.room, &k.waiting, &k.aside, &k.pending]);
    let behind = behind.map_or_else(|| "-inf".to_owned(), |number| number.0.to_string());
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(behind).arg(most)).await?;
    let recovering = match reply.word()? {
        "recovering" => true,
        "line" => false,
        _ => return Err(reply.unexpected()),
    };
    let stood = |at| -> Result<Vec<(String, Number)>, Fault> {
        let pairs = reply.pairs(at)?.into_iter();
        let read = |number: String| number.parse().map(Number).map_err(|_| reply.unexpected());
        pairs.map(|(who, number)| Ok((who, read(number)?))).collect()
    };
    let numbers = |at| -> Result<Vec<Number>, Fault> { Ok(stood(at)?.into_iter().map(|(_, number)| number).collect()) };
    Ok(Stretch { recovering, in_line: reply.count(1)?, waiting: stood(2)?, aside: numbers(3)?, pending: numbers(4)? })
}

/// Where one of those who listen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Waiting in line.
    pub(crate) in_line: bool,
    /// Inside, until then, ms.
    pub(crate) ends_ms: Option<i64>,
}

pub(crate) async fn hear(line: Line<'_>, users: &[&UserId], present_ms: u64) -> Result<Vec<Heard>, Fault> {
    let k = line.keys;
    let call = Call::new(&HEAR, &[&k.room, &k.waiting, &k.present, &k.active]);
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| users.iter().fold(c.arg(present_ms), |call, user| call.arg(user.as_str())))
        .await?;
    if reply.word()? != "heard" {
        return Err(reply.unexpected());
    }
    let (numbers, ends): (Vec<String>, Vec<String>) = (reply.list(1)?, reply.list(2)?);
    let heard = |(number, ends): (String, String)| Heard { in_line: !number.is_empty(), ends_ms: ends.parse().ok() };
    Ok(numbers.into_iter().zip(ends).map(heard).collect())
}
