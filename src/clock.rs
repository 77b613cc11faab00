//! The process' own clock: for waits, caches and what is shown, never for order.
//!
//! Order and expiry are decided by Redis' time inside the scripts, and by Postgres' time in the transactions. What
//! is here serves only what one process remembers for itself.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

static STARTED: LazyLock<Instant> = LazyLock::new(now);

/// The moment, for measuring how long something took.
#[expect(clippy::disallowed_methods, reason = "the one place where the monotonic clock is read")]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the process' first look at the clock. Never goes back; fits atomics.
pub fn uptime_ms() -> u64 {
    millis(now().saturating_duration_since(*STARTED))
}

/// The wall clock, in UTC.
#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub fn utc() -> DateTime<Utc> {
    Utc::now()
}

/// Milliseconds since the Unix epoch, by the wall clock.
pub fn unix_ms() -> i64 {
    utc().timestamp_millis()
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time of a number of milliseconds since the Unix epoch. What lies outside the calendar becomes its first moment.
pub fn from_unix_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::UNIX_EPOCH)
}

/// RFC 3339 in UTC with milliseconds, as every time in a response is written.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds, rounded up, from now until a time; at least one. For `Retry-After`.
pub fn seconds_until(at: DateTime<Utc>) -> u64 {
    let left = at.signed_duration_since(utc()).max(TimeDelta::seconds(1));
    u64::try_from(left.num_milliseconds()).unwrap_or(1_000).div_ceil(1_000)
}
