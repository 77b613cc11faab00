//! Seat plans and prices: in memory, from Postgres, refreshed when their version changes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::Mutex;

use super::{REMEMBERED_MS, Seats, Snapshot};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, Points, RoomName, ScheduleId, SeatId};
use crate::store::Redis;
use crate::store::keys::ScheduleKeys;
use crate::store::mending::Mending;
use crate::store::scripts::seats::Hall;

/// One seat of a plan.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its label, such as `A1`.
    pub label: SeatId,
    /// The section that it stands in.
    pub section: String,
    /// Its row.
    pub row: String,
    /// Its number within the row.
    pub number: i32,
    /// What it costs.
    pub price: Points,
    /// Its JSON up to the status, which is all that changes.
    pub(super) json: String,
}

/// The seats of one schedule, in the plan's order.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the plan's order.
    pub seats: Vec<Seat>,
    index: HashMap<SeatId, usize>,
    price_from: Points,
}

impl Plan {
    pub(super) fn new(seats: Vec<Seat>) -> Self {
        let index = seats.iter().enumerate().map(|(at, seat)| (seat.label.clone(), at)).collect();
        let price_from = seats.iter().map(|seat| seat.price).min().unwrap_or_default();
        Self { seats, index, price_from }
    }

    /// Where in the plan's order a seat stands.
    pub fn position(&self, seat: &str) -> Option<usize> {
        self.index.get(seat).copied()
    }

    /// These seats in the plan's order, in which a payment is read back.
    pub fn in_order(&self, seats: &[SeatId]) -> Vec<SeatId> {
        let mut ordered = seats.to_vec();
        ordered.sort_by_key(|seat| self.index.get(seat).copied());
        ordered
    }

    /// A seat by its label.
    pub fn seat(&self, label: &SeatId) -> Option<&Seat> {
        self.index.get(label).map(|at| &self.seats[*at])
    }

    /// The lowest price.
    pub fn price_from(&self) -> Points {
        self.price_from
    }
}

/// A plan of rows with so many seats each.
#[cfg(test)]
pub(super) fn plan_of(rows: &[(&str, i32)]) -> Plan {
    let mut seats = Vec::new();
    for (row, count) in rows {
        for number in 1..=*count {
            let label = SeatId::parse(&format!("{row}{number}")).unwrap();
            let (section, row, price) = ("Floor".to_owned(), (*row).to_owned(), Points(100));
            seats.push(Seat { label, section, row, number, price, json: String::new() });
        }
    }
    Plan::new(seats)
}

/// One performance, as this process knows it.
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// The concert that it is a performance of.
    pub concert: i64,
    /// The room whose line leads to it.
    pub room: RoomName,
    /// What is on the poster.
    pub title: String,
    /// Where it is.
    pub venue: String,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// From when it is on sale no more, if its sale has an end of its own.
    pub sale_ends_at: Option<DateTime<Utc>>,
    /// Its seats.
    pub plan: Plan,
    plan_version: i64,
    pub(super) keys: ScheduleKeys,
    epoch: AtomicI64,
    pub(super) snapshot: ArcSwapOption<Snapshot>,
    pub(super) snapshot_at_ms: AtomicU64,
    pub(super) refresh: Mutex<()>,
    pub(super) mending: Mending,
}

impl Schedule {
    /// The epoch that this process believes in.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Whether its sale has ended.
    pub fn is_over(&self) -> bool {
        self.over_for_ms() >= 0
    }

    /// For how long its sale has been over, ms; less than nothing where it is not.
    fn over_for_ms(&self) -> i64 {
        self.sale_ends_at.map_or(i64::MIN, |end| clock::unix_ms().saturating_sub(end.timestamp_millis()))
    }

    /// Whether Redis may still have something of it that time ends: its sale goes on, or ended in the last two days (a hold
    /// lives for a day at most, and is remembered for as long), or something was held when it was looked at last.
    pub fn is_in_use(&self) -> bool {
        self.over_for_ms() < 2 * REMEMBERED_MS || self.snapshot.load().as_ref().is_none_or(|seen| seen.counts[1] > 0)
    }

    pub(super) fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    pub(super) fn hall<'a>(&'a self, redis: &'a Redis) -> Hall<'a> {
        Hall { redis, keys: &self.keys, epoch: self.epoch() }
    }
}

const SCHEDULES: &str = "select s.id, s.concert_id, s.room, c.title, s.venue, s.starts_at, s.sale_ends_at, s.epoch, \
     s.plan_version from schedules s join concerts c on c.id = s.concert_id";

const SEATS: &str =
    "select label, section, row_label, number, price from seats where schedule_id = $1 order by ordinal";

/// Brings this process to know every schedule of Postgres, with the plans that changed. One statement when none did.
pub async fn refresh_plans(seats: &Seats) -> Result<(), Fault> {
    let rows = sqlx::query(SCHEDULES).fetch_all(seats.db.pool()).await?;
    let known = seats.schedules.load_full();
    let mut schedules = HashMap::with_capacity(rows.len());
    let mut changed = rows.len() != known.len();
    for row in rows {
        let (id, version) = (ScheduleId(row.try_get("id")?), row.try_get::<i64, _>("plan_version")?);
        let schedule = if let Some(same) = known.get(&id).filter(|schedule| schedule.plan_version == version) {
            Arc::clone(same)
        } else {
            changed = true;
            Arc::new(load(seats, &row, id).await?)
        };
        schedules.insert(id, schedule);
    }
    if changed {
        seats.schedules.store(Arc::new(schedules));
    }
    Ok(())
}

async fn load(seats: &Seats, row: &PgRow, id: ScheduleId) -> Result<Schedule, Fault> {
    let rows = sqlx::query(SEATS).bind(id.0).fetch_all(seats.db.pool()).await?;
    let plan = rows.iter().map(read_seat).collect::<Result<Vec<_>, Fault>>()?;
    let room: String = row.try_get("room")?;
    Ok(Schedule {
        id,
        concert: row.try_get("concert_id")?,
        room: RoomName::parse(&room).map_err(|e| Fault::Defect(format!("schedule {id}: {e}")))?,
        title: row.try_get("title")?,
        venue: row.try_get("venue")?,
        starts_at: row.try_get("starts_at")?,
        sale_ends_at: row.try_get("sale_ends_at")?,
        plan: Plan::new(plan),
        plan_version: row.try_get("plan_version")?,
        keys: ScheduleKeys::new(id),
        epoch: AtomicI64::new(row.try_get("epoch")?),
        snapshot: ArcSwapOption::empty(),
        snapshot_at_ms: AtomicU64::new(0),
        refresh: Mutex::new(()),
        mending: Mending::default(),
    })
}

fn read_seat(row: &PgRow) -> Result<Seat, Fault> {
    let label: String = row.try_get("label")?;
    let label = SeatId::parse(&label).map_err(|e| Fault::Defect(format!("seat {label:?}: {e}")))?;
    let (section, row_label): (String, String) = (row.try_get("section")?, row.try_get("row_label")?);
    let (number, price) = (row.try_get("number")?, Points(row.try_get("price")?));
    let mut json = format!("{{\"seatId\":{}", serde_json::json!(label));
    let _ = write!(
        json,
        ",\"section\":{},\"row\":{},\"number\":{number},\"price\":{price},\"status\":\"",
        serde_json::json!(section),
        serde_json::json!(row_label)
    );
    Ok(Seat { label, section, row: row_label, number, price, json })
}
