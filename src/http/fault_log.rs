//! Faults in the log: each once, but never so many that logging becomes the next fault.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;

/// Lines a second. A store that is down fails every request, and the first few say it all.
const MOST_PER_SECOND: u64 = 10;

/// Counts lines within a second of uptime: the second in the upper half, the count in the lower.
static LINES: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Logs why a request failed, with the id that its answer carried.
pub(super) fn fault(request_id: &str, route: &str, status: u16, cause: &str) {
    if !may_log() {
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
    if status == 500 {
        tracing::error!(request_id, route, status, left_out, "A request failed: {cause}");
    } else {
        tracing::warn!(request_id, route, status, left_out, "A request could not be served: {cause}");
    }
}

fn may_log() -> bool {
    let second = (clock::uptime_ms() / 1_000) << 32;
    let counted = LINES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lines| {
        if lines & !0xffff_ffff == second { Some(lines + 1) } else { Some(second + 1) }
    });
    // What was there before this line: of an earlier second, or fewer than may be.
    counted.is_ok_and(|lines| lines & !0xffff_ffff != second || lines & 0xffff_ffff < MOST_PER_SECOND)
}
