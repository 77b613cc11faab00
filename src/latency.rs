//! How long things take lately: noted by many, read off by one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Upper edges of the classes that durations are counted in, ms; what is longer is in a class of its own.
const EDGES_MS: [u64; 17] = [1, 2, 5, 10, 15, 25, 35, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000];

/// Below so many durations a percentile says nothing.
const FEWEST: u32 = 20;

/// Counts durations since it was last read.
#[derive(Debug, Default)]
pub struct Latency {
    counts: [AtomicU32; EDGES_MS.len() + 1],
}

impl Latency {
    /// Notes how long one took.
    pub fn note(&self, took: Duration) {
        let class = EDGES_MS.partition_point(|edge| Duration::from_millis(*edge) < took);
        self.counts[class].fetch_add(1, Ordering::Relaxed);
    }

    /// What 95 in 100 stayed within since this was last asked, ms, rounded up to an edge; nothing where there were too few.
    /// Counting begins anew.
    pub fn take_p95_ms(&self) -> Option<u64> {
        let counts = self.counts.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        let all: u32 = counts.iter().sum();
        if all < FEWEST {
            return None;
        }
        let mut within = 0;
        let class = counts.iter().position(|count| {
            within += count;
            u64::from(within) * 100 >= u64::from(all) * 95
        });
        class.map(|class| EDGES_MS.get(class).copied().unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_in_twenty_decide_and_reading_begins_anew() {
        let latency = Latency::default();
        for took_ms in (0..95).map(|_| 4).chain([700; 5]) {
            latency.note(Duration::from_millis(took_ms));
        }
        assert_eq!(latency.take_p95_ms(), Some(5));
        assert_eq!(latency.take_p95_ms(), None, "read off before");
        for took_ms in (0..94).map(|_| 4).chain([700; 6]) {
            latency.note(Duration::from_millis(took_ms));
        }
        assert_eq!(latency.take_p95_ms(), Some(1_000));
        (0..20).for_each(|_| latency.note(Duration::from_mins(1)));
        assert_eq!(latency.take_p95_ms(), Some(u64::MAX));
    }
}
