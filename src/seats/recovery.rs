//! When Redis forgets: what is sold is told again from Postgres; holds that survived are kept, but for those that were
//! paid in the time that is lost.

use std::sync::Arc;
use std::time::Duration;

use super::{Schedule, Seats};
use crate::error::Fault;
use crate::ids::{Epoch, ScheduleId, UserId};
use crate::ledger;
use crate::store::script::incarnation;
use crate::store::scripts::seats::{self as scripts, Hall, SoldSeat};

/// How often to look whether another process is done with what we wanted to do, and how long between looks.
const LOOKS: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Seats told by one call at most: a millisecond or two in which Redis does nothing else.
const TOLD_AT_ONCE: usize = 250;

/// The epoch of seats that were never lost.
const FIRST: Epoch = Epoch(1);

/// Runs a step of a schedule; where Redis lost it, recovers it and runs the step once more.
macro_rules! believing {
    ($seats:expr, $schedule:expr, |$hall:ident| $step:expr) => {{
        let $hall = $schedule.hall(&$seats.redis);
        let believed = $hall.epoch;
        match $step.await {
            Err($crate::error::Fault::Lost) => {
                // Boxed: it is rare, and would make every future of a visitor ten times as large.
                Box::pin($crate::seats::recovery::recover($seats, $schedule, believed)).await?;
                let $hall = $schedule.hall(&$seats.redis);
                $step.await
            }
            other => other,
        }
    }};
}
pub(super) use believing;

/// Sets a schedule's seats up again where Redis no longer has the epoch that the caller believed in, or learns that
/// another has. Returns when they can be used.
pub(super) async fn recover(seats: &Seats, schedule: &Arc<Schedule>, believed: Epoch) -> Result<(), Fault> {
    let turn = schedule.mending.turn().await?;
    // All who asked meanwhile found the same loss: only the first of them asks Postgres.
    if schedule.epoch() != believed {
        return Ok(());
    }
    turn.end(agree(seats, schedule).await)
}

/// Learns the epoch that another process set up, or sets one up where none does.
async fn agree(seats: &Seats, schedule: &Arc<Schedule>) -> Result<(), Fault> {
    for _ in 0..LOOKS {
        let epoch = read_epoch(seats, schedule.id).await?;
        let run = seats.redis.run(&schedule.keys.meta).await?;
        let told = scripts::read_incarnation(&seats.redis, &schedule.keys).await?;
        if epoch.0 > 0 && told.as_deref() == Some(incarnation(epoch.0, &run).as_str()) {
            schedule.set_epoch(epoch);
            return Ok(());
        }
        if let Some(epoch) = raise_epoch(seats, schedule.id, epoch).await? {
            return set_up(seats, schedule, epoch).await;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Err(Fault::Lost)
}

/// Whether an account's payment may go on that Redis has forgotten: it lost the schedule's seats, and not so long ago that
/// every payment begun before has ended.
pub async fn may_have_forgotten_a_payment(
    seats: &Seats,
    schedule: &Arc<Schedule>,
    user: &UserId,
) -> Result<bool, Fault> {
    // Who read that a reservation is not there does not know yet that all are gone.
    believing!(seats, schedule, |hall| scripts::count_owned(hall, user))?;
    if schedule.epoch() <= FIRST {
        return Ok(false);
    }
    let lately = sqlx::query_scalar::<_, bool>(
        "select coalesce(epoch_raised_at > clock_timestamp() - make_interval(secs => $2), false) from schedules where id = $1",
    );
    let within = seats.ledger.longest_payment().as_secs_f64();
    let lately = lately.bind(schedule.id.0).bind(within).fetch_optional(seats.db.pool()).await?;
    Ok(lately.unwrap_or(false))
}

async fn read_epoch(seats: &Seats, id: ScheduleId) -> Result<Epoch, Fault> {
    let read = sqlx::query_scalar::<_, i64>("select epoch from schedules where id = $1");
    let epoch = read.bind(id.0).fetch_optional(seats.db.pool()).await?;
    epoch.map(Epoch).ok_or(Fault::Lost)
}

/// One process wins; for the others there is nothing, also while the winner sets Redis up.
async fn raise_epoch(seats: &Seats, id: ScheduleId, from: Epoch) -> Result<Option<Epoch>, Fault> {
    let raise = sqlx::query_scalar::<_, i64>(
        "update schedules set epoch = epoch + 1, epoch_raised_at = clock_timestamp() where id = $1 and epoch = $2 \
         and (epoch_raised_at is null or epoch_raised_at < clock_timestamp() - interval '1 second') returning epoch",
    );
    Ok(raise.bind(id.0).bind(from.0).fetch_optional(seats.db.pool()).await?.map(Epoch))
}

async fn set_up(seats: &Seats, schedule: &Arc<Schedule>, epoch: Epoch) -> Result<(), Fault> {
    let hall = Hall { redis: &seats.redis, keys: &schedule.keys, epoch };
    let sold = ledger::sold_seats(&seats.ledger, schedule.id).await?;
    let sold: Vec<SoldSeat> = sold.into_iter().map(|one| (one.seat, one.reservation, one.user)).collect();
    for some in sold.chunks(TOLD_AT_ONCE) {
        scripts::restore_sold(hall, some).await?;
    }
    scripts::setup_schedule(hall).await?;
    schedule.set_epoch(epoch);
    Ok(())
}
