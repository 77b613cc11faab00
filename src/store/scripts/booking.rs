//! The scripts of booking: answers kept under an Idempotency-Key, and where an account's reservations are.

use deadpool_redis::redis;

use super::{Reply, script};
use crate::error::Fault;
use crate::ids::{ScheduleId, UserId};
use crate::store::script::Call;
use crate::store::{Redis, keys};

script!(BEGIN_ANSWER, "booking/begin_answer");
script!(FINISH_ANSWER, "booking/finish_answer");
script!(NOTE_SCHEDULE, "booking/note_schedule");

/// An Idempotency-Key in use: whose and for what, and the body it came with.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    /// The caller: an account, or an address.
    pub(crate) caller: String,
    /// The digest of route and key, in hex.
    pub(crate) digest: String,
    /// SHA-256 of the request's body, in hex.
    pub(crate) body: String,
}

/// What is known under a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    New,
    Reused,
    InFlight,
    Limited { for_ms: u64 },
    Answered { status: u16, answer: String },
}

/// How many keys a caller may use, and in which time, ms.
pub(crate) struct KeyLimit {
    pub(crate) most: u32,
    pub(crate) within_ms: i64,
}

pub(crate) async fn begin_answer(
    redis: &Redis,
    keyed: &Keyed,
    void_after_ms: i64,
    limit: KeyLimit,
) -> Result<Earlier, Fault> {
    let (key, used) = (keys::answer(&keyed.caller, &keyed.digest), keys::keys_used(&keyed.caller));
    let call = Call::new(&BEGIN_ANSWER, &[&key, &used]).arg(&keyed.body).arg(void_after_ms);
    let reply: Reply = redis.call(call.arg(limit.most).arg(limit.within_ms)).await?;
    match reply.word()? {
        "limited" => Ok(Earlier::Limited { for_ms: reply.count(1)? }),
        "new" => Ok(Earlier::New),
        "reused" => Ok(Earlier::Reused),
        "in-flight" => Ok(Earlier::InFlight),
        "answered" => {
            let status = u16::try_from(reply.number(1)?).map_err(|_| reply.unexpected())?;
            Ok(Earlier::Answered { status, answer: reply.text(2)?.to_owned() })
        }
        _ => Err(reply.unexpected()),
    }
}

/// An answer to keep: its status and body, and for how long.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a str,
    pub(crate) keep_ms: i64,
}

/// Keeps an answer, or with `None` gives the claim on the key up.
pub(crate) async fn finish_answer(redis: &Redis, keyed: &Keyed, answer: Option<Answer<'_>>) -> Result<(), Fault> {
    let key = keys::answer(&keyed.caller, &keyed.digest);
    let answer = answer.unwrap_or(Answer { status: 0, body: "", keep_ms: 0 });
    let call = Call::new(&FINISH_ANSWER, &[&key]).arg(&keyed.body).arg(answer.status).arg(answer.body);
    let reply: Reply = redis.call(call.arg(answer.keep_ms)).await?;
    match reply.word()? {
        "given-up" | "kept" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}

/// Notes that an account asks for seats of a schedule.
pub(crate) async fn note_schedule(redis: &Redis, user: &UserId, asked: ScheduleId, keep_ms: i64) -> Result<(), Fault> {
    let call = Call::new(&NOTE_SCHEDULE, &[&keys::schedules(user)]);
    let reply: Reply = redis.call(call.arg(asked.0).arg(keep_ms)).await?;
    match reply.word()? {
        "noted" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}

/// The schedules that an account asked for seats of since then (ms since the Unix epoch), as far as that is remembered.
pub(crate) async fn list_schedules(redis: &Redis, user: &UserId, since_ms: i64) -> Result<Vec<ScheduleId>, Fault> {
    let mut range = redis::cmd("ZRANGE");
    range.arg(keys::schedules(user)).arg(since_ms).arg("+inf").arg("BYSCORE");
    let ids: Vec<String> = redis.command(&range).await?;
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Takes the turn to look at the invariants, for so long; false where another process has it.
pub(crate) async fn take_turn(redis: &Redis, for_ms: u64) -> Result<bool, Fault> {
    let mut set = redis::cmd("SET");
    set.arg(keys::INVARIANTS).arg(1).arg("NX").arg("PX").arg(for_ms);
    Ok(redis.command::<Option<String>>(&set).await?.is_some())
}
