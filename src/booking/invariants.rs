//! The invariants, looked at in the stores themselves. Rows of the outbox not yet settled, and holds not yet swept, are
//! no violation: they are on their way.

mod seats;

use super::Booking;
use crate::error::Fault;
use crate::ledger::{self, Check};
use crate::queue;

/// Looks at every invariant that can be seen from the stores, and counts what is broken.
pub async fn check(booking: &Booking) -> Result<Vec<Check>, Fault> {
    let checks = look(booking).await?;
    checks.iter().filter(|check| !check.ok).for_each(count);
    Ok(checks)
}

async fn look(booking: &Booking) -> Result<Vec<Check>, Fault> {
    let mut checks = ledger::check(&booking.ledger).await?;
    checks.extend(seats::check(booking).await?);
    checks.push(verdict("Q4-nobody-over-capacity", &over_capacity(booking).await?));
    checks.push(verdict("Q6-everyone-counted-once", &uncounted(booking).await?));
    Ok(checks)
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
