//! Points: charges, payments, balances. What moves points is one transaction in Postgres, merged with what arrives
//! at the same time.
//!
//! A caller puts an operation in the queue (`batch`) and waits for its answer. A task takes what has gathered, applies
//! it with the function `apply_ledger_batch` of `migrations/0002_ledger.sql`, tells Redis the new balances, and answers
//! each. The operation goes on when its caller hangs up.
//!
//! An answer is one of three: decided (and committed), a fault (and certainly not committed), or unknown: the connection
//! was lost during the commit. A charge is then sent again under its own id, which cannot count twice. A payment is
//! settled by its caller with [`settle_unknown`].

mod balance;
mod batch;
mod charge;
mod invariants;
mod keyed;
mod operation;
mod outbox;
mod payment;
mod sold;
mod sweep;
mod transaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use balance::{balance, balance_now, project};
pub use charge::{Charged, charge};
pub use invariants::{Check, Pace, check};
pub use keyed::{Key, Recorded, record, recorded_answer};
pub use outbox::{Changed, Due, Owed, Settle, outbox_done, outbox_due, outbox_pending};
pub use payment::{
    LISTED_PAYMENTS, Paid, PayOrder, Payment, Settled, pay, payment_of, payments_of_seats, payments_of_user,
    settle_unknown,
};
pub use sold::{Sold, paid_since, sold_seats};
pub use sweep::{sweep_attempts, sweep_keys};

use crate::config::Config;
use crate::error::Fault;
use crate::ids::{Points, SeatId};
use crate::store::{Db, Redis};

/// Batches under way at once. With one, Postgres idles while the program reads its answer; a third only waits for the
/// same processor and disk.
const BATCHES: usize = 2;

/// Lists of payments read at once: enough to keep Postgres busy, few enough to leave it to payments.
const LISTS: usize = 2;

/// Outbox rows remembered as told at most.
const TOLD_MOST: usize = 65_536;

/// What the ledger is told.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The most points an account may have.
    pub balance_limit: i64,
    /// Operations in one transaction at most.
    pub batch: usize,
    /// Operations that may wait; beyond, they are refused at once.
    pub queue: usize,
    /// How long Postgres may take for one batch, and how old an operation may become before it is given up.
    pub patience: Duration,
}

impl Settings {
    /// The settings that the service's configuration gives.
    pub fn of(config: &Config) -> Self {
        Self {
            balance_limit: config.balance_limit,
            batch: 256,
            queue: 4_096,
            // Postgres' own limit comes first, so that it is Postgres that says what happened.
            patience: Duration::from_millis(config.database_statement_ms + 1_000),
        }
    }
}

/// The way to everyone's points.
pub struct Ledger {
    core: Arc<Core>,
    queue: mpsc::Sender<batch::Waiting>,
    reads: balance::Reads,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// What the ledger's tasks share.
struct Core {
    db: Db,
    redis: Arc<Redis>,
    settings: Settings,
    /// Rows of the outbox that Redis has been told of; the next batch removes them.
    told: Mutex<Vec<Uuid>>,
    batches: Arc<Semaphore>,
    /// Lists of payments read at once: who reads many waits here, without a connection, and not for one.
    lists: Semaphore,
    tasks: TaskTracker,
}

impl Ledger {
    /// Starts the ledger's task on the current runtime.
    pub fn new(db: Db, redis: Arc<Redis>, settings: Settings) -> Self {
        let (queue, arrivals) = mpsc::channel(settings.queue);
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let batches = Arc::new(Semaphore::new(BATCHES));
        let told = Mutex::default();
        let core =
            Arc::new(Core { db, redis, settings, told, batches, lists: Semaphore::new(LISTS), tasks: tasks.clone() });
        tasks.spawn(batch::take_arrivals(Arc::clone(&core), arrivals, stopping.clone()));
        Self { core, queue, reads: balance::reads(), stopping, tasks }
    }

    /// A payment that was begun so long ago has ended, one way or another: it began its transaction within `patience`, perhaps
    /// after waiting for a connection, and that took no longer.
    pub fn longest_payment(&self) -> Duration {
        self.core.settings.patience * 3
    }

    /// Takes nothing more, and returns when everything that was accepted has its answer.
    pub async fn close(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn db(&self) -> &Db {
        &self.core.db
    }
}

impl Core {
    fn told(&self) -> MutexGuard<'_, Vec<Uuid>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Beyond the limit a row stays, and is taken up by the job.
    fn note_told(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut told = self.told();
        let free = TOLD_MOST.saturating_sub(told.len());
        told.extend(ids.into_iter().take(free));
    }
}

/// Why points did not move.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The balance would grow beyond its limit.
    #[error("the balance would be too large")]
    BalanceLimit {
        /// What the account has.
        balance: Points,
        /// Whether this is the answer kept under the key.
        replayed: bool,
    },
    /// The account has too little. The attempt is over.
    #[error("{shortfall} points are missing")]
    Insufficient {
        /// What the account had.
        balance: Points,
        /// What is missing.
        shortfall: Points,
        /// Whether this is the answer kept under the key.
        replayed: bool,
    },
    /// Someone else paid one of the seats first. The attempt is over.
    #[error("sold to someone else: {seats:?}")]
    SeatSold {
        /// Those of the reservation's seats that are sold.
        seats: Vec<SeatId>,
        /// Whether this is the answer kept under the key.
        replayed: bool,
    },
    /// The attempt was given up before; it never pays.
    #[error("this attempt to pay was given up")]
    AttemptVoid,
    /// Another account paid this reservation.
    #[error("the reservation is another's")]
    NotTheirs,
    /// There is no such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// The key was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    KeyReused,
    /// Another answer is kept under the key.
    #[error("the Idempotency-Key has an answer")]
    Answered(serde_json::Value),
    /// Postgres was lost during the commit: it may have happened.
    #[error("Postgres was lost during the commit")]
    Unknown,
    /// Nothing happened, nor will.
    #[error(transparent)]
    Fault(#[from] Fault),
}
