//! Which seats are free: a snapshot per process, at most 250 ms old, fetched once however many ask.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;

use super::Seats;
use super::plan::{Plan, Schedule};
use super::recovery::believing;
use crate::clock;
use crate::error::Fault;
use crate::gzip::zipped;
use crate::ids::{Epoch, SeatId};
use crate::store::scripts::seats::{self as scripts, Census, Changed, Hall, Known, SeatSeen, Sold};

/// No snapshot is shown that is older, ms.
const OLDEST_MS: u64 = 250;

/// Where only the counts of many schedules are shown, theirs may be, ms: a little more than a second, in which all are swept.
const OLDEST_GLANCE_MS: u64 = 1_400;

/// Seats looked at by one call at most: a millisecond or less in which Redis does nothing else.
const LOOKED_AT_ONCE: usize = 250;

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
    /// How many Redis has as sold, in the plan or not.
    sold: usize,
    statuses: Vec<SeatStatus>,
    available: List,
    all: List,
}

/// A list as it is written, made once for each version by who asks first.
#[derive(Debug, Default)]
struct List {
    json: OnceLock<Bytes>,
    gzip: OnceLock<Option<Bytes>>,
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

    /// The strong `ETag` of a list: epoch and version, which list, and how its bytes are coded.
    pub fn etag(&self, listed: Listed, gzip: bool) -> String {
        let list = if listed == Listed::All { "all" } else { "available" };
        format!("\"{}-{}-{list}{}\"", self.epoch, self.version, if gzip { "-gzip" } else { "" })
    }

    /// The list as JSON.
    pub fn json(&self, schedule: &Schedule, listed: Listed) -> Bytes {
        self.list(listed).json.get_or_init(|| self.render(schedule, listed)).clone()
    }

    /// The same as gzip; nothing where that fails.
    pub fn gzip(&self, schedule: &Schedule, listed: Listed) -> Option<Bytes> {
        let zip = || zipped(&self.json(schedule, listed), Compression::fast()).ok().map(Bytes::from);
        self.list(listed).gzip.get_or_init(zip).clone()
    }

    fn list(&self, listed: Listed) -> &List {
        if listed == Listed::All { &self.all } else { &self.available }
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

    /// The seats after a change. Which are sold is what Redis told, or what was known; nothing where neither is there.
    fn after(changed: &Changed, plan: &Plan, epoch: Epoch, known: Option<&Arc<Self>>) -> Option<Self> {
        let (mut statuses, sold) = match (&changed.sold, known) {
            (Sold::All(sold), _) => {
                let none = vec![SeatStatus::Available; plan.seats.len()];
                (marked_sold(plan, none, sold), sold.len())
            }
            (Sold::More(more), Some(known)) => {
                (marked_sold(plan, known.without_holds(), more), known.sold + more.len())
            }
            (Sold::Known, Some(known)) => (known.without_holds(), known.sold),
            (Sold::More(_) | Sold::Known, None) => return None,
        };
        for at in changed.held.iter().filter_map(|seat| plan.position(seat)) {
            if statuses[at] == SeatStatus::Available {
                statuses[at] = SeatStatus::Held;
            }
        }
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        let counts = [count(SeatStatus::Available), count(SeatStatus::Held), count(SeatStatus::Sold)];
        let (available, all) = (List::default(), List::default());
        Some(Self { version: changed.version, epoch, counts, sold, statuses, available, all })
    }

    fn without_holds(&self) -> Vec<SeatStatus> {
        let freed = |status: &SeatStatus| match status {
            SeatStatus::Sold => SeatStatus::Sold,
            SeatStatus::Held | SeatStatus::Available => SeatStatus::Available,
        };
        self.statuses.iter().map(freed).collect()
    }
}

fn marked_sold(plan: &Plan, mut statuses: Vec<SeatStatus>, sold: &[String]) -> Vec<SeatStatus> {
    for at in sold.iter().filter_map(|seat| plan.position(seat)) {
        statuses[at] = SeatStatus::Sold;
    }
    statuses
}

/// The seats of a schedule, at most 250 ms old.
pub async fn availability(seats: &Seats, schedule: &Arc<Schedule>) -> Result<Arc<Snapshot>, Fault> {
    fetched(seats, schedule, OLDEST_MS).await
}

/// The seats of a schedule as they are now.
pub(crate) async fn availability_now(seats: &Seats, schedule: &Arc<Schedule>) -> Result<Arc<Snapshot>, Fault> {
    fetched(seats, schedule, 0).await
}

/// How many seats a schedule has, for who looks at many: as old as the sweep of each second leaves it.
pub(super) async fn glance(seats: &Seats, schedule: &Arc<Schedule>) -> Result<Arc<Snapshot>, Fault> {
    fetched(seats, schedule, OLDEST_GLANCE_MS).await
}

async fn fetched(seats: &Seats, schedule: &Arc<Schedule>, oldest_ms: u64) -> Result<Arc<Snapshot>, Fault> {
    if let Some(snapshot) = fresh(schedule, oldest_ms) {
        return Ok(snapshot);
    }
    let _one_fetches = schedule.refresh.lock().await;
    if let Some(snapshot) = fresh(schedule, oldest_ms) {
        return Ok(snapshot);
    }
    // The age counts from before the question: what changed after it may be missing from the answer.
    let asked_at_ms = clock::uptime_ms();
    let known = schedule.snapshot.load_full();
    let (swept, snapshot) = believing!(seats, schedule, |hall| look(hall, &schedule.plan, known.as_ref()))?;
    if swept > 0 {
        metrics::counter!("anteroom_hold_expirations_total").increment(swept);
    }
    if known.is_none_or(|known| !Arc::ptr_eq(&known, &snapshot)) {
        schedule.snapshot.store(Some(Arc::clone(&snapshot)));
        count(schedule, &snapshot);
    }
    schedule.snapshot_at_ms.store(asked_at_ms, Ordering::Release);
    Ok(snapshot)
}

/// How many holds Redis ended just now, and the seats as it has them. Of what is known, only what is of the epoch that
/// is asked about is any help: in another one the same version may stand for other seats.
async fn look(hall: Hall<'_>, plan: &Plan, known: Option<&Arc<Snapshot>>) -> Result<(u64, Arc<Snapshot>), Fault> {
    let known = known.filter(|known| known.epoch == hall.epoch);
    let told = known.map(|known| Known { version: known.version, sold: known.sold });
    let answer = scripts::availability(hall, told).await?;
    let snapshot = match &answer.changed {
        None => known.cloned(),
        Some(changed) => Snapshot::after(changed, plan, hall.epoch, known).map(Arc::new),
    };
    let snapshot = snapshot.ok_or_else(|| Fault::Defect("seats were left out that nobody knows".into()))?;
    Ok((answer.swept, snapshot))
}

/// Every hold, and how many seats are sold, at one moment, for the invariants: nothing is swept.
pub(crate) async fn census(seats: &Seats, schedule: &Schedule) -> Result<Census, Fault> {
    scripts::census(schedule.hall(&seats.redis)).await
}

/// What Redis has of those of these seats that are not free, for the invariants.
pub(crate) async fn look_at_holds(
    seats: &Seats,
    schedule: &Schedule,
    labels: &[SeatId],
) -> Result<Vec<SeatSeen>, Fault> {
    let mut seen = Vec::new();
    for some in labels.chunks(LOOKED_AT_ONCE) {
        seen.extend(scripts::look_at_holds(schedule.hall(&seats.redis), some).await?);
    }
    Ok(seen)
}

/// Which seats Redis has as sold, and in which reservations, for the invariants.
pub(crate) async fn read_sold(seats: &Seats, schedule: &Schedule) -> Result<HashMap<String, String>, Fault> {
    scripts::read_sold(schedule.hall(&seats.redis)).await
}

fn fresh(schedule: &Schedule, oldest_ms: u64) -> Option<Arc<Snapshot>> {
    let at_ms = schedule.snapshot_at_ms.load(Ordering::Acquire);
    if at_ms + oldest_ms < clock::uptime_ms() {
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

#[cfg(test)]
mod tests {
    use super::super::plan::plan_of;
    use super::*;

    fn owned(seats: &[&str]) -> Vec<String> {
        seats.iter().map(|seat| (*seat).to_owned()).collect()
    }

    fn changed(version: u64, held: &[&str], sold: Sold) -> Changed {
        Changed { version, held: owned(held), sold }
    }

    #[test]
    fn which_seats_are_sold_is_known_from_before_where_it_is_left_out() {
        let plan = plan_of(&[("A", 4)]);
        let states = |snapshot: &Snapshot| [0, 1, 2, 3].map(|at| snapshot.state(at));
        let told = changed(1, &["A1", "A2"], Sold::All(owned(&["A2", "A3", "Z9"])));
        let first = Snapshot::after(&told, &plan, Epoch(1), None).map(Arc::new).unwrap();
        assert_eq!(states(&first), ["held", "sold", "sold", "available"]);
        assert_eq!((first.counts, first.sold), ([1, 1, 2], 3), "what the plan has not is counted as Redis counts");

        let next = Snapshot::after(&changed(2, &["A4", "A3"], Sold::Known), &plan, Epoch(1), Some(&first)).unwrap();
        assert_eq!(states(&next), ["available", "sold", "sold", "held"]);
        assert_eq!((next.version, next.counts, next.sold), (2, [1, 1, 2], 3));
        let more = changed(3, &[], Sold::More(owned(&["A1"])));
        let more = Snapshot::after(&more, &plan, Epoch(1), Some(&Arc::new(next))).unwrap();
        assert_eq!(states(&more), ["sold", "sold", "sold", "available"]);
        assert_eq!((more.counts, more.sold), ([1, 0, 3], 4));
        for sold in [Sold::Known, Sold::More(Vec::new())] {
            let told = changed(4, &[], sold);
            assert!(Snapshot::after(&told, &plan, Epoch(1), None).is_none(), "nobody knows the others");
        }
    }
}
