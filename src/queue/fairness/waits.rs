//! How many waited how long: counted in steps, so that the counts of all processes and hours can be added.

/// The first step is this long, in seconds, and each next one longer by a tenth. The last one begins after more than a day.
const FIRST: f64 = 1.0;
const GROWTH: f64 = 1.1;
const STEPS: usize = 128;

/// Counts of waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Waits(Vec<i64>);

impl Waits {
    pub(super) fn of(counts: Vec<i64>) -> Self {
        Self(counts)
    }

    pub(super) fn counts(&self) -> Vec<i64> {
        let mut counts = self.0.clone();
        counts.resize(STEPS, 0);
        counts
    }

    pub(super) fn note(&mut self, seconds: f64) {
        self.0.resize(STEPS, 0);
        let step = (0..STEPS - 1).find(|step| seconds <= end(*step)).unwrap_or(STEPS - 1);
        self.0[step] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.resize(STEPS, 0);
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum += more;
        }
    }

    pub(super) fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// So many seconds this share of all waited at most, to a tenth; none without waits.
    pub(super) fn within(&self, share: f64) -> Option<f64> {
        let all = self.total();
        let mut so_far = 0;
        let reached = |count: &i64| {
            so_far += count;
            so_far > 0 && as_f64(so_far) >= share * as_f64(all)
        };
        self.0.iter().position(reached).map(|step| (end(step) * 10.0).round() / 10.0)
    }
}

#[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "a step is below 128")]
fn end(step: usize) -> f64 {
    FIRST * GROWTH.powi(step as i32)
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 visitors")]
pub(super) fn as_f64(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_waits_is_found_to_a_tenth_and_counts_add_up() {
        let (mut some, mut others) = (Waits::default(), Waits::default());
        assert_eq!((some.within(0.5), some.total()), (None, 0));
        (1..=500).for_each(|n| some.note(f64::from(n)));
        (501..=1_000).for_each(|n| others.note(f64::from(n)));
        some.add(&others);
        assert_eq!(some.total(), 1_000);
        for (share, seconds) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = some.within(share).unwrap();
            assert!((seconds..seconds * 1.1).contains(&found), "{share}: {found}");
        }
        assert_eq!(Waits::of(some.counts()).within(0.9), some.within(0.9), "as it is kept");
        some.note(1e9);
        assert_eq!(some.counts()[STEPS - 1], 1, "whatever is too long is counted too");
    }
}
