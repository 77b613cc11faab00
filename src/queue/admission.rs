//! One run of the scheduler: end what is over, admit the next, and see the room as it is.

use std::sync::Arc;

use super::settings::State;
use super::{Queue, Room, flush_kept_visits, order, recovery, seen};
use crate::error::Fault;
use crate::store::scripts::queue::{self as scripts, Census};

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
            count_leaves(room, reason, count);
        }
        if ended.over.max(ended.idle).max(ended.given_up) < u64::from(AT_ONCE) {
            break;
        }
    }
    if room.view().state == State::Closed {
        count_leaves(room, "grace-over", scripts::end_line(room.line(&queue.redis), AT_ONCE).await?);
    }
    let most = if queue.postgres_serves() { AT_ONCE } else { 0 };
    for _ in 0..ROUNDS {
        let run = scripts::admit(room.line(&queue.redis), most).await?;
        let more = run.admitted == u64::from(AT_ONCE) || (run.set_aside > 0 && run.waiting > 0);
        seen::see(room, &run, most);
        if !more {
            break;
        }
    }
    order::look(queue, room).await
}

fn count_leaves(room: &Room, reason: &'static str, count: u64) {
    if count > 0 {
        let room = room.name.to_string();
        metrics::counter!("anteroom_leaves_total", "room" => room, "reason" => reason).increment(count);
    }
}

/// Counts a room at one moment, for the invariants.
pub(crate) async fn census(queue: &Queue, room: &Room) -> Result<Census, Fault> {
    scripts::counts(&queue.redis, &room.keys).await
}
