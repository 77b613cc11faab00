//! The scripts of what operators do by hand, and of the limit that they see.

use super::super::{Reply, script};
use super::{Line, known_position};
use crate::error::Fault;
use crate::ids::{Number, UserId};
use crate::store::script::Call;

script!(ADMIT_NOW, "queue/admit_now");
script!(FIND_PLACE, "queue/find_place");
script!(LIMIT_LINE, "queue/limit_line");

/// What admitting by hand did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ByHand {
    Shut,
    Admitted { admitted: u64, set_aside: u64 },
}

pub(crate) async fn admit_now(line: Line<'_>, most: u32) -> Result<ByHand, Fault> {
    let k = line.keys;
    let call = Call::new(
        &ADMIT_NOW,
        &[&k.room, &k.waiting, &k.present, &k.aside, &k.grace, &k.recalled, &k.visits, &k.active, &k.idle, &k.phones],
    );
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(most)).await?;
    match reply.word()? {
        "shut" => Ok(ByHand::Shut),
        "admitted" => Ok(ByHand::Admitted { admitted: reply.count(1)?, set_aside: reply.count(2)? }),
        _ => Err(reply.unexpected()),
    }
}

/// Where an account stands, as operators see it.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    pub(crate) standing: String,
    pub(crate) number: Number,
    pub(crate) position: Option<u64>,
    pub(crate) in_line: u64,
    pub(crate) present_until_ms: Option<i64>,
    pub(crate) kept_until_ms: Option<i64>,
    pub(crate) ends_ms: Option<i64>,
}

pub(crate) async fn find_place(line: Line<'_>, user: &UserId) -> Result<Option<Whereabouts>, Fault> {
    let k = line.keys;
    let call = Call::new(
        &FIND_PLACE,
        &[&k.room, &k.waiting, &k.present, &k.aside, &k.grace, &k.pending, &k.visits, &k.active],
    );
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(user.as_str())).await?;
    let time = |at| Ok::<_, Fault>(Some(reply.number(at)?).filter(|ms| *ms > 0));
    match reply.word()? {
        "none" => Ok(None),
        "place" => Ok(Some(Whereabouts {
            standing: reply.text(1)?.to_owned(),
            number: Number(reply.number(2)?),
            position: known_position(&reply, 3)?,
            in_line: reply.count(4)?,
            present_until_ms: time(5)?,
            kept_until_ms: time(6)?,
            ends_ms: time(7)?,
        })),
        _ => Err(reply.unexpected()),
    }
}

/// Answers how many may be in line.
pub(crate) async fn limit_line(line: Line<'_>, most: i64) -> Result<i64, Fault> {
    let k = line.keys;
    let call = Call::new(&LIMIT_LINE, &[&k.room, &k.waiting, &k.aside, &k.pending]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(most)).await?;
    match reply.word()? {
        "limited" => reply.number(1),
        _ => Err(reply.unexpected()),
    }
}
