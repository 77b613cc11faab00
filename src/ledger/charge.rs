//! Charging points.

use uuid::Uuid;

use super::operation::{Answer, ChargedAnswer, Decided, Movement, Operation};
use super::{Key, Ledger, Refusal, batch};
use crate::ids::{Points, UserId, new_uuid};

/// A charge that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// The ledger entry.
    pub entry: Uuid,
    /// What was added.
    pub amount: Points,
    /// The balance after it.
    pub balance: Points,
    /// The account's version after it.
    pub version: i64,
    /// Whether this is the answer kept under the key.
    pub replayed: bool,
}

/// Adds points to an account. The amount is positive: that was checked at the edge.
pub async fn charge(ledger: &Ledger, user: &UserId, amount: Points, key: Option<Key>) -> Result<Charged, Refusal> {
    let entry = new_uuid();
    let movement = Movement::Charge { amount, reference: entry };
    let operation = Operation { user_id: user.clone(), movement, key: key.map(Into::into) };
    let charged = match batch::submit(ledger, operation).await? {
        Decided { answer: Answer::Charged(charged), replayed } => Charged::told(charged, replayed),
        other => return Err(other.refusal()),
    };
    if charged.entry != entry {
        return Ok(charged);
    }
    metrics::counter!("anteroom_points_charged_total").increment(amount.0.unsigned_abs());
    // Sent again after a lost commit, it met itself under its key. To the caller it is the first answer all the same.
    Ok(Charged { replayed: false, ..charged })
}

impl Charged {
    pub(super) fn told(answer: ChargedAnswer, replayed: bool) -> Self {
        let ChargedAnswer { amount, entry_id, balance, version, .. } = answer;
        Self { entry: entry_id, amount, balance, version, replayed }
    }
}
