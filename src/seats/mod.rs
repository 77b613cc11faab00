//! Seats: plans, which are free, and who holds them until when.
//!
//! Redis holds and sells seats in atomic steps (`lua/seats/`); plans and prices are in memory, from Postgres. What is
//! sold for good is said by the ledger's payments; a Redis that forgot is told again from there.

mod availability;
mod best;
mod hold;
mod overview;
mod plan;
mod programme;
mod recovery;
mod reservation;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ids::{RoomName, ScheduleId};
use crate::ledger::Ledger;
use crate::store::{Db, Redis};

pub use availability::{Listed, Snapshot, availability};
pub(crate) use availability::{availability_now, census, look_at_holds, read_sold};
pub use hold::{Asking, HoldRefusal, Wanted, hold};
pub use overview::{Overview, overview};
pub use plan::{Plan, Schedule, Seat, refresh_plans};
pub use programme::{
    Concert, Performance, ProgrammeError, Section, Wish, list_concerts, list_performances, put_concert, put_performance,
};
pub use recovery::may_have_forgotten_a_payment;
pub use reservation::{
    Begin, Cancel, Reservation, ReservationState, abort_payment, begin_payment, cancel, count_owned, find,
    forget_payment, holds_any, list_held, settle, stale,
};

/// For how long a reservation is remembered after its hold was made, ms: a day, as Idempotency-Keys are.
pub(crate) const REMEMBERED_MS: i64 = 24 * 3_600 * 1_000;

/// For how long one that was cancelled is remembered, ms: long enough for its owner to see what became of it, and short
/// enough that who holds and cancels again and again does not fill Redis.
const CANCELLED_REMEMBERED_MS: i64 = 10 * 60 * 1_000;

/// The seats' own state in this process.
pub struct Seats {
    pub(crate) redis: Arc<Redis>,
    pub(crate) db: Db,
    pub(crate) ledger: Arc<Ledger>,
    most_per_user: usize,
    payment_ms: i64,
    schedules: ArcSwap<HashMap<ScheduleId, Arc<Schedule>>>,
    overviews: overview::Overviews,
}

impl Seats {
    /// Seats without plans; [`refresh_plans`] brings them. A payment may take `payment_seconds`.
    pub fn new(parts: (Arc<Redis>, Db, Arc<Ledger>), most_per_user: usize, payment_seconds: u64) -> Self {
        let (redis, db, ledger) = parts;
        let payment_ms = i64::try_from(payment_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self {
            redis,
            db,
            ledger,
            most_per_user,
            payment_ms,
            schedules: ArcSwap::default(),
            overviews: overview::overviews(),
        }
    }

    /// How long a payment may take, ms: its hold lives that much longer, once.
    pub fn payment_ms(&self) -> i64 {
        self.payment_ms
    }

    /// A schedule, if there is one.
    pub fn schedule(&self, id: ScheduleId) -> Option<Arc<Schedule>> {
        self.schedules.load().get(&id).cloned()
    }

    /// The schedules of a room, by time.
    pub fn schedules_of(&self, room: &RoomName) -> Vec<Arc<Schedule>> {
        let mut of: Vec<_> = self.schedules.load().values().filter(|s| s.room == *room).cloned().collect();
        of.sort_by_key(|schedule| (schedule.starts_at, schedule.id));
        of
    }

    /// Every schedule.
    pub fn all(&self) -> Vec<Arc<Schedule>> {
        self.schedules.load().values().cloned().collect()
    }
}
