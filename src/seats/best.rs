//! Seats together: a block in one row that leaves no single seat alone.

use super::{Plan, Snapshot};
use crate::ids::SeatId;

/// Blocks of `count` free neighbours in the plan's order. Those that leave a single seat alone beside them come last,
/// and are offered only where there is no other.
pub fn find_together(plan: &Plan, snapshot: &Snapshot, count: usize, except: &[SeatId]) -> Vec<Vec<SeatId>> {
    let free = |at: usize| snapshot.is_free(at) && !except.contains(&plan.seats[at].label);
    let mut good = Vec::new();
    let mut lonely = Vec::new();
    for (start, end) in runs(plan, &free) {
        let spare = end - start;
        for first in start..=(end.saturating_sub(count)) {
            if spare < count {
                break;
            }
            let leaves_one = first - start == 1 || end - first - count == 1;
            let block = plan.seats[first..first + count].iter().map(|seat| seat.label.clone()).collect();
            if leaves_one { lonely.push(block) } else { good.push(block) }
        }
    }
    if good.is_empty() { lonely } else { good }
}

/// Runs of free seats that stand side by side in one row: from, and to (not included).
fn runs(plan: &Plan, free: &dyn Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for at in (0..plan.seats.len()).filter(|at| free(*at)) {
        match runs.last_mut() {
            Some((_, end)) if *end == at && neighbours(plan, at - 1, at) => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

fn neighbours(plan: &Plan, one: usize, next: usize) -> bool {
    let (one, next) = (&plan.seats[one], &plan.seats[next]);
    one.row == next.row && one.section == next.section && one.number + 1 == next.number
}
