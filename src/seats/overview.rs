//! The schedules of a room that are on sale, with how many of their seats are free, gathered once for all who ask within a moment.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use moka::future::Cache;

use super::availability::glance;
use super::{Schedule, Seats, Snapshot};
use crate::error::Fault;
use crate::ids::{RoomName, ScheduleId};

/// For how long one is shown.
const SHOWN: Duration = Duration::from_millis(100);

/// Rooms of which one is kept at most.
const ROOMS: u64 = 1_000;

pub(super) type Overviews = Cache<RoomName, Arc<Overview>>;

pub(super) fn overviews() -> Overviews {
    Cache::builder().max_capacity(ROOMS).time_to_live(SHOWN).build()
}

/// The schedules of a room that are on sale at one moment.
pub struct Overview {
    /// Each with its seats, by time.
    pub performances: Vec<(Arc<Schedule>, Arc<Snapshot>)>,
    written: OnceLock<Bytes>,
    /// All schedules that there were.
    programme: Arc<HashMap<ScheduleId, Arc<Schedule>>>,
}

impl Overview {
    /// The same as its readers are sent it, written by who asks first.
    pub fn written(&self, write: impl FnOnce() -> Bytes) -> Bytes {
        self.written.get_or_init(write).clone()
    }
}

/// The schedules of a room that are on sale now. How many seats they have left was so at most a second and a half ago.
pub async fn overview(seats: &Seats, room: &RoomName) -> Result<Arc<Overview>, Fault> {
    let programme = seats.schedules.load_full();
    if let Some(known) = seats.overviews.get(room).await {
        if Arc::ptr_eq(&known.programme, &programme) {
            return Ok(known);
        }
        seats.overviews.invalidate(room).await;
    }
    let gathered = Box::pin(seats.overviews.try_get_with_by_ref(room, gather(seats, room, programme))).await;
    gathered.map_err(|fault: Arc<Fault>| (*fault).clone())
}

async fn gather(
    seats: &Seats,
    room: &RoomName,
    programme: Arc<HashMap<ScheduleId, Arc<Schedule>>>,
) -> Result<Arc<Overview>, Fault> {
    let mut schedules = seats.schedules_of(room);
    schedules.retain(|schedule| !schedule.is_over());
    let snapshots = try_join_all(schedules.iter().map(|schedule| glance(seats, schedule))).await?;
    let performances = schedules.into_iter().zip(snapshots).collect();
    Ok(Arc::new(Overview { performances, written: OnceLock::new(), programme }))
}
