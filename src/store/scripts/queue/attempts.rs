//! The scripts of login attempts, which stand in line before their password is checked.

use super::super::{Reply, script};
use super::{Device, Drawn, Line, known_position};
use crate::error::Fault;
use crate::ids::{Number, UserId};
use crate::store::script::Call;

script!(JOIN_ATTEMPT, "queue/join_attempt");
script!(VERIFY_ATTEMPT, "queue/verify_attempt");
script!(RENEW_ATTEMPT, "queue/renew_attempt");
script!(REFUSE_ATTEMPT, "queue/refuse_attempt");
script!(ATTEMPT_PLACE, "queue/attempt_place");

/// What taking a number for an attempt gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JoinedAttempt {
    Closed,
    Full,
    Draws { id: String },
    Pending { number: Number, position: Option<u64>, in_line: u64 },
}

/// How long an attempt's outcome is remembered, and how long it keeps its number unless renewed, ms.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) life_ms: i64,
    pub(crate) lease_ms: i64,
}

pub(crate) async fn join_attempt(
    line: Line<'_>,
    attempt: &str,
    terms: Terms,
    drawn: &Drawn,
) -> Result<JoinedAttempt, Fault> {
    let (k, fate) = (line.keys, line.keys.attempt(attempt));
    let call = Call::new(&JOIN_ATTEMPT, &[&k.room, &k.pending, &k.waiting, &k.aside, &k.grace, &fate]);
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            c.arg(attempt).arg(terms.life_ms).arg(terms.lease_ms).arg(&drawn.id).arg(drawn.number.0)
        })
        .await?;
    match reply.word()? {
        "closed" => Ok(JoinedAttempt::Closed),
        "full" => Ok(JoinedAttempt::Full),
        "draws" => Ok(JoinedAttempt::Draws { id: reply.text(1)?.to_owned() }),
        "pending" => Ok(JoinedAttempt::Pending {
            number: Number(reply.number(1)?),
            position: known_position(&reply, 2)?,
            in_line: reply.count(3)?,
        }),
        _ => Err(reply.unexpected()),
    }
}

/// What a right password changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum VerifyAnswer {
    Unknown,
    Merged,
    Verified { number: Number },
}

pub(crate) async fn verify_attempt(
    line: Line<'_>,
    (attempt, number): (&str, Number),
    (user, device): (&UserId, Device),
    life_ms: i64,
) -> Result<VerifyAnswer, Fault> {
    let (k, fate) = (line.keys, line.keys.attempt(attempt));
    let call = Call::new(
        &VERIFY_ATTEMPT,
        &[
            &k.room,
            &k.pending,
            &fate,
            &k.waiting,
            &k.present,
            &k.aside,
            &k.grace,
            &k.visits,
            &k.left,
            &k.active,
            &k.idle,
            &k.drawn,
            &k.phones,
            &k.recalled,
        ],
    );
    let reply: Reply = line
        .redis
        .call_in(line.epoch.0, call, |c| {
            c.arg(attempt).arg(user.as_str()).arg(life_ms).arg(device.remembered_ms()).arg(number.0)
        })
        .await?;
    match reply.word()? {
        "unknown" => Ok(VerifyAnswer::Unknown),
        "merged" => Ok(VerifyAnswer::Merged),
        "verified" => Ok(VerifyAnswer::Verified { number: Number(reply.number(1)?) }),
        _ => Err(reply.unexpected()),
    }
}

/// Answers whether the attempt still has its number.
pub(crate) async fn renew_attempt(line: Line<'_>, attempt: &str, lease_ms: i64) -> Result<bool, Fault> {
    let call = Call::new(&RENEW_ATTEMPT, &[&line.keys.room, &line.keys.grace]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(attempt).arg(lease_ms)).await?;
    match reply.word()? {
        "unknown" => Ok(false),
        "renewed" => Ok(true),
        _ => Err(reply.unexpected()),
    }
}

/// Why an attempt loses its number.
#[derive(Clone, Copy)]
pub(crate) enum Undone {
    Refused,
    Withdrawn,
}

/// Answers whether the attempt was still waiting for its check.
pub(crate) async fn refuse_attempt(line: Line<'_>, attempt: &str, undone: Undone, life_ms: i64) -> Result<bool, Fault> {
    let word = match undone {
        Undone::Refused => "!",
        Undone::Withdrawn => "-",
    };
    let (k, fate) = (line.keys, line.keys.attempt(attempt));
    let call = Call::new(&REFUSE_ATTEMPT, &[&k.room, &k.pending, &fate, &k.grace]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(attempt).arg(word).arg(life_ms)).await?;
    match reply.word()? {
        "unknown" => Ok(false),
        "refused" => Ok(true),
        _ => Err(reply.unexpected()),
    }
}

/// Where an attempt stands, or what became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AttemptStanding {
    Pending { position: Option<u64>, in_line: u64 },
    Gone,
    Left,
    Refused,
    Verified { user: UserId, number: Number },
}

pub(crate) async fn attempt_place(line: Line<'_>, attempt: &str) -> Result<AttemptStanding, Fault> {
    let (k, fate) = (line.keys, line.keys.attempt(attempt));
    let call = Call::new(&ATTEMPT_PLACE, &[&k.room, &k.pending, &k.waiting, &k.aside, &fate]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(attempt)).await?;
    match reply.word()? {
        "pending" => Ok(AttemptStanding::Pending { position: known_position(&reply, 1)?, in_line: reply.count(2)? }),
        "gone" => Ok(AttemptStanding::Gone),
        "left" => Ok(AttemptStanding::Left),
        "refused" => Ok(AttemptStanding::Refused),
        "verified" => {
            let user = UserId::parse(reply.text(1)?).map_err(|_| reply.unexpected())?;
            Ok(AttemptStanding::Verified { user, number: Number(reply.number(2)?) })
        }
        _ => Err(reply.unexpected()),
    }
}
