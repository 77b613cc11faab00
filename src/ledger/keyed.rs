//! Answers kept under an Idempotency-Key, in the transaction that decided them.

use serde_json::Value;
use sqlx::types::Json;

use super::operation::{Answer, Decided, Movement, Operation};
use super::{Charged, Ledger, Paid, Refusal, batch};
use crate::error::Fault;
use crate::ids::UserId;

const RECORDED: &str = "\
select body_hash = $4, answer from idempotency_keys where user_id = $1 and route = $2 and key = $3";

/// An Idempotency-Key that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What was asked for, such as `pay`.
    pub route: String,
    /// The key itself.
    pub key: String,
    /// SHA-256 of the request's body.
    pub body_hash: [u8; 32],
}

/// What is kept under a key.
#[derive(Debug)]
pub enum Recorded {
    /// A charge.
    Charged(Charged),
    /// A payment.
    Paid(Paid),
    /// A refusal of the ledger, or [`Refusal::KeyReused`].
    Refused(Refusal),
    /// What [`record`] kept.
    Answer(Value),
}

/// Keeps an answer that was decided before Postgres was asked. Gives the one that is kept: an earlier one stays.
pub async fn record(ledger: &Ledger, user: &UserId, key: Key, answer: Value) -> Result<Recorded, Fault> {
    let movement = Movement::Record { answer };
    let operation = Operation { user_id: user.clone(), movement, key: Some(key.into()) };
    match batch::submit(ledger, operation).await {
        Ok(decided) => Ok(read(decided)),
        Err(Refusal::Fault(fault)) => Err(fault),
        Err(other) => Err(Fault::Postgres(other.to_string())),
    }
}

/// What is kept under a key, if anything.
pub async fn recorded_answer(ledger: &Ledger, user: &UserId, key: &Key) -> Result<Option<Recorded>, Fault> {
    let found: Option<(bool, Json<Answer>)> = sqlx::query_as(RECORDED)
        .bind(user.as_str())
        .bind(&key.route)
        .bind(&key.key)
        .bind(key.body_hash.as_slice())
        .fetch_optional(ledger.db().pool())
        .await?;
    match found {
        None => Ok(None),
        Some((false, _)) => Ok(Some(Recorded::Refused(Refusal::KeyReused))),
        Some((true, Json(answer))) => Ok(Some(read(Decided { replayed: true, answer }))),
    }
}

fn read(decided: Decided) -> Recorded {
    let replayed = decided.replayed;
    match decided.answer {
        Answer::Recorded { answer } => Recorded::Answer(answer),
        Answer::Charged(charged) => Recorded::Charged(Charged::told(charged, replayed)),
        Answer::Paid(paid) => Recorded::Paid(Paid::told(paid, replayed)),
        answer => Recorded::Refused(Decided { replayed, answer }.refusal()),
    }
}
