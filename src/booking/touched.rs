//! Which schedules an account has touched: where its reservations are looked for, instead of in every schedule.
//!
//! Redis may forget these. Holds that outlive them end by themselves, and what is paid is found without them.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::{Booking, Standing};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, ScheduleId, UserId};
use crate::seats::{self, Schedule};
use crate::store::scripts::booking as scripts;

/// Who was noted a moment ago, with the epoch of the schedule's seats by then: who forgot these may have forgotten that.
pub(super) type Noted = Cache<(UserId, ScheduleId), Epoch>;

/// Whoever is refused one seat asks for the next within this time.
const NOTED: Duration = Duration::from_mins(1);

const NOTED_MOST: u64 = 100_000;

/// What was noted may have been held a `NOTED` later, and Redis' clock may be another minute behind ours, ms.
const LATELY_MS: i64 = 120_000;

pub(super) fn noted() -> Noted {
    Cache::builder().max_capacity(NOTED_MOST).time_to_live(NOTED).build()
}

/// Notes that an account asks for seats of a schedule, for as long as what it gets there is remembered.
pub(super) async fn note_touched(booking: &Booking, user: &UserId, schedule: &Schedule) -> Result<(), Fault> {
    let (touched, epoch) = ((user.clone(), schedule.id), schedule.epoch());
    if booking.noted.get(&touched) == Some(epoch) {
        return Ok(());
    }
    scripts::note_schedule(&booking.redis, user, schedule.id, seats::REMEMBERED_MS).await?;
    booking.noted.insert(touched, epoch);
    Ok(())
}

/// The schedules of a room that an account may hold seats in now: a hold lasts no longer than this room lets it. One that
/// was made when it let them last longer ends by itself.
pub(super) async fn touched_lately(booking: &Booking, standing: Standing<'_>) -> Result<Vec<Arc<Schedule>>, Fault> {
    let hold_ms = booking.queue.room(standing.room).map_or(0, |room| room.view().hold_ms);
    let since_ms = clock::unix_ms() - hold_ms - booking.seats.payment_ms() - LATELY_MS;
    touched_since(booking, standing, since_ms).await
}

/// The schedules of a room that an account has touched, by time.
pub(super) async fn touched(booking: &Booking, standing: Standing<'_>) -> Result<Vec<Arc<Schedule>>, Fault> {
    touched_since(booking, standing, 0).await
}

async fn touched_since(booking: &Booking, standing: Standing<'_>, since_ms: i64) -> Result<Vec<Arc<Schedule>>, Fault> {
    let noted = scripts::list_schedules(&booking.redis, standing.user, since_ms).await?;
    let known = noted.into_iter().filter_map(|id| booking.seats.schedule(id));
    let mut touched: Vec<_> = known.filter(|schedule| schedule.room == *standing.room).collect();
    touched.sort_by_key(|schedule| (schedule.starts_at, schedule.id));
    Ok(touched)
}
