//! The room as a run of the scheduler found it: kept for every answer until the next run, and measured.

use std::sync::Arc;

use super::advice::Limit;
use super::fairness::Counters;
use super::room::{Counts, Room, View};
use super::settings::{State, effective_state};
use super::waits::Look;
use crate::clock;
use crate::ids::Epoch;
use crate::store::scripts::queue::Run;

/// So many in line a run looks at: `LOOK_AT_MOST` of `lua/queue/admit.lua`.
const LOOKED_AT: u64 = 1_000;

/// The fields of the room's hash, as a run answered them.
struct Fields<'a>(&'a [(String, String)]);

impl Fields<'_> {
    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    }

    fn whole(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    fn number(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or(0.0)
    }

    /// Admissions in a second that are aimed at.
    fn target_per_second(&self) -> f64 {
        let load = if self.advised() { self.number("loadRate") } else { f64::INFINITY };
        self.number("admitPerSecond").min(load)
    }

    /// The counters of the epoch.
    fn counters(&self) -> Counters {
        Counters {
            joined: self.whole("joined"),
            admitted: self.whole("admitted"),
            passed_over: self.whole("passedOver"),
            ended: self.whole("ended"),
            over_admitted: self.whole("overAdmitted"),
        }
    }

    /// Whether the advice counted in this run, which wrote down when it was.
    fn advised(&self) -> bool {
        self.whole("bucketAt") < self.whole("advisedUntil")
    }
}

/// What holds back those who are still in line after a run that could have admitted more than `most`.
fn held_back_by(run: &Run, most: u32, fields: &Fields<'_>) -> Option<Limit> {
    let cut = run.admitted == u64::from(most) || run.admitted + run.set_aside >= LOOKED_AT;
    if !run.open || cut || run.waiting + run.recalled == 0 {
        return None;
    }
    let (capacity, rate) = (fields.whole("capacity"), fields.number("admitPerSecond"));
    let advice = fields.advised().then(|| (fields.whole("stockVisits"), fields.number("loadRate")));
    let (stock, load) = advice.unwrap_or((i64::MAX, f64::INFINITY));
    if i64::try_from(run.active).is_ok_and(|active| active >= capacity.min(stock)) {
        Some(if stock < capacity { Limit::Stock } else { Limit::Capacity })
    } else if fields.number("bucket") < 1.0 {
        Some(if load < rate { Limit::Load } else { Limit::Rate })
    } else {
        None
    }
}

/// What a run says of how fast the line moves, but for what holds it back.
fn look(run: &Run, fields: &Fields<'_>, at_ms: u64) -> Look {
    let whole = |name: &str| u64::try_from(fields.whole(name)).unwrap_or(0);
    let stock = if fields.advised() { whole("stockVisits") } else { u64::MAX };
    Look {
        at_ms,
        admitted: whole("admitted"),
        passed: whole("passedOver"),
        active: run.active,
        aside: run.aside,
        most_visits: whole("capacity").min(stock),
        per_second: fields.target_per_second(),
        held_back_by: None,
    }
}

/// Keeps what a run found that was to admit `most`.
pub(super) fn see(room: &Room, run: &Run, most: u32) {
    let fields = Fields(&run.room);
    let counts = Counts {
        active: run.active,
        waiting: run.waiting,
        aside: run.aside,
        pending: run.pending,
        recalled: run.recalled,
        admitted: u64::try_from(fields.whole("admitted")).unwrap_or(0),
    };
    room.tally().note_counters(Epoch(fields.whole("epoch")), fields.counters());
    let seats_left = fields.text("seatsLeft").parse().ok().filter(|_| fields.advised());
    let state = match effective_state(fields.text("state"), &|name| fields.whole(name)) {
        State::Open | State::Draining if run.open && seats_left == Some(0) => State::SoldOut,
        state => state,
    };
    let held_back_by = held_back_by(run, most, &fields);
    let now_ms = clock::uptime_ms();
    let (pace, slower, admitted_per_minute) = {
        let mut waits = room.waits();
        match state {
            State::Open | State::Draining if run.waiting > 0 => {
                let look = Look { held_back_by, ..look(run, &fields, now_ms) };
                waits.note(look);
            }
            State::Paused | State::Recovering => waits.pause(now_ms),
            _ => waits.rest(),
        }
        (waits.pace(), waits.slower(now_ms), waits.admitted_per_minute(counts.admitted, now_ms))
    };
    let opens_at = fields.whole("opensAt");
    room.view.store(Arc::new(View {
        state,
        counts,
        capacity: fields.whole("capacity"),
        admit_per_second: fields.number("admitPerSecond"),
        adaptive: fields.whole("adaptive") == 1,
        target_per_second: fields.target_per_second(),
        held_back_by,
        seats_left,
        opens_at: (opens_at > 0).then(|| clock::from_unix_ms(opens_at)),
        message: Some(fields.text("message").to_owned()).filter(|message| !message.is_empty()),
        messages: serde_json::from_str(fields.text("messages")).unwrap_or_default(),
        line_limit: fields.whole("queueLimit"),
        hold_ms: fields.whole("holdMs"),
        grace_ms: fields.whole("graceMs"),
        phone_grace_ms: fields.whole("phoneGraceMs"),
        pace,
        slower,
        admitted_per_minute,
        seen_at_ms: now_ms,
    }));
    count(room, run);
}

fn count(room: &Room, run: &Run) {
    let name = || room.name.to_string();
    let gauge = |gauge: metrics::Gauge, value: u64| gauge.set(f64::from(u32::try_from(value).unwrap_or(u32::MAX)));
    metrics::counter!("anteroom_admissions_total", "room" => name()).increment(run.admitted);
    gauge(metrics::gauge!("anteroom_queue_waiting", "room" => name()), run.waiting);
    gauge(metrics::gauge!("anteroom_queue_aside", "room" => name()), run.aside);
    gauge(metrics::gauge!("anteroom_visits_active", "room" => name()), run.active);
    let view = room.view();
    gauge(metrics::gauge!("anteroom_visits_capacity", "room" => name()), u64::try_from(view.capacity).unwrap_or(0));
    metrics::gauge!("anteroom_admission_target_per_second", "room" => name()).set(view.target_per_second);
    gauge(metrics::gauge!("anteroom_queue_epoch", "room" => name()), u64::try_from(room.epoch().0).unwrap_or(0));
    gauge(
        metrics::gauge!("anteroom_admission_last_success_timestamp_seconds", "room" => name()),
        u64::try_from(clock::unix_ms() / 1_000).unwrap_or(0),
    );
    for limit in Limit::ALL {
        let on = if view.held_back_by == Some(limit) { 1.0 } else { 0.0 };
        metrics::gauge!("anteroom_admission_limit", "room" => name(), "limit" => limit.name()).set(on);
    }
    for state in State::ALL {
        let on = if state == view.state { 1.0 } else { 0.0 };
        metrics::gauge!("anteroom_room_state", "room" => name(), "state" => state.name()).set(on);
    }
}
