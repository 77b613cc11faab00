//! The line of passwords not yet checked: bounded, in order of arrival, and one check for all who ask the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::Desk;
use super::check::{Check, Job, Verdict};
use super::password::Password;
use super::remembered::Tag;
use crate::ids::UserId;
use crate::limits::Spent;

/// What a check is taken to cost until one was measured.
const FIRST_GUESS_US: u64 = 20_000;

/// Each measured check moves the mean by one part of so many.
const MEAN_OF: u64 = 8;

/// Whoever asks to be checked.
pub(super) struct Asked<'a> {
    pub(super) user: &'a UserId,
    pub(super) password: &'a Password,
    pub(super) tag: Tag,
    pub(super) address: IpAddr,
    /// How many wrong passwords the account may still get from this address.
    pub(super) guesses_left: usize,
}

/// Why the line took nobody in.
pub(super) enum Refusal {
    Full,
    Limited(Spent),
}

pub(super) struct Line {
    most: usize,
    most_per_address: usize,
    verifiers: u64,
    places: Mutex<Places>,
    decided: AtomicU64,
    mean_us: AtomicU64,
}

#[derive(Default)]
struct Places {
    /// Checks that ever stood in line; the last one's turn.
    turns: u64,
    /// Those who wait for a verdict, in all and by address. One check may have many.
    waiting: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Checks in line by what they check, and how many of them are of one account from one address.
    checks: HashMap<(Tag, IpAddr), Place>,
    by_account: HashMap<(UserId, IpAddr), usize>,
}

struct Place {
    turn: u64,
    waiting: usize,
    verdict: watch::Receiver<Option<Verdict>>,
}

impl Line {
    pub(super) fn new(most: usize, most_per_address: usize, verifiers: NonZeroUsize) -> Self {
        Self {
            most,
            most_per_address,
            verifiers: verifiers.get() as u64,
            places: Mutex::default(),
            decided: AtomicU64::new(0),
            mean_us: AtomicU64::new(FIRST_GUESS_US),
        }
    }

    /// Takes someone in: to the check that is already in line for the same, or to a new one at the end.
    pub(super) fn enter(
        desk: &Arc<Desk>,
        asked: &Asked<'_>,
        arrivals: &mpsc::UnboundedSender<Job>,
    ) -> Result<Check, Refusal> {
        let line = &desk.line;
        let mut places = line.lock();
        if places.waiting >= line.most || places.of(asked.address) >= line.most_per_address {
            return Err(Refusal::Full);
        }
        let (turn, verdict, unsent) = match places.join(asked) {
            Some((turn, verdict)) => (turn, verdict, None),
            None if places.guesses(asked) >= asked.guesses_left => {
                let wait = line.wait(places.turns);
                return Err(Refusal::Limited(Spent { retry_after_seconds: wait.as_secs() + 1 }));
            }
            None => {
                let (sender, verdict) = watch::channel(None);
                let turn = places.stand(asked, verdict.clone());
                // Within the lock, so that the order of turns is the order of arrival.
                let unsent = arrivals.send(Job::new(desk, asked, sender)).err();
                (turn, verdict, unsent)
            }
        };
        places.show();
        // A job takes the lock when it is dropped.
        drop(places);
        drop(unsent);
        Ok(Check::new(desk, turn, verdict))
    }

    /// Notes what a check cost.
    pub(super) fn took(&self, cost: Duration) {
        let cost = u64::try_from(cost.as_micros()).unwrap_or(u64::MAX / MEAN_OF);
        let mean = self.mean_us.load(Ordering::Relaxed);
        self.mean_us.store((mean * (MEAN_OF - 1) + cost) / MEAN_OF, Ordering::Relaxed);
    }

    /// About how long until the verdict of a turn: those before it and itself, at what a check costs.
    pub(super) fn wait(&self, turn: u64) -> Duration {
        let ahead = turn.saturating_sub(self.decided.load(Ordering::Relaxed));
        Duration::from_micros(ahead.div_ceil(self.verifiers) * self.mean_us.load(Ordering::Relaxed))
    }

    /// Gives the place of a decided check free.
    pub(super) fn leave(&self, job: &Job) {
        self.decided.fetch_add(1, Ordering::Relaxed);
        let mut places = self.lock();
        places.leave(job);
        places.show();
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn show(&self) {
        #[expect(clippy::cast_precision_loss, reason = "the line is bounded far below 2^52")]
        metrics::gauge!("anteroom_login_pending").set(self.waiting as f64);
    }

    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    fn guesses(&self, asked: &Asked<'_>) -> usize {
        self.by_account.get(&(asked.user.clone(), asked.address)).copied().unwrap_or(0)
    }

    fn join(&mut self, asked: &Asked<'_>) -> Option<(u64, watch::Receiver<Option<Verdict>>)> {
        let place = self.checks.get_mut(&(asked.tag, asked.address))?;
        place.waiting += 1;
        self.waiting += 1;
        *self.by_address.entry(asked.address).or_default() += 1;
        Some((place.turn, place.verdict.clone()))
    }

    fn stand(&mut self, asked: &Asked<'_>, verdict: watch::Receiver<Option<Verdict>>) -> u64 {
        self.turns += 1;
        self.waiting += 1;
        *self.by_address.entry(asked.address).or_default() += 1;
        *self.by_account.entry((asked.user.clone(), asked.address)).or_default() += 1;
        let turn = self.turns;
        self.checks.insert((asked.tag, asked.address), Place { turn, waiting: 1, verdict });
        turn
    }

    fn leave(&mut self, job: &Job) {
        let Some(place) = self.checks.remove(&(job.tag, job.address)) else { return };
        self.waiting -= place.waiting;
        subtract(&mut self.by_address, job.address, place.waiting);
        subtract(&mut self.by_account, (job.user.clone(), job.address), 1);
    }
}

/// What is counted down to nothing is let go, so that the maps are no larger than the line.
fn subtract<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, some: usize) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= some;
        if *count.get() == 0 {
            count.remove();
        }
    }
}
