//! Which schedules an account has touched: where its reservations are looked for, instead of in every schedule.
//!
//! Redis may forget these. Holds that outlive them end by themselves, and what is paid is found without them.

use std::sync::Arc;

use super::{Booking, Standing};
use crate::error::Fault;
use crate::ids::{ScheduleId, UserId};
use crate::seats::{self, Schedule};
use crate::store::scripts::booking as scripts;

/// Notes that an account asks for seats of a schedule, for as long as what it gets there is remembered.
pub(super) async fn note_touched(booking: &Booking, user: &UserId, schedule: ScheduleId) -> Result<(), Fault> {
    scripts::note_schedule(&booking.redis, user, schedule, seats::REMEMBERED_MS).await
}

/// The schedules of a room that an account has touched, by time.
pub(super) async fn touched(booking: &Booking, standing: Standing<'_>) -> Result<Vec<Arc<Schedule>>, Fault> {
    let noted = scripts::list_schedules(&booking.redis, standing.user).await?;
    let known = noted.into_iter().filter_map(|id| booking.seats.schedule(id));
    let mut touched: Vec<_> = known.filter(|schedule| schedule.room == *standing.room).collect();
    touched.sort_by_key(|schedule| (schedule.starts_at, schedule.id));
    Ok(touched)
}
