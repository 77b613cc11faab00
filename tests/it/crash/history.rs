//! What clients saw: the only thing, beside Postgres, that the checker believes.

use reqwest::StatusCode;
use serde_json::Value;

/// What a client knows of a request that moves points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done: the payment's or the entry's id.
    Confirmed(String),
    /// Refused for good, with this status.
    Refused(u16),
    /// No answer came, or one that leaves it open: to be asked again under the same key.
    Unknown,
}

/// A reservation that a client tried to pay.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) reservation: String,
    pub(super) schedule: i64,
    pub(super) seats: Vec<String>,
    pub(super) amount: i64,
    pub(super) key: String,
    pub(super) outcome: Outcome,
}

/// Points that a client tried to charge.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) amount: i64,
    pub(super) key: String,
    pub(super) outcome: Outcome,
}

/// An answer, or none where the connection broke.
pub(super) type Answer = Option<(StatusCode, Value)>;

impl Outcome {
    /// Reads an answer to a payment or a charge; `id` is where the id of what was done stands.
    pub(super) fn read(answer: &Answer, id: &str) -> Self {
        let Some((status, body)) = answer else { return Self::Unknown };
        let in_flight = body["code"].as_str().is_some_and(|code| code.ends_with("-in-flight"));
        match status.as_u16() {
            200 => Self::Confirmed(body[id].as_str().expect("an id").to_owned()),
            409 if in_flight => Self::Unknown,
            402 | 404 | 409 | 410 => Self::Refused(status.as_u16()),
            403 | 429 | 503 => Self::Unknown,
            _ => panic!("never to be answered: {status} {body}"),
        }
    }
}

/// What one account did, by its own account of it.
#[derive(Debug)]
pub(super) struct History {
    pub(super) user: String,
    /// The balance before anything else.
    pub(super) opening: i64,
    pub(super) orders: Vec<Order>,
    pub(super) charges: Vec<Charge>,
}

impl History {
    /// Requests whose outcome the client does not know.
    pub(super) fn unknown(&self) -> usize {
        let orders = self.orders.iter().filter(|order| order.outcome == Outcome::Unknown).count();
        orders + self.charges.iter().filter(|charge| charge.outcome == Outcome::Unknown).count()
    }

    /// Whether paying this reservation was refused for good.
    pub(super) fn refused(&self, reservation: &str) -> bool {
        let refused = |order: &&Order| matches!(order.outcome, Outcome::Refused(_));
        self.orders.iter().filter(refused).any(|order| order.reservation == reservation)
    }
}
