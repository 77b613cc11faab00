//! The invariants, looked at in the stores themselves. Rows of the outbox not yet settled, and holds not yet swept, are
//! no violation: they are on their way.

mod seats;

use std::time::Duration;

use super::Booking;
use crate::error::Fault;
use crate::ledger::{self, Check, Pace};
use crate::queue;
use crate::store::scripts::booking as scripts;

/// Who asks is answered as soon as it goes; nobody waits for the watch.
const AT_ONCE: Pace = Pace { rests: 0 };
const GENTLY: Pace = Pace { rests: 4 };

/// How the invariants are watched.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// For how long nobody else need look, ms.
    pub turn_ms: u64,
    /// After which time what is broken is looked at again.
    pub again_after: Duration,
}

/// Looks at every invariant that can be seen from the stores, and counts what is broken.
pub async fn check(booking: &Booking) -> Result<Vec<Check>, Fault> {
    let checks = look(booking, AT_ONCE).await?;
    checks.iter().filter(|check| !check.ok).for_each(count);
    Ok(checks)
}

/// Looks whether or not anyone asks, one process of many. One look may fall into a change, as when Redis is being set
/// up again; so only what is broken in two is counted, logged and given.
pub async fn watch(booking: &Booking, watch: Watch) -> Result<Vec<Check>, Fault> {
    if !scripts::take_turn(&booking.redis, watch.turn_ms).await? {
        return Ok(Vec::new());
    }
    let first = broken(look(booking, GENTLY).await?);
    if first.is_empty() {
        return Ok(first);
    }
    tokio::time::sleep(watch.again_after).await;
    let mut again = broken(look(booking, GENTLY).await?);
    again.retain(|check| first.iter().any(|before| before.name == check.name));
    for check in &again {
        count(check);
        tracing::error!(name = check.name, detail = check.detail, "an invariant is broken");
    }
    Ok(again)
}

async fn look(booking: &Booking, pace: Pace) -> Result<Vec<Check>, Fault> {
    let mut checks = ledger::check(&booking.ledger, pace).await?;
    checks.extend(seats::check(booking, pace).await?);
    checks.push(verdict("Q4-nobody-over-capacity", &over_capacity(booking).await?));
    checks.push(verdict("Q6-everyone-counted-once", &uncounted(booking).await?));
    Ok(checks)
}

fn broken(checks: Vec<Check>) -> Vec<Check> {
    checks.into_iter().filter(|check| !check.ok).collect()
}

fn count(check: &Check) {
    metrics::counter!("anteroom_invariant_violations_total", "name" => check.name.clone()).increment(1);
}

async fn over_capacity(booking: &Booking) -> Result<Vec<String>, Fault> {
    let mut errors = Vec::new();
    for room in booking.queue.rooms() {
        // Lowering the capacity ends no visit: that there are more inside is no violation, admitting them would be.
        let told = queue::census(&booking.queue, &room).await?;
        if told.over_admitted > 0 {
            errors.push(format!("{}: {} inside, room for {}", room.name, told.active, told.capacity));
        }
    }
    Ok(errors)
}

async fn uncounted(booking: &Booking) -> Result<Vec<String>, Fault> {
    let mut errors = Vec::new();
    for room in booking.queue.rooms() {
        let told = queue::census(&booking.queue, &room).await?;
        let there = told.waiting + told.aside + told.pending + told.visits + told.ended;
        if told.joined != there {
            errors.push(format!("{}: {} joined, {there} there or ended", room.name, told.joined));
        }
    }
    Ok(errors)
}

fn verdict(name: &str, errors: &[String]) -> Check {
    /// Examples shown at most.
    const SHOWN: usize = 5;
    let detail = match errors {
        [] => "holds".to_owned(),
        some => format!("{} broken: {}", some.len(), some[..some.len().min(SHOWN)].join("; ")),
    };
    Check { name: name.to_owned(), ok: errors.is_empty(), detail }
}
