//! What is sent to `apply_ledger_batch`, and what it answers. The names are those of the SQL.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Key, Refusal};
use crate::ids::{Points, ReservationId, RoomName, ScheduleId, SeatId, UserId};

/// One operation: a row of the SQL type `ledger_operation`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Operation {
    pub(super) user_id: UserId,
    #[serde(flatten)]
    pub(super) movement: Movement,
    #[serde(flatten)]
    pub(super) key: Option<SentKey>,
}

/// What the operation does.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Movement {
    Charge {
        amount: Points,
        reference: Uuid,
    },
    Payment {
        amount: Points,
        reference: ReservationId,
        attempt_id: String,
        payment_id: Uuid,
        schedule_id: ScheduleId,
        seats: Vec<SeatId>,
        room: RoomName,
    },
    Record {
        answer: Value,
    },
}

/// An Idempotency-Key as Postgres reads it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SentKey {
    route: String,
    key: String,
    body_hash: String,
}

impl From<Key> for SentKey {
    fn from(key: Key) -> Self {
        let digits = key.body_hash.iter().map(|byte| format!("{byte:02x}"));
        Self { route: key.route, key: key.key, body_hash: std::iter::once("\\x".to_owned()).chain(digits).collect() }
    }
}

/// What was decided.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Answer {
    Charged(ChargedAnswer),
    Paid(PaidAnswer),
    Recorded {
        answer: Value,
    },
    BalanceLimit {
        balance: Points,
    },
    Insufficient {
        balance: Points,
        shortfall: Points,
    },
    #[serde(rename_all = "camelCase")]
    SeatSold {
        seat_ids: Vec<SeatId>,
    },
    AttemptVoid,
    NotTheirs,
    UnknownAccount,
    KeyReused,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChargedAnswer {
    pub(super) amount: Points,
    pub(super) entry_id: Uuid,
    pub(super) balance: Points,
    pub(super) version: i64,
    #[serde(default)]
    pub(super) moved: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaidAnswer {
    #[serde(flatten)]
    pub(super) payment: PaymentAnswer,
    pub(super) balance: Points,
    pub(super) version: i64,
    #[serde(default)]
    pub(super) moved: bool,
}

/// What the SQL function `payment_answer` gives.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentAnswer {
    pub(super) payment_id: Uuid,
    pub(super) reservation_id: ReservationId,
    pub(super) user_id: UserId,
    pub(super) schedule_id: i64,
    pub(super) seat_ids: Vec<SeatId>,
    pub(super) amount: Points,
    pub(super) paid_at: DateTime<Utc>,
}

/// A decision, and whether it is the one kept under the key.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    pub(super) replayed: bool,
    pub(super) answer: Answer,
}

impl Decided {
    /// The refusal, where the answer is one. What remains is of another kind than was asked: it is kept under the key,
    /// by a caller that answered otherwise.
    pub(super) fn refusal(self) -> Refusal {
        let replayed = self.replayed;
        match self.answer {
            Answer::BalanceLimit { balance } => Refusal::BalanceLimit { balance, replayed },
            Answer::Insufficient { balance, shortfall } => Refusal::Insufficient { balance, shortfall, replayed },
            Answer::SeatSold { seat_ids } => Refusal::SeatSold { seats: seat_ids, replayed },
            Answer::AttemptVoid => Refusal::AttemptVoid,
            Answer::NotTheirs => Refusal::NotTheirs,
            Answer::UnknownAccount => Refusal::UnknownAccount,
            Answer::KeyReused | Answer::Charged(_) | Answer::Paid(_) => Refusal::KeyReused,
            Answer::Recorded { answer } => Refusal::Answered(answer),
        }
    }
}
