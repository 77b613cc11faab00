//! Which seats are free: a snapshot per process, at most 250 ms old, fetched once however many ask.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Seats;
use super::plan::{Plan, Schedule};
use super::recovery::believing;
use crate::clock;
use crate::error::Fault;
use crate::ids::Epoch;
use crate::store::scripts::seats::{self as scripts, Census, Changed};

/// No snapshot is shown that is older, ms.
const OLDEST_MS: u64 = 250;

/// What a seat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeatStatus {
    Available,
    Held,
    Sold,
}

impl SeatStatus {
    /// The status as it is written.
    fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Sold => "sold",
        }
    }
}

/// Which seats a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Those that can be had.
    Available,
    /// All of the plan.
    All,
}

/// The seats of a schedule at one version.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows with each change, within an epoch.
    pub version: u64,
    epoch: Epoch,
    /// How many are free, held and sold.
    pub counts: [usize; 3],
    statuses: Vec<SeatStatus>,
    available_json: OnceLock<Bytes>,
    all_json: OnceLock<Bytes>,
}

impl Snapshot {
    /// Whether the seat at this place of the plan is free.
    pub fn is_free(&self, at: usize) -> bool {
        self.statuses.get(at) == Some(&SeatStatus::Available)
    }

    /// What the seat at this place of the plan is, as it is written: `available`, `held` or `sold`.
    pub fn state(&self, at: usize) -> &'static str {
        self.statuses.get(at).map_or("sold", |status| status.name())
    }

    /// The strong `ETag` of a list: epoch and version, and which list.
    pub fn etag(&self, listed: Listed) -> String {
        let list = if listed == Listed::All { "all" } else { "available" };
        format!("\"{}-{}-{list}\"", self.epoch, self.version)
    }

    /// The list as JSON, made once for each version.
    pub fn json(&self, schedule: &Schedule, listed: Listed) -> Bytes {
        let made = if listed == Listed::All { &self.all_json } else { &self.available_json };
        made.get_or_init(|| self.render(schedule, listed)).clone()
    }

    fn render(&self, schedule: &Schedule, listed: Listed) -> Bytes {
        let mut json = format!("{{\"scheduleId\":\"{}\",\"version\":{},\"seats\":[", schedule.id, self.version);
        json.reserve(schedule.plan.seats.len() * 96);
        let mut first = true;
        for (seat, status) in schedule.plan.seats.iter().zip(&self.statuses) {
            if listed == Listed::Available && *status != SeatStatus::Available {
                continue;
            }
            if !first {
                json.push(',');
            }
            first = false;
            json.push_str(&seat.json);
            json.push_str(status.name());
            json.push_str("\"}");
        }
        json.push_str("]}");
        Bytes::from(json)
    }

    fn new(plan: &Plan, epoch: Epoch, changed: &Changed) -> Self {
        let mut statuses = vec![SeatStatus::Available; plan.seats.len()];
        for (seats, status) in [(&changed.held, SeatStatus::Held), (&changed.sold, SeatStatus::Sold)] {
            for at in seats.iter().filter_map(|seat| plan.position(seat)) {
                statuses[at] = status;
            }
        }
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        let counts = [count(SeatStatus::Available), count(SeatStatus::Held), count(SeatStatus::Sold)];
        let (available_json, all_json) = (OnceLock::new(), OnceLock::new());
        Self { version: changed.version, epoch, counts, statuses, available_json, all_json }
    }
}

/// The seats of a schedule, at most 250 ms old.
pub async fn availability(seats: &Seats, schedule: &Arc<Schedule>) -> Result<Arc<Snapshot>, Fault> {
    if let Some(snapshot) = fresh(schedule) {
        return Ok(snapshot);
    }
    let _one_fetches = schedule.refresh.lock().await;
    if let Some(snapshot) = fresh(schedule) {
        return Ok(snapshot);
    }
    // The age counts from before the question: what changed after it may be missing from the answer.
    let asked_at_ms = clock::uptime_ms();
    let known = schedule.snapshot.load_full();
    let version = known.as_ref().filter(|known| known.epoch == schedule.epoch()).map(|known| known.version);
    let told = believing!(seats, schedule, |hall| scripts::availability(hall, version))?;
    if told.swept > 0 {
        metrics::counter!("anteroom_hold_expirations_total").increment(told.swept);
    }
    let snapshot = match (told.changed, known) {
        (None, Some(known)) => known,
        (Some(changed), _) => Arc::new(Snapshot::new(&schedule.plan, schedule.epoch(), &changed)),
        (None, None) => return Err(Fault::Defect("no seats, and no change of them".into())),
    };
    schedule.snapshot.store(Some(Arc::clone(&snapshot)));
    schedule.snapshot_at_ms.store(asked_at_ms, Ordering::Release);
    count(schedule, &snapshot);
    Ok(snapshot)
}

/// Every hold and sale at one moment, for the invariants.
pub(crate) async fn census(seats: &Seats, schedule: &Schedule) -> Result<Census, Fault> {
    scripts::census(schedule.hall(&seats.redis)).await
}

fn fresh(schedule: &Schedule) -> Option<Arc<Snapshot>> {
    let at_ms = schedule.snapshot_at_ms.load(Ordering::Acquire);
    if at_ms + OLDEST_MS < clock::uptime_ms() {
        return None;
    }
    schedule.snapshot.load_full().filter(|snapshot| snapshot.epoch == schedule.epoch())
}

fn count(schedule: &Schedule, snapshot: &Snapshot) {
    for (state, count) in ["available", "held", "sold"].into_iter().zip(snapshot.counts) {
        metrics::gauge!("anteroom_seats", "schedule" => schedule.id.to_string(), "state" => state)
            .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}
