//! The two advisory limits of admission: what the stock still needs, and what the load allows.
//!
//! A job of each process computes them once a second and brings them to Redis, where `lua/queue/admit.lua` and
//! `lua/queue/join.lua` heed them beside the capacity and the rate. Advice that is not renewed ceases to count; and as it can
//! only lower the two hard limits, advice that is wrong never lets in more than these allow.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::recovery::believing;
use super::settings::State;
use super::{Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::ids::RoomName;
use crate::store::scripts::queue as scripts;

/// Advice that is not renewed ceases to count after this long, ms: five beats of the job.
const VALID_MS: u64 = 5_000;

/// Beyond the seats that are left so many may be inside, as not everyone buys: a tenth, and at least ten.
const MARGIN_SHARE: u64 = 10;
const LEAST_MARGIN: u64 = 10;

/// More visits, and more of them in a second, than any room has: no limit.
const ANY_VISITS: u64 = 1_000_000_000;
const ANY_RATE: f64 = 1e9;

/// Above these the service is strained: half of the goal of every answer; a tenth of what a pool of Postgres may lend is
/// left; and a Redis that takes several times what its slowest script does.
const BOOKING_MARK_MS: u64 = 250;
const POOL_MARK: f64 = 0.9;
const REDIS_MARK_MS: u64 = 25;

/// Above this part of a mark the rate is not raised.
const NEAR: f64 = 0.6;

/// Strained, the rate falls to this part of what it was; at ease, it rises by this part of the one that is set.
const DOWN: f64 = 0.7;
const UP: f64 = 0.05;

/// It never falls below this part of the one that is set: a crowd that nobody reduces has no end.
const LEAST: f64 = 0.05;

/// How much a new look at the pool counts against those before.
const NEW_LOOK: f64 = 0.3;

/// How the service fares, as its own process sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strain {
    /// What 95 in 100 requests behind the gate stayed within, ms; nothing where there were few.
    pub booking_p95_ms: Option<u64>,
    /// What 95 in 100 calls of Redis stayed within, ms; nothing where there were few.
    pub redis_p95_ms: Option<u64>,
    /// The part of the connections to Postgres that is lent.
    pub pool_used: f64,
}

/// What the load allows: a part of the rate that is set. Down by a factor, up by steps.
#[derive(Debug)]
pub(super) struct Controller {
    part: f64,
    pool_used: f64,
}

impl Default for Controller {
    fn default() -> Self {
        Self { part: 1.0, pool_used: 0.0 }
    }
}

impl Controller {
    /// One look at how the service fares; the part of the rate that is allowed from now on.
    pub(super) fn look(&mut self, strain: Strain) -> f64 {
        self.pool_used += NEW_LOOK * (strain.pool_used - self.pool_used);
        let ratio = |found: Option<u64>, mark: u64| as_f64(found.unwrap_or(0)) / as_f64(mark);
        let worst = ratio(strain.booking_p95_ms, BOOKING_MARK_MS)
            .max(ratio(strain.redis_p95_ms, REDIS_MARK_MS))
            .max(self.pool_used / POOL_MARK);
        if worst > 1.0 {
            self.part = (self.part * DOWN).max(LEAST);
        } else if worst <= NEAR {
            self.part = (self.part + UP).min(1.0);
        }
        self.part
    }
}

/// How many visits a number of seats needs at most.
fn visits_for(seats_left: u64) -> u64 {
    if seats_left == 0 { 0 } else { seats_left + LEAST_MARGIN.max(seats_left.div_ceil(MARGIN_SHARE)) }
}

/// What a room was last told of its stock.
#[derive(Debug, Default)]
pub(super) struct Stock(Mutex<Option<(u64, u64)>>);

impl Stock {
    fn note(&self, seats_left: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((seats_left, clock::uptime_ms()));
    }

    /// The seats left, where they were counted lately.
    fn seats_left(&self) -> Option<u64> {
        let noted = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.filter(|(_, at_ms)| at_ms + VALID_MS > clock::uptime_ms()).map(|(seats, _)| seats)
    }
}

/// Notes how many seats of a room's schedules are left to sell: those that are free or held.
pub fn note_stock(queue: &Queue, room: &RoomName, seats_left: u64) {
    if let Some(room) = queue.room(room) {
        room.stock.note(seats_left);
    }
}

/// Brings to every room what the stock and the load advise. One that cannot be told keeps no other from it, nor makes it
/// wait: in a cluster they are not all in one place.
pub async fn advise(queue: &Queue, strain: Strain) -> Result<(), Fault> {
    let part = queue.controller.lock().unwrap_or_else(PoisonError::into_inner).look(strain);
    let rooms = queue.rooms();
    join_all(rooms.iter().map(|room| advise_room(queue, room, part))).await.into_iter().collect()
}

async fn advise_room(queue: &Queue, room: &Arc<Room>, part: f64) -> Result<(), Fault> {
    let view = room.view();
    let seats_left = room.stock.seats_left();
    let advice = scripts::Advice {
        adviser: &queue.adviser,
        seats_left,
        visits: seats_left.map_or(ANY_VISITS, visits_for),
        per_second: if view.adaptive && part < 1.0 { view.admit_per_second * part } else { ANY_RATE },
        valid_ms: VALID_MS,
    };
    believing!(queue, room, |line| scripts::advise(line, advice))?;
    if (seats_left == Some(0)) != (view.state == State::SoldOut) {
        room.wake();
    }
    Ok(())
}

/// What holds admission back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The admissions in a second that are set.
    Rate,
    /// The visits at once that are set.
    Capacity,
    /// There is no need for more visits than these, for the seats that are left.
    Stock,
    /// The load allows no more admissions in a second.
    Load,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Capacity, Self::Stock, Self::Load];

    /// The limit as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Capacity => "capacity",
            Self::Stock => "stock",
            Self::Load => "load",
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, far below 2^53 but for one that stands for ever")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(controller: &mut Controller, strain: Strain, times: usize) -> f64 {
        (0..times).map(|_| controller.look(strain)).last().unwrap_or(1.0)
    }

    #[test]
    fn the_rate_falls_by_a_factor_and_rises_by_steps_within_its_bounds() {
        let strained = [
            Strain { booking_p95_ms: Some(300), ..Strain::default() },
            Strain { redis_p95_ms: Some(50), ..Strain::default() },
            Strain { booking_p95_ms: Some(u64::MAX), ..Strain::default() },
        ];
        for strained in strained {
            let mut controller = Controller::default();
            assert!((looks(&mut controller, strained, 1) - 0.7).abs() < 1e-9);
            assert!((looks(&mut controller, strained, 1) - 0.49).abs() < 1e-9);
            assert!((looks(&mut controller, strained, 100) - LEAST).abs() < 1e-9, "bounded below");
            assert!((looks(&mut controller, Strain::default(), 1) - 0.10).abs() < 1e-9);
            assert!((looks(&mut controller, Strain::default(), 100) - 1.0).abs() < 1e-9, "bounded above");
        }
    }

    #[test]
    fn near_a_mark_the_rate_stays_and_a_moment_without_connections_is_no_strain() {
        let mut controller = Controller::default();
        looks(&mut controller, Strain { booking_p95_ms: Some(500), ..Strain::default() }, 2);
        let near = Strain { booking_p95_ms: Some(200), ..Strain::default() };
        assert!((looks(&mut controller, near, 10) - 0.49).abs() < 1e-9);

        let (mut brief, mut lasting) = (Controller::default(), Controller::default());
        let lent = Strain { pool_used: 1.0, ..Strain::default() };
        assert!((looks(&mut brief, lent, 3) - 1.0).abs() < 1e-9);
        assert!(looks(&mut lasting, lent, 20) < 0.2);
    }

    #[test]
    fn a_crowd_has_no_business_inside_where_little_is_left_to_sell() {
        assert_eq!([0, 1, 50, 100, 1_300].map(visits_for), [0, 11, 60, 110, 1_430]);
    }
}
