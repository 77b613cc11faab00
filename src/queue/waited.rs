//! How long a visitor waited, and how far that was from what was told: as the visitor saw it, from answer to answer.

use super::place::{Place, Status};
use super::waits::{self, Eta, Slower, Waited};
use super::{Room, State, View};
use crate::clock;

/// A wait under way.
#[derive(Debug, Default)]
pub(super) struct Wait {
    /// The first answer that said to wait, by uptime, ms; null while nobody waits.
    since_ms: Option<u64>,
    /// The first waiting time that was told, and when, by uptime in ms.
    told: Option<(u64, Eta)>,
    /// The last one.
    shown: Option<Eta>,
}

impl Wait {
    /// Follows a visitor to this answer, which keeps to what was told before; measures the wait when it is over.
    pub(super) fn follow(&mut self, room: &Room, place: &mut Place) {
        let now_ms = clock::uptime_ms();
        match place.status {
            Status::Verifying | Status::Scheduled | Status::Waiting => {
                self.since_ms.get_or_insert(now_ms);
                self.keep_to(&room.view(), place);
                self.told = self.told.or(place.eta.map(|eta| (now_ms, eta)));
            }
            Status::Active => std::mem::take(self).measure(room, now_ms),
            Status::Expired | Status::Left => *self = Self::default(),
        }
    }

    /// Forgets what was told before.
    pub(super) fn forget_promise(&mut self) {
        (self.told, self.shown) = (None, None);
    }

    fn keep_to(&mut self, view: &View, place: &mut Place) {
        match (self.shown, place.eta) {
            (Some(before), Some(now)) => {
                let (eta, reason) = waits::steady(before, now, view.slower);
                (place.eta, place.eta_reason) = (Some(eta), reason);
            }
            (Some(_), None) if view.state == State::Paused => place.eta_reason = Some(Slower::Paused),
            _ => {}
        }
        self.shown = place.eta.or(self.shown);
    }

    fn measure(self, room: &Room, now_ms: u64) {
        let Some(since_ms) = self.since_ms else { return };
        let name = || room.name.to_string();
        metrics::histogram!("anteroom_wait_seconds", "room" => name()).record(seconds(now_ms - since_ms));
        let waited = |(told_at_ms, told)| Waited { told_at_ms, told, seconds: seconds(now_ms - told_at_ms) };
        room.tally().note_wait(seconds(now_ms - since_ms), self.told.map(waited));
        if let Some((told_at_ms, told)) = self.told {
            let waited = waited((told_at_ms, told));
            let off_ms = (now_ms - told_at_ms).abs_diff(told.p50_seconds * 1_000);
            metrics::histogram!("anteroom_eta_error_seconds", "room" => name()).record(seconds(off_ms));
            room.waits().learn(waited, now_ms);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a wait in milliseconds stays far below 2^53")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
