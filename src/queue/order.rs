//! Whether anyone who is there is overtaken: looked at from outside, as an observer would.
//!
//! The scripts admit in order by construction. This does not trust them: it compares the head of the line with who was let
//! in since the last look. Whoever stood there at both looks, and counted as present all the time between, must not have been
//! passed by a greater number; whoever was away in between may have been.

use std::collections::HashSet;

use super::{Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::ids::Epoch;
use crate::store::scripts::queue::{self as scripts, Look};

/// How often a process looks at a room, ms.
const EVERY_MS: i64 = 1_000;

/// How much of the line's head is looked at: more than are let in between two looks, in all but the largest rooms.
const HEAD: u32 = 200;

/// The last look, and the worst that was seen.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Look,
    epoch: Epoch,
    looked_at_ms: u64,
    most: u64,
}

/// Looks at the order of a room, if the last look is some time ago.
pub(super) async fn look(queue: &Queue, room: &Room) -> Result<(), Fault> {
    let uptime_ms = clock::uptime_ms();
    let line = room.line(&queue.redis);
    let since_ms = {
        let mut order = room.order();
        if order.epoch != line.epoch {
            // Between two epochs everyone was away.
            *order = Order { epoch: line.epoch, most: order.most, ..Order::default() };
        }
        if order.looked_at_ms > 0 && uptime_ms < order.looked_at_ms.saturating_add(EVERY_MS.unsigned_abs()) {
            return Ok(());
        }
        order.last.now_ms
    };
    let now = scripts::order(line, since_ms, HEAD).await?;
    let mut order = room.order();
    let overtaken = overtakings(&order.last, &now);
    let most = order.most.max(overtaken);
    let judged = u64::try_from(now.let_in.len()).unwrap_or(u64::MAX);
    *order = Order { last: now, epoch: line.epoch, looked_at_ms: uptime_ms, most };
    drop(order);
    room.tally().note_look(judged, overtaken);
    let name = || room.name.to_string();
    metrics::counter!("anteroom_order_inversions_total", "room" => name()).increment(overtaken);
    let most = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
    metrics::gauge!("anteroom_order_overtaken_most", "room" => name()).set(most);
    if overtaken > 0 {
        tracing::error!(room = %room.name, overtaken, "someone who was there was overtaken");
    }
    Ok(())
}

/// How many were let in between two looks before someone who was present all the time and has a smaller number.
fn overtakings(before: &Look, after: &Look) -> u64 {
    if before.claim_ms != after.claim_ms {
        return 0;
    }
    let still: HashSet<&str> = after.here.iter().map(|(user, ..)| user.as_str()).collect();
    let stayed = before.here.iter().filter(|(user, _, until)| *until >= after.now_ms && still.contains(user.as_str()));
    let Some(first) = stayed.map(|(_, number, _)| *number).min() else { return 0 };
    after.let_in.iter().filter(|number| **number > first).fold(0, |count, _| count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now_ms: i64, let_in: &[i64], here: &[(&str, i64, i64)]) -> Look {
        let here = here.iter().map(|(user, number, until)| ((*user).to_owned(), *number, *until)).collect();
        Look { now_ms, claim_ms: 1, let_in: let_in.to_vec(), here }
    }

    #[test]
    fn only_who_was_there_all_the_time_can_be_overtaken() {
        let before = seen(0, &[], &[("b", 2, 99), ("c", 3, 99)]);
        assert_eq!(overtakings(&before, &seen(50, &[3, 4], &[("b", 2, 99)])), 2);
        assert_eq!(overtakings(&before, &seen(50, &[2], &[("c", 3, 99)])), 0, "in order");
        assert_eq!(overtakings(&before, &seen(50, &[3], &[])), 0, "b is away, or inside");
        let before = seen(0, &[], &[("b", 2, 20)]);
        assert_eq!(overtakings(&before, &seen(50, &[3], &[("b", 2, 99)])), 0, "b was away in between");
    }
}
