//! Counting what comes from whom within fixed windows, in bounded memory.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock;

/// Keys counted at once by one window, some 20 MB at most. Beyond, those not heard of for the longest time are let go.
const MOST_KEYS: u64 = 100_000;

/// A limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// When to come again, in seconds.
    pub retry_after_seconds: u64,
}

/// Counts by key. A key's window begins with the first that is counted, and after its length counting starts anew.
pub struct Window<K> {
    most: u32,
    length: Duration,
    counts: Cache<K, Arc<Count>>,
}

struct Count {
    started: Instant,
    hits: AtomicU32,
}

impl<K: Hash + Eq + Send + Sync + 'static> Window<K> {
    /// At most `most` of each key within `length`.
    pub fn new(most: u32, length: Duration) -> Self {
        let counts = Cache::builder()
            .max_capacity(MOST_KEYS)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(length)
            .build();
        Self { most, length, counts }
    }

    /// How many more of the key may come in this window; an error when none may.
    pub fn left(&self, key: &K) -> Result<u32, Spent> {
        let Some(count) = self.counts.get(key) else {
            return if self.most > 0 { Ok(self.most) } else { Err(self.spent(clock::now())) };
        };
        match self.most.saturating_sub(count.hits.load(Ordering::Relaxed)) {
            0 => Err(self.spent(count.started)),
            left => Ok(left),
        }
    }

    /// Counts one, also beyond the limit.
    pub fn count(&self, key: K) {
        let _ = self.hit(key);
    }

    /// Counts one, and says whether it was still within the limit.
    pub fn take(&self, key: K) -> Result<(), Spent> {
        let (started, before) = self.hit(key);
        if before < self.most { Ok(()) } else { Err(self.spent(started)) }
    }

    fn hit(&self, key: K) -> (Instant, u32) {
        let count = self.counts.get_with(key, || Arc::new(Count { started: clock::now(), hits: AtomicU32::new(0) }));
        (count.started, count.hits.fetch_add(1, Ordering::Relaxed))
    }

    fn spent(&self, started: Instant) -> Spent {
        let left = self.length.saturating_sub(clock::now().saturating_duration_since(started));
        Spent { retry_after_seconds: clock::millis(left).div_ceil(1_000).max(1) }
    }
}

/// The address that limits count: of IPv6 the network (/64), since one customer has all addresses in it.
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_window_lets_as_many_pass_as_it_may() {
        let window = Window::new(2, MINUTE);
        assert_eq!(window.left(&"a"), Ok(2));
        assert_eq!(window.take("a"), Ok(()));
        assert_eq!(window.left(&"a"), Ok(1));
        assert_eq!(window.take("a"), Ok(()));
        assert_eq!(window.left(&"a"), Err(Spent { retry_after_seconds: 60 }));
        assert_eq!(window.take("a"), Err(Spent { retry_after_seconds: 60 }));
        assert_eq!(window.take("b"), Ok(()));
    }

    #[test]
    fn a_window_counts_anew_when_it_is_over() {
        let window = Window::new(1, Duration::from_millis(20));
        assert_eq!(window.take("a"), Ok(()));
        assert_eq!(window.take("a"), Err(Spent { retry_after_seconds: 1 }));
        std::thread::sleep(Duration::from_millis(40));
        assert_eq!(window.take("a"), Ok(()));
    }

    #[test]
    fn addresses_of_one_customer_count_together() {
        let origin = |text: &str| origin(text.parse().unwrap()).to_string();
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(origin("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(origin("192.0.2.7"), "192.0.2.7");
    }
}
