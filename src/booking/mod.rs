//! Booking: reserve seats and pay them. The one long way through seats, ledger and line, in steps that each may be
//! repeated, because a crash can come between any two.

mod answers;
mod invariants;
mod jobs;
mod owned;
mod pay;
mod reserve;
mod touched;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::ids::ReservationId;
use crate::ledger::{Ledger, Payment};
use crate::queue::Queue;
use crate::seats::Seats;
use crate::store::Redis;

pub use answers::{Claimed, Key, OPERATORS, claim_key, digest, give_up_key, keep_answer};
pub use invariants::{Watch, check, watch};
pub use jobs::{settle_outbox, settle_stale, sweep_holds};
pub use pay::{PayError, pay, payment_begun};
pub use reserve::{ReserveError, Reserved, Standing, cancel, find, leave, list, remove, reserve};

/// For how long a payment is remembered that nobody asks for: who paid asks at once, and once more at a receipt.
const PAYMENTS_REMEMBERED: Duration = Duration::from_mins(2);

/// Payments remembered at most.
const PAYMENTS_MOST: u64 = 20_000;

/// Booking's own state in this process.
pub struct Booking {
    pub(crate) redis: Arc<Redis>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) ledger: Arc<Ledger>,
    payments: Cache<ReservationId, Arc<Payment>>,
    owned: owned::Owned,
    noted: touched::Noted,
}

impl Booking {
    /// Booking, on top of the rooms that it walks through.
    pub fn new(redis: Arc<Redis>, queue: Arc<Queue>, seats: Arc<Seats>, ledger: Arc<Ledger>) -> Self {
        let payments = Cache::builder().max_capacity(PAYMENTS_MOST).time_to_idle(PAYMENTS_REMEMBERED).build();
        Self { redis, queue, seats, ledger, payments, owned: owned::owned(), noted: touched::noted() }
    }
}
