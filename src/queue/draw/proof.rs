//! What a draw is made of, and how anyone checks it: text and two well-known functions, nothing of the service.
//!
//! `docs/draw.md` has the same formulas for a shell. Texts are UTF-8; seed, commitment and tickets are lower-case
//! hexadecimal wherever they are shown.

use std::collections::HashSet;
use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{Number, UserId};

/// Drawn numbers begin here, and lie below every number that is given at arrival.
const FIRST_NUMBER: i64 = -(1 << 52);

/// Of a hash of 64 bits, those that are not drawn.
const BITS_LEFT_OUT: u32 = 12;

/// What a visitor shows of themselves in the list: only who knows their secret can tell whose ticket it is.
pub fn ticket(user: &UserId, secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, format!("{secret}:{user}").as_bytes()).as_ref())
}

/// What is published before anyone joins: the seed cannot be another one afterwards, nor the beacon.
pub fn commitment(seed: &[u8], beacon: Option<&str>) -> String {
    let mut hashed = digest::Context::new(&digest::SHA256);
    hashed.update(seed);
    hashed.update(beacon.unwrap_or_default().as_bytes());
    hex(hashed.finish().as_ref())
}

/// What tickets are drawn with: the seed, or the beacon's value under the seed.
pub fn key(seed: &[u8], beacon_value: Option<&str>) -> hmac::Key {
    let seed = hmac::Key::new(hmac::HMAC_SHA256, seed);
    match beacon_value {
        None => seed,
        Some(value) => hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&seed, value.as_bytes()).as_ref()),
    }
}

/// A ticket's number: the first 52 bits of its HMAC-SHA256.
pub fn number(key: &hmac::Key, ticket: &str) -> Number {
    let tag = hmac::sign(key, ticket.as_bytes());
    let first = tag.as_ref().iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    Number(FIRST_NUMBER + (first >> BITS_LEFT_OUT).cast_signed())
}

/// A draw as it is published: with it, and without the service, anyone can check the whole order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrawList {
    /// The room.
    pub room: String,
    /// SHA-256 of the seed, and of the beacon's name after it; published before anyone joined.
    pub commitment: String,
    /// The name of a value that nobody knew when the commitment was made.
    #[serde(default)]
    pub beacon: Option<String>,
    /// That value.
    #[serde(default)]
    pub beacon_value: Option<String>,
    /// The seed; null before the opening.
    pub seed: Option<String>,
    /// When the room opened: who came before is drawn.
    pub opens_at: String,
    /// How many were drawn; null until all of them are known, soon after the opening.
    pub count: Option<u64>,
    /// The tickets in the order of the draw; a page of them over HTTP, all of them in an exported list.
    pub tickets: Vec<String>,
}

/// Why a list is not what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It was published before the opening.
    #[error("the list has no seed yet, or not all tickets: fetch it again after the opening")]
    Unfinished,
    /// The seed or a ticket is no hash.
    #[error("{0} is not 64 hexadecimal digits")]
    Unreadable(String),
    /// The seed is not the one that was committed to.
    #[error("the seed does not fit the commitment")]
    OtherSeed,
    /// The commitment is not the one that was noted before.
    #[error("the list's commitment is not the one that was published before the opening")]
    OtherCommitment,
    /// The beacon has no value.
    #[error("the draw names a beacon, and the list does not have its value")]
    NoBeaconValue,
    /// A ticket stands in the wrong place.
    #[error("place {place} is wrong: its ticket's number is below the one before")]
    Disorder {
        /// The place, counted from 1.
        place: usize,
    },
    /// A ticket is in the list twice.
    #[error("place {place} has a ticket that another place has")]
    Twice {
        /// The place, counted from 1.
        place: usize,
    },
    /// There are more or fewer tickets than the list says.
    #[error("the list says {said} tickets and has {has}")]
    Count {
        /// What the list says.
        said: u64,
        /// What it has.
        has: usize,
    },
}

impl DrawList {
    /// Checks everything that can be checked from the list alone: seed, commitment, and the whole order.
    pub fn verify(&self, published: Option<&str>) -> Result<(), Flaw> {
        if published.is_some_and(|published| !published.eq_ignore_ascii_case(&self.commitment)) {
            return Err(Flaw::OtherCommitment);
        }
        let (Some(seed), Some(count)) = (&self.seed, self.count) else { return Err(Flaw::Unfinished) };
        let seed = unhex(seed).ok_or_else(|| Flaw::Unreadable("the seed".to_owned()))?;
        if commitment(&seed, self.beacon.as_deref()) != self.commitment {
            return Err(Flaw::OtherSeed);
        }
        if self.beacon.is_some() != self.beacon_value.is_some() {
            return Err(Flaw::NoBeaconValue);
        }
        if usize::try_from(count) != Ok(self.tickets.len()) {
            return Err(Flaw::Count { said: count, has: self.tickets.len() });
        }
        self.verify_order(&key(&seed, self.beacon_value.as_deref()))
    }

    fn verify_order(&self, key: &hmac::Key) -> Result<(), Flaw> {
        let mut seen = HashSet::with_capacity(self.tickets.len());
        let mut before = Number(i64::MIN);
        for (place, ticket) in (1..).zip(&self.tickets) {
            if unhex(ticket).is_none() {
                return Err(Flaw::Unreadable(format!("the ticket of place {place}")));
            }
            if !seen.insert(ticket) {
                return Err(Flaw::Twice { place });
            }
            let number = number(key, ticket);
            if number < before {
                return Err(Flaw::Disorder { place });
            }
            before = number;
        }
        Ok(())
    }

    /// The place of a ticket, counted from 1.
    pub fn place_of(&self, ticket: &str) -> Option<usize> {
        self.tickets.iter().position(|one| one == ticket).map(|at| at + 1)
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The 32 bytes of 64 lower-case hexadecimal digits.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if digits.len() != 64 || !digits.iter().all(lower) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
