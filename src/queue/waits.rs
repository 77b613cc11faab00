//! How long it takes to get in: reckoned from what admission did and what limits it, and corrected by how long those
//! waited who came in. Never invented.

use std::collections::VecDeque;

use serde::Serialize;
use utoipa::ToSchema;

use super::advice::Limit;

#[cfg(test)]
mod tests;

/// Admissions, absences and ends of visits are measured over this long, ms.
const WINDOW_MS: u64 = 60_000;

/// In a shorter time, or with fewer turns, nothing is known.
const SHORTEST_MS: u64 = 1_500;
const FEWEST_TURNS: u64 = 3;

/// What a place takes until it is measured, ms: it only spreads the polls, and is shown to nobody.
pub(super) const ASSUMED_PER_PLACE_MS: f64 = 20.0;

const NEAREST_POLL_MS: f64 = 1_000.0;
const FARTHEST_POLL_MS: f64 = 10_000.0;

/// Polls are spread by this share, so that those who came together do not ask together.
const SPREAD: f64 = 0.15;

/// Half wait so many times what was reckoned, and nine in ten so many, until it is learned.
const FIRST_P50: f64 = 1.0;
const FIRST_P90: f64 = 1.35;
const P50_WITHIN: (f64, f64) = (0.6, 1.6);
const P90_WITHIN: (f64, f64) = (0.9, 3.0);

/// Those who come in are seen at their next poll: about so much later.
const SEEN_LATER_SECONDS: f64 = 1.0;

/// How fast is learned: in the time of one wait a correction changes by at most this factor, as a logarithm. What was
/// learned shows only after a wait, so a faster pace would overshoot.
const GAIN: f64 = 0.25;
const SHORTEST_WAIT_SECONDS: f64 = 10.0;
const LEARN_EVERY_MS: u64 = 1_000;

/// For so long after it happened a lower rate, or a pause, is the reason of a longer wait, ms.
const REASON_MS: u64 = 120_000;

/// A waiting time that was told stays unless the new one is longer by this part and these seconds.
const LONGER_BY: f64 = 1.2;
const LONGER_SECONDS: f64 = 2.0;

/// A waiting time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Eta {
    /// Half wait no longer than this.
    pub p50_seconds: u64,
    /// Nine in ten wait no longer than this.
    pub p90_seconds: u64,
}

/// Why a waiting time is longer than the one told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Slower {
    /// Fewer are let in each second.
    RateLowered,
    /// Nobody is let in, or was for a while.
    Paused,
    /// Fewer leave than before: those inside, or those ahead in line.
    FewerLeaving,
}

/// A room at one run of the scheduler, as far as it says how fast the line moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) at_ms: u64,
    /// Visits ever begun, and places ever passed over.
    pub(super) admitted: u64,
    pub(super) passed: u64,
    pub(super) active: u64,
    /// Waiters set aside: they are counted in positions, and few of them come back.
    pub(super) aside: u64,
    /// Visits at once, at most.
    pub(super) most_visits: u64,
    /// Admissions in a second, at most.
    pub(super) per_second: f64,
    pub(super) held_back_by: Option<Limit>,
}

/// A wait that is over: what was told, and what came, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waited {
    pub(super) told_at_ms: u64,
    pub(super) told: Eta,
    pub(super) seconds: f64,
}

/// How fast the line moves: at first by the rate, and once the room is full as visits end.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Admissions in a second while there are free visits, and how many there will be until the room is full.
    filling: f64,
    until_full: f64,
    /// Admissions in a second in a full room, where that is known.
    full: Option<f64>,
    /// The part of those at their turn who are there.
    present: f64,
    aside: u64,
    p50: f64,
    p90: f64,
}

impl Pace {
    /// The waiting time of a position.
    pub(super) fn eta(&self, position: u64) -> Option<Eta> {
        let ahead = as_f64(position.saturating_sub(self.aside).max(1)) * self.present;
        let by_rate = ahead.min(self.until_full);
        let beyond = ahead - by_rate;
        let filling = if by_rate > 0.0 { by_rate / self.filling } else { 0.0 };
        let full = if beyond > 0.0 { beyond / self.full? } else { 0.0 };
        let seconds = filling + full;
        let p50 = seconds * self.p50;
        let p90 = (seconds * self.p90 + SEEN_LATER_SECONDS).max(p50);
        p90.is_finite().then(|| Eta { p50_seconds: whole(p50 + SEEN_LATER_SECONDS), p90_seconds: whole(p90) })
    }

    /// What each place in line takes now, ms.
    pub(super) fn per_place_ms(&self) -> f64 {
        let per_second = if self.until_full >= 1.0 { self.filling } else { self.full.unwrap_or(self.filling) };
        1_000.0 * self.present / per_second.max(0.001)
    }
}

/// What is measured and learned of a room's admission, in this process.
#[derive(Debug)]
pub(super) struct Waits {
    /// While the line moves.
    looks: VecDeque<Look>,
    /// Always: (time in ms, admitted in all), for the last minute.
    admitted: VecDeque<(u64, u64)>,
    paused_at_ms: Option<u64>,
    lowered_at_ms: Option<u64>,
    per_second: f64,
    p50: f64,
    p90: f64,
    /// Of the waits that ended since it was last learned: how many, those beyond p50, beyond p90, and their seconds.
    over: (f64, f64, f64, f64),
    learned_at_ms: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            looks: VecDeque::new(),
            admitted: VecDeque::new(),
            paused_at_ms: None,
            lowered_at_ms: None,
            per_second: 0.0,
            p50: FIRST_P50,
            p90: FIRST_P90,
            over: (0.0, 0.0, 0.0, 0.0),
            learned_at_ms: 0,
        }
    }
}

impl Waits {
    /// Notes a room whose line moves.
    pub(super) fn note(&mut self, look: Look) {
        if look.per_second < self.per_second {
            self.lowered_at_ms = Some(look.at_ms);
        }
        self.per_second = look.per_second;
        if self.looks.back().is_some_and(|last| last.admitted > look.admitted || last.passed > look.passed) {
            self.looks.clear();
        }
        self.looks.push_back(look);
        while self.looks.front().is_some_and(|first| first.at_ms + WINDOW_MS < look.at_ms) {
            self.looks.pop_front();
        }
    }

    /// Nobody waits: that says nothing about how long a place takes.
    pub(super) fn rest(&mut self) {
        self.looks.clear();
    }

    /// Nobody is to be admitted.
    pub(super) fn pause(&mut self, now_ms: u64) {
        self.looks.clear();
        self.paused_at_ms = Some(now_ms);
    }

    /// How fast the line moves, where that is known.
    pub(super) fn pace(&self) -> Option<Pace> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let span_ms = last.at_ms - first.at_ms;
        let (came, passed) = (last.admitted - first.admitted, last.passed - first.passed);
        if span_ms < SHORTEST_MS || came + passed < FEWEST_TURNS {
            return None;
        }
        let seconds = as_f64(span_ms) / 1_000.0;
        let measured = as_f64(came) / seconds;
        let present = (as_f64(came) / as_f64(came + passed)).max(0.02);
        let left = as_f64((first.active + came).saturating_sub(last.active)) / seconds;
        let pace = |filling, until_full, full| Pace {
            filling,
            until_full,
            full,
            present,
            aside: last.aside,
            p50: self.p50,
            p90: self.p90,
        };
        match last.held_back_by {
            Some(Limit::Rate | Limit::Load) if last.per_second > 0.0 => {
                let (rate, most) = (last.per_second, as_f64(last.most_visits));
                // As many more leave as there are more inside.
                let in_full_room = left * most / as_f64((first.active + last.active).max(2)) * 2.0;
                let full = (in_full_room > 0.0).then(|| in_full_room.min(rate));
                let free = (most - as_f64(last.active)).max(0.0);
                let until_full =
                    if in_full_room >= rate { f64::INFINITY } else { free * rate / (rate - left).max(0.001) };
                Some(pace(rate, until_full.max(0.0), full))
            }
            _ if measured > 0.0 => Some(pace(measured, 0.0, Some(measured))),
            _ => None,
        }
    }

    /// Why a wait would be longer than it was.
    pub(super) fn slower(&self, now_ms: u64) -> Slower {
        let lately = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms + REASON_MS >= now_ms);
        match (lately(self.paused_at_ms), lately(self.lowered_at_ms)) {
            (true, _) => Slower::Paused,
            (_, true) => Slower::RateLowered,
            _ => Slower::FewerLeaving,
        }
    }

    /// Learns from a wait that is over. One with a pause in it says nothing of the others.
    pub(super) fn learn(&mut self, waited: Waited, now_ms: u64) {
        if self.paused_at_ms.is_some_and(|paused| paused >= waited.told_at_ms) {
            return;
        }
        let beyond = |seconds: u64| if waited.seconds > as_f64(seconds) { 1.0 } else { 0.0 };
        self.over.0 += 1.0;
        self.over.1 += beyond(waited.told.p50_seconds);
        self.over.2 += beyond(waited.told.p90_seconds);
        self.over.3 += waited.seconds;
        let since_ms = now_ms.saturating_sub(self.learned_at_ms);
        if since_ms < LEARN_EVERY_MS {
            return;
        }
        let (count, beyond_p50, beyond_p90, seconds) = std::mem::take(&mut self.over);
        let part = as_f64(since_ms.min(5 * LEARN_EVERY_MS)) / 1_000.0 / (seconds / count).max(SHORTEST_WAIT_SECONDS);
        let learned = |was: f64, beyond: f64, wanted: f64, within: (f64, f64)| {
            (was * (GAIN * part * (beyond / count - wanted) / (wanted * (1.0 - wanted)).sqrt()).exp())
                .clamp(within.0, within.1)
        };
        self.p50 = learned(self.p50, beyond_p50, 0.5, P50_WITHIN);
        self.p90 = learned(self.p90, beyond_p90, 0.1, P90_WITHIN).max(self.p50);
        self.learned_at_ms = now_ms;
    }

    /// Admissions in the last minute, given how many there were in all.
    pub(super) fn admitted_per_minute(&mut self, admitted: u64, now_ms: u64) -> u64 {
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

/// What a visitor is told who was told `before`: never more, unless it became much more; then with the reason.
pub(super) fn steady(before: Eta, now: Eta, slower: Slower) -> (Eta, Option<Slower>) {
    let much = |before: u64, now: u64| as_f64(now) > as_f64(before) * LONGER_BY + LONGER_SECONDS;
    if much(before.p50_seconds, now.p50_seconds) || much(before.p90_seconds, now.p90_seconds) {
        return (now, Some(slower));
    }
    let p90_seconds = now.p90_seconds.min(before.p90_seconds);
    (Eta { p50_seconds: now.p50_seconds.min(before.p50_seconds).min(p90_seconds), p90_seconds }, None)
}

/// What a place takes until its turn comes, ms: of its position, and what the line takes to move by one.
pub(super) fn wait_ms(position: u64, per_place_ms: f64) -> f64 {
    as_f64(position) * per_place_ms
}

/// How long a check of a password will last that has lasted so long, ms: as long again. That needs no knowledge of the
/// other checks, and of those whose process is another one.
pub(super) fn check_ms(lasted_ms: i64) -> f64 {
    as_f64(lasted_ms.unsigned_abs())
}

/// When to ask again, ms: at half the expected wait, but a second near the end of it and ten far from it; spread by ±15 %.
/// `chance` is between 0 and 1.
pub(super) fn poll_after_ms(wait_ms: f64, chance: f64) -> u64 {
    let base = (wait_ms / 2.0).clamp(NEAREST_POLL_MS, FARTHEST_POLL_MS);
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
