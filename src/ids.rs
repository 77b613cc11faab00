//! Names and numbers as types: parsed once at the edge, never checked again.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a text is not one of our names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadId(pub &'static str);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $most:literal, $allowed:expr, $refusal:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text from outside, or says what such a name looks like.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                let allowed: fn(char) -> bool = $allowed;
                let fits = !text.is_empty() && text.len() <= $most && text.chars().all(allowed);
                if fits { Ok(Self(text.into())) } else { Err(BadId($refusal)) }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// So that a map is asked about a text as it came.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A room's name: what a sale's line is called in addresses and keys.
    RoomName, 32, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "a room's name has 1 to 32 of a-z, 0-9 and -"
);

text_id!(
    /// An account: its username, which is what the interface calls `userId`.
    UserId, 64, |c| c.is_ascii_alphanumeric() || "._@+-".contains(c),
    "a username has 1 to 64 letters, digits and . _ @ + -"
);

text_id!(
    /// A seat's label within its schedule, such as `A1`.
    SeatId, 16, |c| c.is_ascii_alphanumeric() || c == '-',
    "a seat has 1 to 16 letters, digits and -"
);

text_id!(
    /// A reservation. Those made by a hold begin with their schedule and a dash; older systems' may look otherwise.
    ReservationId, 64, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    "a reservation has 1 to 64 letters, digits, - and _"
);

impl ReservationId {
    /// A new reservation in a schedule. The id tells the schedule, so any process finds its keys.
    pub fn generate(schedule: ScheduleId) -> Self {
        Self(format!("{schedule}-{}", new_uuid().simple()).into())
    }

    /// The schedule that the id tells, if it is one of ours.
    pub fn schedule(&self) -> Option<ScheduleId> {
        let (schedule, rest) = self.0.split_once('-')?;
        let ours = rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit());
        if ours { schedule.parse().ok() } else { None }
    }
}

/// A schedule: one performance whose seats are sold. A positive number; a string in every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String)]
pub struct ScheduleId(pub i64);

impl FromStr for ScheduleId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && number > 0 => Ok(Self(number)),
            _ => Err(BadId("a scheduleId is a positive whole number")),
        }
    }
}

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ScheduleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Points, the currency: whole, 1 point = 1 KRW. May be negative only in ledger entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default, ToSchema)]
#[serde(transparent)]
pub struct Points(pub i64);

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a room's line (or a schedule's seats) had to be set up anew. Starts at 1; 0 means never set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default, ToSchema)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place's number in line: epoch · 2^32 + counter. Smaller stands before. Below 2^53, so exact in Redis' scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Number(pub i64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fresh, time-ordered id (UUID version 7, RFC 9562).
#[expect(clippy::disallowed_methods, reason = "the one place where ids are made")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}
