//! One run of the scheduler: end what is over, admit the next, and see the room as it is.

use std::sync::Arc;

use super::recovery;
use super::room::{Counts, Room, View};
use super::settings::{State, effective_state};
use super::{Queue, flush_kept_visits};
use crate::clock;
use crate::error::Fault;
use crate::store::scripts::queue::{self as scripts, Census, Run};

/// Visits ended, or people admitted, by one call at most: it keeps Redis for about a millisecond.
const AT_ONCE: u32 = 500;

/// Calls of one run at most; what is left is done by the next run.
const ROUNDS: usize = 8;

/// Runs the scheduler for a room. Any process may, at any time: the limits hold because the scripts compute them.
pub async fn run(queue: &Queue, room: &Arc<Room>) -> Result<(), Fault> {
    let believed = room.epoch();
    match step(queue, room).await {
        Err(Fault::Lost) => {
            Box::pin(recovery::recover(queue, room, believed)).await?;
            step(queue, room).await
        }
        other => other,
    }
}

async fn step(queue: &Queue, room: &Arc<Room>) -> Result<(), Fault> {
    flush_kept_visits(queue, room).await?;
    for _ in 0..ROUNDS {
        let ended = scripts::end_visits(room.line(&queue.redis), AT_ONCE, queue.token_seconds * 1_000).await?;
        for (reason, count) in
            [("over", ended.over), ("idle", ended.idle), ("unclaimed", ended.unclaimed), ("grace-over", ended.given_up)]
        {
            if count > 0 {
                let room = room.name.to_string();
                metrics::counter!("anteroom_leaves_total", "room" => room, "reason" => reason).increment(count);
            }
        }
        if ended.over.max(ended.idle).max(ended.given_up) < u64::from(AT_ONCE) {
            break;
        }
    }
    let most = if queue.postgres_serves() { AT_ONCE } else { 0 };
    for _ in 0..ROUNDS {
        let run = scripts::admit(room.line(&queue.redis), most).await?;
        let more = run.admitted == u64::from(AT_ONCE) || (run.set_aside > 0 && run.waiting > 0);
        see(room, &run);
        if !more {
            break;
        }
    }
    Ok(())
}

/// Counts a room at one moment, for the invariants.
pub(crate) async fn census(queue: &Queue, room: &Room) -> Result<Census, Fault> {
    scripts::counts(&queue.redis, &room.keys).await
}

/// Keeps what a run found as the room's view, for every answer until the next.
fn see(room: &Room, run: &Run) {
    let text = |name: &str| run.room.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let number = |name: &str| text(name).parse::<i64>().unwrap_or(0);
    let counts = Counts {
        active: run.active,
        waiting: run.waiting,
        aside: run.aside,
        pending: run.pending,
        recalled: run.recalled,
        admitted: u64::try_from(number("admitted")).unwrap_or(0),
    };
    let state = effective_state(text("state"), &|name| number(name));
    let (wait_per_place_ms, admitted_per_minute) = {
        let mut waits = room.waits();
        if run.waiting == 0 || state == State::Paused || state == State::Recovering {
            waits.pause();
        } else {
            waits.note(counts.admitted, u64::try_from(number("passedOver")).unwrap_or(0));
        }
        (waits.per_place_ms(), waits.admitted_per_minute(counts.admitted))
    };
    let opens_at = number("opensAt");
    room.view.store(Arc::new(View {
        state,
        counts,
        capacity: number("capacity"),
        admit_per_second: text("admitPerSecond").parse().unwrap_or(0.0),
        opens_at: (opens_at > 0).then(|| clock::from_unix_ms(opens_at)),
        message: Some(text("message").to_owned()).filter(|message| !message.is_empty()),
        hold_ms: number("holdMs"),
        wait_per_place_ms,
        admitted_per_minute,
        seen_at_ms: clock::uptime_ms(),
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
    metrics::gauge!("anteroom_admission_target_per_second", "room" => name()).set(view.admit_per_second);
    gauge(metrics::gauge!("anteroom_queue_epoch", "room" => name()), u64::try_from(room.epoch().0).unwrap_or(0));
    gauge(
        metrics::gauge!("anteroom_admission_last_success_timestamp_seconds", "room" => name()),
        u64::try_from(clock::unix_ms() / 1_000).unwrap_or(0),
    );
    for state in State::ALL {
        let on = if state == view.state { 1.0 } else { 0.0 };
        metrics::gauge!("anteroom_room_state", "room" => name(), "state" => state.name()).set(on);
    }
}
