//! One room as this process knows it: its keys, its epoch, and how the last run of the scheduler found it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::advice::{Limit, Stock};
use super::draw::Draw;
use super::events::Hub;
use super::fairness::Tally;
use super::messages::{Language, Messages};
use super::order::Order;
use super::settings::State;
use super::together::Together;
use super::waits::{ASSUMED_PER_PLACE_MS, Pace, Slower, Waits};
use crate::ids::{Epoch, RoomName, UserId};
use crate::store::Redis;
use crate::store::keys::RoomKeys;
use crate::store::mending::Mending;
use crate::store::scripts::queue::{Device, Line, Outlasts};

/// A room of this process.
pub struct Room {
    /// Its name.
    pub name: RoomName,
    pub(super) keys: RoomKeys,
    epoch: AtomicI64,
    pub(super) view: ArcSwap<View>,
    pub(super) draw: ArcSwapOption<Draw>,
    waits: Mutex<Waits>,
    order: Mutex<Order>,
    tally: Mutex<Tally>,
    /// Told when someone should be admitted before the next second.
    pub(super) wake: Notify,
    pub(super) mending: Mending,
    pub(super) hub: Hub,
    /// The holds that visits must outlast: what Redis is yet to be told, one for each visitor however many holds they made.
    pub(super) kept: Mutex<HashMap<UserId, Outlasts>>,
    pub(super) together: Together,
    pub(super) stock: Stock,
}

/// How many are where, as the last run of the scheduler counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Visits under way.
    pub active: u64,
    /// Accounts in line.
    pub waiting: u64,
    /// Accounts that were absent at their turn and keep their number for a while.
    pub aside: u64,
    /// Login attempts in line.
    pub pending: u64,
    /// Accounts that missed one visit and are back.
    pub recalled: u64,
    /// Visits ever begun in this epoch.
    pub admitted: u64,
}

impl Counts {
    /// How many are in line in all: those who are aside, and attempts, may still come.
    pub fn in_line(&self) -> u64 {
        self.waiting + self.aside + self.pending + self.recalled
    }
}

/// A room as it was found last.
#[derive(Debug, Clone)]
pub struct View {
    /// What it does now, the clock considered.
    pub state: State,
    /// How many are where.
    pub counts: Counts,
    /// Visits at once, at most.
    pub capacity: i64,
    /// Admissions in a second, at most.
    pub admit_per_second: f64,
    /// Whether the rate follows the load.
    pub adaptive: bool,
    /// Admissions in a second, at most, as far as the load allows them.
    pub target_per_second: f64,
    /// Which limit held back those in line.
    pub held_back_by: Option<Limit>,
    /// Seats left to sell, where the room sells any.
    pub seats_left: Option<u64>,
    /// When it opens, if that is set.
    pub opens_at: Option<DateTime<Utc>>,
    /// What the operators say to those in line.
    pub message: Option<String>,
    /// What they say in a visitor's language.
    pub messages: Messages,
    /// How many may be in line, by Redis' memory.
    pub line_limit: i64,
    /// How long a hold lasts, ms.
    pub hold_ms: i64,
    /// How long the place of an absent one is kept, ms, and that of one who came by phone.
    pub(super) grace_ms: i64,
    pub(super) phone_grace_ms: i64,
    /// How fast the line moves; unknown without admissions.
    pub pace: Option<Pace>,
    /// Why a wait would be longer than it was.
    pub slower: Slower,
    /// Admissions in the last minute.
    pub admitted_per_minute: u64,
    /// When it was seen, by this process' uptime, ms; 0 for never.
    pub seen_at_ms: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            state: State::Recovering,
            counts: Counts::default(),
            capacity: 0,
            admit_per_second: 0.0,
            adaptive: false,
            target_per_second: 0.0,
            held_back_by: None,
            seats_left: None,
            opens_at: None,
            message: None,
            messages: Messages::default(),
            line_limit: 0,
            hold_ms: 300_000,
            grace_ms: 0,
            phone_grace_ms: 0,
            pace: None,
            slower: Slower::FewerLeaving,
            admitted_per_minute: 0,
            seen_at_ms: 0,
        }
    }
}

impl View {
    /// What each place in line takes, ms, as measured; unknown without admissions.
    pub fn wait_per_place_ms(&self) -> Option<f64> {
        self.pace.map(|pace| pace.per_place_ms())
    }

    /// What each place in line takes, ms, for the polls: measured, or assumed.
    pub(super) fn per_place_ms(&self) -> f64 {
        self.pace.map_or(ASSUMED_PER_PLACE_MS, |pace| pace.per_place_ms())
    }

    /// How long the place of an absent one is kept, in seconds.
    pub fn kept_seconds(&self, device: Device) -> u64 {
        let kept_ms = match device {
            Device::Phone => self.phone_grace_ms,
            Device::Other => self.grace_ms,
        };
        kept_ms.max(0).unsigned_abs() / 1_000
    }

    /// What visitors are told, in their language where there is such a message.
    pub fn message_in(&self, language: Option<Language>) -> Option<String> {
        let own = language.and_then(|language| self.messages.in_language(language));
        own.map(str::to_owned).or_else(|| self.message.clone())
    }
}

impl Room {
    pub(super) fn new(name: RoomName, epoch: Epoch) -> Self {
        Self {
            keys: RoomKeys::new(&name),
            name,
            epoch: AtomicI64::new(epoch.0),
            view: ArcSwap::default(),
            draw: ArcSwapOption::empty(),
            waits: Mutex::default(),
            order: Mutex::default(),
            tally: Mutex::default(),
            wake: Notify::new(),
            mending: Mending::default(),
            hub: Hub::default(),
            kept: Mutex::default(),
            together: Together::default(),
            stock: Stock::default(),
        }
    }

    /// The epoch that this process believes in.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    pub(super) fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// The room as the last run of the scheduler found it.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The room's draw, where it draws.
    pub fn draw(&self) -> Option<Arc<Draw>> {
        self.draw.load_full()
    }

    /// Has the scheduler look at the room at once.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until someone has the scheduler look at the room.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn line<'a>(&'a self, redis: &'a Redis) -> Line<'a> {
        Line { redis, keys: &self.keys, epoch: self.epoch() }
    }

    pub(super) fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
