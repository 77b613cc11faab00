//! How long a visitor waited, and how far that was from what was told: as the visitor saw it, from answer to answer.

use crate::clock;

use super::place::{Place, Status};

/// A wait under way.
#[derive(Debug, Default)]
pub(super) struct Wait {
    /// The first answer that said to wait, by uptime, ms; null while nobody waits.
    since_ms: Option<u64>,
    /// The first waiting time that was told: when, by uptime in ms, and the median in seconds.
    told: Option<(u64, u64)>,
}

impl Wait {
    /// Follows a visitor to this answer; measures the wait when it is over.
    pub(super) fn follow(&mut self, place: &Place) {
        let now_ms = clock::uptime_ms();
        match place.status {
            Status::Verifying | Status::Scheduled | Status::Waiting => {
                self.since_ms.get_or_insert(now_ms);
                self.told = self.told.or(place.eta.map(|eta| (now_ms, eta.p50_seconds)));
            }
            Status::Active => std::mem::take(self).measure(place, now_ms),
            Status::Expired | Status::Left => *self = Self::default(),
        }
    }

    fn measure(self, place: &Place, now_ms: u64) {
        let Some(since_ms) = self.since_ms else { return };
        let room = || place.room.to_string();
        metrics::histogram!("anteroom_wait_seconds", "room" => room()).record(seconds(now_ms - since_ms));
        if let Some((told_ms, p50_seconds)) = self.told {
            let off_ms = (now_ms - told_ms).abs_diff(p50_seconds * 1_000);
            metrics::histogram!("anteroom_eta_error_seconds", "room" => room()).record(seconds(off_ms));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a wait in milliseconds stays far below 2^53")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
