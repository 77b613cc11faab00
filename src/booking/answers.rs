//! Answers kept under an Idempotency-Key in Redis, for what does not move points. What does keeps its answer in
//! Postgres, in the transaction that decided it.

use std::fmt::Write as _;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::Booking;
use crate::error::Fault;
use crate::ids::UserId;
use crate::store::scripts::booking::{self as scripts, Answer, Earlier, KeyLimit, Keyed};
use crate::{ledger, limits};

/// A claim whose request was lost in a crash is void after this long, ms: longer than any request takes.
const VOID_AFTER_MS: i64 = 30_000;

/// Answers are kept for a day, ms.
const KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// Keys that a visitor may use in a day: each is memory of Redis for as long. Who stands for many may use more.
const ONES_KEYS: u32 = 1_000;
const MANYS_KEYS: u32 = 100_000;

/// What the names of callers begin with who stand for many: operators, and addresses. No account's does.
const MANY: char = '*';

/// Whose answers are kept for operators.
pub const OPERATORS: &str = "*operators";

/// An Idempotency-Key that came with a request: whose, for what, and with which body.
#[derive(Debug, Clone)]
pub struct Key(Keyed);

impl Key {
    /// The key of a caller (an account, or an address) for a route.
    pub fn new(caller: &str, route: &str, key: &str, body_hash: &[u8; 32]) -> Self {
        Self(Keyed { caller: caller.to_owned(), digest: digest(route, key), body: hex(body_hash) })
    }

    /// The key of who has no account yet, but an address. Of IPv6 it is that of the network, as for every limit.
    pub fn of_address(address: IpAddr, route: &str, key: &str, body_hash: &[u8; 32]) -> Self {
        Self::new(&format!("{MANY}{}", limits::origin(address)), route, key, body_hash)
    }

    /// Names route and key in as few characters as tell them apart.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }
}

/// What is known under a key.
#[derive(Debug)]
pub enum Claimed {
    /// Nothing: this request is the first.
    First,
    /// It was used with another body.
    Reused,
    /// The first request is still under way.
    InFlight,
    /// This caller has used as many keys as one may in a day.
    Limited {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// The first answer: status and body.
    Answered(u16, String),
}

/// Claims a key for a request, or tells what became of the first that used it.
pub async fn claim_key(booking: &Booking, key: &Key) -> Result<Claimed, Fault> {
    let most = if key.0.caller.starts_with(MANY) { MANYS_KEYS } else { ONES_KEYS };
    let limit = KeyLimit { most, within_ms: KEPT_MS };
    Ok(match scripts::begin_answer(&booking.redis, &key.0, VOID_AFTER_MS, limit).await? {
        Earlier::Limited { for_ms } => Claimed::Limited { retry_after_seconds: for_ms.div_ceil(1_000) },
        Earlier::New => Claimed::First,
        Earlier::Reused => Claimed::Reused,
        Earlier::InFlight => Claimed::InFlight,
        Earlier::Answered { status, answer } => Claimed::Answered(status, answer),
    })
}

/// How long a caller has to wait for another key, in seconds, whose answer is to be kept in Postgres: each is a row
/// there for a day. Where Redis does not count, nobody waits, for who asks is to learn how a payment ended.
pub(super) async fn wait_for_key(booking: &Booking, user: &UserId, key: &ledger::Key) -> Option<u64> {
    let key = Key::new(user.as_str(), &key.route, &key.key, &key.body_hash);
    match claim_key(booking, &key).await {
        Ok(Claimed::Limited { retry_after_seconds }) => Some(retry_after_seconds),
        // The claim ends by itself: whether the key was used before, Postgres says.
        Ok(_) => None,
        Err(fault) => {
            tracing::warn!(%fault, "a key of a payment is not counted");
            None
        }
    }
}

/// Keeps the answer to the request that claimed a key.
pub async fn keep_answer(booking: &Booking, key: &Key, status: u16, body: &str) -> Result<(), Fault> {
    scripts::finish_answer(&booking.redis, &key.0, Some(Answer { status, body, keep_ms: KEPT_MS })).await
}

/// Gives a claim up: the answer is none to keep.
pub async fn give_up_key(booking: &Booking, key: &Key) -> Result<(), Fault> {
    scripts::finish_answer(&booking.redis, &key.0, None).await
}

/// Names a route and a key in a fixed number of characters.
pub fn digest(route: &str, key: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(route);
    hasher.update([0]);
    hasher.update(key);
    hex(&hasher.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_keys_of_one() {
        let caller = |address: &str| Key::of_address(address.parse().unwrap(), "sign-up", "key", &[0; 32]).0.caller;
        assert_eq!(caller("2001:db8:1:2::3"), caller("2001:db8:1:2:ffff::4"));
        assert_ne!(caller("2001:db8:1:2::3"), caller("2001:db8:1:3::3"));
        assert_ne!(caller("192.0.2.1"), caller("192.0.2.2"));
    }
}
