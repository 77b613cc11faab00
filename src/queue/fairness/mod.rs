//! The report after a sale: whether the order was kept, how many came in, and how long they waited.
//!
//! Every process counts what it sees, and every few seconds adds it to the row of this hour in Postgres. So the report
//! outlives the processes, and is that of all of them.

mod report;
mod waits;

use super::Queue;
use super::room::Room;
use super::waits::Waited;
use crate::error::Fault;
use crate::ids::Epoch;
use waits::Waits;

pub use report::{FairnessReport, report};

/// What a process saw of a room since it last wrote it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    epoch: Epoch,
    looks: i64,
    judged: i64,
    overtaken: i64,
    overtaken_most: i64,
    counters: Counters,
    waits: Waits,
    told: i64,
    kept: i64,
    /// The counters as they were written down last.
    written: Option<(Epoch, Counters)>,
}

/// The counters of a room in an epoch: they only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) joined: i64,
    pub(super) admitted: i64,
    pub(super) passed_over: i64,
    pub(super) ended: i64,
    pub(super) over_admitted: i64,
}

impl Tally {
    /// The line was looked at: so many admissions were judged, and so many of them overtook someone who was there.
    pub(super) fn note_look(&mut self, judged: u64, overtaken: u64) {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.looks += 1;
        self.judged += count(judged);
        self.overtaken += count(overtaken);
        self.overtaken_most = self.overtaken_most.max(count(overtaken));
    }

    /// Someone came in.
    pub(super) fn note_wait(&mut self, seconds: f64, told: Option<Waited>) {
        self.waits.note(seconds);
        if let Some(told) = told {
            self.told += 1;
            self.kept += i64::from(
                told.seconds.ceil() <= waits::as_f64(i64::try_from(told.told.p90_seconds).unwrap_or(i64::MAX)),
            );
        }
    }

    /// The counters as a run found them.
    pub(super) fn note_counters(&mut self, epoch: Epoch, counters: Counters) {
        (self.epoch, self.counters) = (epoch, counters);
    }

    /// Whether anything happened; looks alone are written down with what they saw.
    fn has_news(&self) -> bool {
        self.judged > 0 || self.waits.total() > 0 || self.written != Some((self.epoch, self.counters))
    }

    /// Takes back what could not be written down.
    fn add(&mut self, other: &Self) {
        self.looks += other.looks;
        self.judged += other.judged;
        self.overtaken += other.overtaken;
        self.overtaken_most = self.overtaken_most.max(other.overtaken_most);
        self.waits.add(&other.waits);
        self.told += other.told;
        self.kept += other.kept;
        self.written = None;
    }

    /// What is to be written down; the counters stay.
    fn take(&mut self) -> Self {
        let (epoch, counters) = (self.epoch, self.counters);
        let rest = Self { epoch, counters, written: Some((epoch, counters)), ..Self::default() };
        std::mem::replace(self, rest)
    }
}

const ADD: &str = "\
insert into fairness as f (room, epoch, hour, looks, judged, overtaken, overtaken_most, joined, admitted, passed_over,
    ended, over_admitted, waits, told, kept)
values ($1, $2, date_trunc('hour', now()), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict on constraint fairness_pkey do update set
    looks = f.looks + excluded.looks, judged = f.judged + excluded.judged, overtaken = f.overtaken + excluded.overtaken,
    overtaken_most = greatest(f.overtaken_most, excluded.overtaken_most), joined = greatest(f.joined, excluded.joined),
    admitted = greatest(f.admitted, excluded.admitted), passed_over = greatest(f.passed_over, excluded.passed_over),
    ended = greatest(f.ended, excluded.ended), over_admitted = greatest(f.over_admitted, excluded.over_admitted),
    waits = (select array_agg(a + b order by n) from unnest(f.waits, excluded.waits) with ordinality as t (a, b, n)),
    told = f.told + excluded.told, kept = f.kept + excluded.kept";

/// Writes down what this process saw of every room in which something happened since the last time.
pub async fn note_fairness(queue: &Queue) -> Result<(), Fault> {
    for room in queue.rooms() {
        let seen = {
            let mut tally = room.tally();
            if tally.epoch == Epoch::default() || !tally.has_news() {
                continue;
            }
            tally.take()
        };
        if let Err(fault) = write(queue, &room, &seen).await {
            room.tally().add(&seen);
            return Err(fault);
        }
    }
    Ok(())
}

async fn write(queue: &Queue, room: &Room, seen: &Tally) -> Result<(), Fault> {
    let Counters { joined, admitted, passed_over, ended, over_admitted } = seen.counters;
    let added = sqlx::query(ADD).bind(room.name.as_str()).bind(seen.epoch.0).bind(seen.looks).bind(seen.judged);
    let added = added.bind(seen.overtaken).bind(seen.overtaken_most).bind(joined).bind(admitted).bind(passed_over);
    let added = added.bind(ended).bind(over_admitted).bind(seen.waits.counts()).bind(seen.told).bind(seen.kept);
    added.execute(queue.db.pool()).await?;
    Ok(())
}
