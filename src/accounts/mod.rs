//! Accounts: who it is. Signing up, and checking passwords without letting that become the bottleneck.
//!
//! argon2id costs some 15 ms of a core on purpose. So a password that was right is remembered for a while, as a keyed
//! hash that only this process can compare; others stand in a bounded line and are checked in the order of arrival by a
//! few threads of lowered priority, while whoever asked may wait or go away with a [`Check`] in hand.

mod check;
mod failures;
mod import;
mod line;
mod login;
mod password;
mod remembered;
mod sign_up;
mod verifiers;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use crate::config::Config;
use crate::limits::Window;
use crate::store::Db;

pub use check::{Check, Verdict};
pub use import::{Existing, Imported, import};
pub use login::{Login, begin_login};
pub use password::{BadPassword, NewPassword, Password, hash_password};
pub use sign_up::{SignUpError, sign_up};

use check::Job;
use failures::Failures;
use line::Line;
use remembered::Remembered;

/// The room of accounts: its way to Postgres, what it remembers, and the line before its verifiers.
pub struct Accounts {
    db: Db,
    desk: Arc<Desk>,
    arrivals: mpsc::UnboundedSender<Job>,
    sign_ups: SignUps,
}

/// What logins and verifiers share.
struct Desk {
    remembered: Remembered,
    failures: Failures,
    line: Line,
}

struct SignUps {
    open: bool,
    by_address: Window<IpAddr>,
    /// Who may wait for a hash. Each waits to the end, also when its client hangs up.
    waiting: Semaphore,
    hashing: Arc<Semaphore>,
}

impl Accounts {
    /// Opens the room and starts its verifiers; they end when it is dropped. Must be called within the runtime.
    pub fn start(db: Db, config: &Config) -> std::io::Result<Self> {
        let verifiers = verifiers_of(config.login_verifiers);
        let desk = Arc::new(Desk {
            remembered: Remembered::new(Duration::from_secs(config.login_remembered_seconds)),
            failures: Failures::new(config.login_failures_per_account, config.login_failures_per_address),
            line: Line::new(config.login_pending, config.login_pending_per_address, verifiers),
        });
        let arrivals = verifiers::start(&desk, db.clone(), verifiers)?;
        let sign_ups = SignUps {
            open: config.signup_open,
            by_address: Window::new(config.signups_per_minute, Duration::from_mins(1)),
            waiting: Semaphore::new(sign_up::MOST_AT_ONCE),
            hashing: Arc::new(Semaphore::new(verifiers.get())),
        };
        Ok(Self { db, desk, arrivals, sign_ups })
    }
}

/// As many as were asked for. Of 0: one less than there are cores, so that polling has one, but at least one.
fn verifiers_of(asked: usize) -> NonZeroUsize {
    let spare = || {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores.saturating_sub(1)).unwrap_or(NonZeroUsize::MIN)
    };
    NonZeroUsize::new(asked).unwrap_or_else(spare)
}
