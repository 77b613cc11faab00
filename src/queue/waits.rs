//! How long a place in line takes: measured from admissions, never invented.

use std::collections::VecDeque;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock;

/// Admissions are measured over this long, ms.
const WINDOW_MS: u64 = 30_000;

/// Below this many turns or this long a time the rate is unknown.
const FEWEST_TURNS: u64 = 3;
const SHORTEST_MS: u64 = 1_500;

/// What a place takes until it is measured, ms: it only spreads the polls, and is shown to nobody.
pub(super) const ASSUMED_PER_PLACE_MS: f64 = 20.0;

const NEAREST_POLL_MS: f64 = 1_000.0;
const FARTHEST_POLL_MS: f64 = 10_000.0;

/// Polls are spread by this share, so that those who came together do not ask together.
const SPREAD: f64 = 0.15;

/// How much longer than the median one in ten waits: the rate varies, and so does the share of those who are absent.
const P90_FACTOR: f64 = 1.3;
const P90_EXTRA_SECONDS: f64 = 2.0;

/// A waiting time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Eta {
    /// Half wait no longer than this.
    pub p50_seconds: u64,
    /// Nine in ten wait no longer than this.
    pub p90_seconds: u64,
}

/// One look at the counters of a room.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ms: u64,
    /// Places that came to their turn: admitted or passed over.
    turns: u64,
}

/// The last half minute and the last minute of admissions.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// While the line moves: what the waiting time is measured from.
    samples: VecDeque<Sample>,
    /// Always: (uptime in ms, admitted in all), for the last minute.
    admitted: VecDeque<(u64, u64)>,
}

impl Waits {
    /// Notes the counters of a room whose line moves.
    pub(super) fn note(&mut self, admitted: u64, passed: u64) {
        let sample = Sample { at_ms: clock::uptime_ms(), turns: admitted + passed };
        if self.samples.back().is_some_and(|last| last.turns > sample.turns) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        while self.samples.front().is_some_and(|first| first.at_ms + WINDOW_MS < sample.at_ms) {
            self.samples.pop_front();
        }
    }

    /// Nobody waits, or nobody is to be admitted: that says nothing about how long a place takes.
    pub(super) fn pause(&mut self) {
        self.samples.clear();
    }

    /// How long each place in line takes, ms. A place that is passed over takes no time: it counts as a turn.
    pub(super) fn per_place_ms(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let (span_ms, turns) = (last.at_ms - first.at_ms, last.turns - first.turns);
        let measured = span_ms >= SHORTEST_MS && turns >= FEWEST_TURNS;
        measured.then(|| as_f64(span_ms) / as_f64(turns))
    }

    /// Admissions in the last minute, given how many there were in all.
    pub(super) fn admitted_per_minute(&mut self, admitted: u64) -> u64 {
        let now_ms = clock::uptime_ms();
        if self.admitted.back().is_some_and(|(_, before)| *before > admitted) {
            self.admitted.clear();
        }
        // One note a second is enough, and bounds how many there are.
        if self.admitted.back().is_none_or(|(at_ms, _)| at_ms + 1_000 <= now_ms) {
            self.admitted.push_back((now_ms, admitted));
        }
        while self.admitted.front().is_some_and(|(at_ms, _)| at_ms + 60_000 < now_ms) {
            self.admitted.pop_front();
        }
        self.admitted.front().map_or(0, |(_, before)| admitted - before)
    }
}

/// The waiting time of a position, where each place takes so long.
pub(super) fn eta(position: u64, per_place_ms: f64) -> Eta {
    let p50 = as_f64(position) * per_place_ms / 1_000.0;
    Eta { p50_seconds: whole(p50), p90_seconds: whole(p50 * P90_FACTOR + P90_EXTRA_SECONDS) }
}

/// When to ask again, ms: a second near the head, ten far back, at most half the expected wait; spread by ±15 %.
/// `chance` is between 0 and 1.
pub(super) fn poll_after_ms(position: u64, per_place_ms: f64, chance: f64) -> u64 {
    let half_the_wait = as_f64(position) * per_place_ms / 2.0;
    let base = half_the_wait.clamp(NEAREST_POLL_MS, FARTHEST_POLL_MS);
    whole(base * (1.0 - SPREAD + 2.0 * SPREAD * chance))
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds of one process stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds and milliseconds, never negative")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
