//! The connections to Postgres that all share: few, made ahead, and lent for a short time.
//!
//! Three things are unlike the pool that comes with sqlx (see docs/decisions/0007-pool.md). Connections are made by a
//! task of the pool's own, so that one which takes long is not given up with the request that wanted it. One comes back
//! only by [`Lent::give_back`], after the last answer was read; whatever else happens to its borrower, also that its
//! future is dropped, closes it, and Postgres rolls back what was open. So the next borrower never finds itself inside
//! someone's transaction, and no round trip is needed to make sure. And one that was used a moment ago is not asked
//! whether it lives.

mod executor;
mod lent;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, PgConnection};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::lent::{Lent, Transaction, only_reads};
use super::db::Limits;
use crate::clock;

/// How long one connection may take to be made: a busy machine needs long, and nobody waits for it that long.
const CONNECTING: Duration = Duration::from_secs(15);

/// Between two tries to connect, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection that was used within this time is taken to be alive, ms.
const FRESH_MS: u64 = 1_000;

/// How much longer an answer is waited for than Postgres lets a statement run: so it is Postgres that says what
/// happened, unless it hangs.
const GRACE: Duration = Duration::from_secs(1);

/// The connections. Clones share them.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    limits: Limits,
    idle: Mutex<Vec<Idle>>,
    /// A permit for each idle connection.
    free: Semaphore,
    /// Connections that exist, idle or lent.
    open: AtomicU32,
    /// Tells the keeper that a connection ended.
    ended: Arc<Notify>,
    /// Connections unused since before this moment of uptime are asked whether they live, ms: another one ended.
    doubted_ms: AtomicU64,
    /// Why no connection can be made, where waiting does not help.
    hopeless: Mutex<Option<String>>,
    closed: CancellationToken,
}

struct Idle {
    lent: Lent,
    since_ms: u64,
}

impl Pool {
    /// A pool that makes its connections from now on. Must be called within the runtime.
    pub(crate) fn new(options: PgConnectOptions, limits: Limits) -> Self {
        let inner = Arc::new(Inner {
            options,
            limits,
            idle: Mutex::default(),
            free: Semaphore::new(0),
            open: AtomicU32::new(0),
            ended: Arc::default(),
            doubted_ms: AtomicU64::new(0),
            hopeless: Mutex::default(),
            closed: CancellationToken::new(),
        });
        tokio::spawn(keep(Arc::downgrade(&inner), Arc::clone(&inner.ended), inner.closed.clone()));
        Self(inner)
    }

    /// Borrows a connection; waits for one as long as the limits say. How long that was is measured.
    pub(crate) async fn acquire(&self) -> Result<Lent, Error> {
        let started = clock::now();
        let taken = timeout(self.0.limits.wait, take(&self.0)).await;
        metrics::histogram!("db_pool_wait_seconds").record(started.elapsed().as_secs_f64());
        taken.unwrap_or_else(|_| Err(self.0.why_none()))
    }

    /// Borrows a connection and begins a transaction on it.
    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        Transaction::begin(self.acquire().await?, self.patience()).await
    }

    /// How long the answer to one statement is waited for.
    fn patience(&self) -> Duration {
        self.0.limits.statement + GRACE
    }

    /// Connections that exist, and those of them that are free.
    pub(crate) fn connections(&self) -> (u32, usize) {
        (self.0.open.load(Ordering::Relaxed), lock(&self.0.idle).len())
    }

    /// Ends every connection: the idle ones now, the others when they come back, which is waited for as long as a
    /// statement may run.
    pub(crate) async fn close(&self) {
        self.0.closed.cancel();
        self.0.free.close();
        let idle = std::mem::take(&mut *lock(&self.0.idle));
        for Idle { lent, .. } in idle {
            lent.end().await;
        }
        let all_back = async {
            while self.0.open.load(Ordering::Acquire) > 0 {
                self.0.ended.notified().await;
            }
        };
        let _ = timeout(self.0.limits.statement, all_back).await;
    }
}

/// Waits for Postgres, but not for ever. Whose answer did not come is of no use any more: the caller drops it.
pub(crate) async fn in_time<T>(patience: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let silent = || Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    timeout(patience, answer).await.unwrap_or_else(|_| Err(silent()))
}

/// Takes an idle connection, as soon as there is one.
async fn take(pool: &Arc<Inner>) -> Result<Lent, Error> {
    loop {
        pool.free.acquire().await.map_err(|_| Error::PoolClosed)?.forget();
        let Some(idle) = lock(&pool.idle).pop() else { continue };
        if pool.is_fresh(&idle) {
            return Ok(idle.lent);
        }
        // In a task of its own: the answer may take longer than this caller waits.
        tokio::spawn(look_after(Arc::clone(pool), idle.lent));
    }
}

/// Asks an old connection whether it lives. It comes back, or another is made.
async fn look_after(pool: Arc<Inner>, mut lent: Lent) {
    if let Ok(Ok(())) = timeout(pool.limits.statement, lent.ping()).await {
        lent.give_back();
    }
}

/// Makes the connections that are missing, until the pool is closed or let go.
async fn keep(pool: Weak<Inner>, ended: Arc<Notify>, closed: CancellationToken) {
    let mut made = JoinSet::new();
    loop {
        let Some(inner) = pool.upgrade() else { return };
        let (open, under_way) = (inner.open.load(Ordering::Acquire), u32::try_from(made.len()).unwrap_or(u32::MAX));
        for _ in open.saturating_add(under_way)..inner.limits.connections {
            made.spawn(connect(inner.options.clone(), pool.clone()));
        }
        drop(inner);
        tokio::select! {
            () = closed.cancelled() => return,
            () = ended.notified() => {}
            Some(made) = made.join_next() => {
                if let (Ok(connection), Some(inner)) = (made, pool.upgrade()) {
                    inner.open.fetch_add(1, Ordering::AcqRel);
                    lock(&inner.hopeless).take();
                    Lent::new(connection, pool.clone()).give_back();
                }
            }
        }
    }
}

/// Tries until there is a connection.
async fn connect(options: PgConnectOptions, pool: Weak<Inner>) -> PgConnection {
    let mut pause = PAUSES.0;
    loop {
        match timeout(CONNECTING, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => return connection,
            Ok(Err(error)) => note_failure(&pool, &error),
            Err(_) => {}
        }
        sleep(pause).await;
        pause = (2 * pause).min(PAUSES.1);
    }
}

/// A Postgres that is not there may come; one that refuses this user will go on to do so.
fn note_failure(pool: &Weak<Inner>, error: &Error) {
    let passing = match error {
        Error::Io(_) => true,
        Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    };
    if let Some(pool) = pool.upgrade() {
        *lock(&pool.hopeless) = (!passing).then(|| error.to_string());
    }
}

impl Inner {
    fn is_fresh(&self, idle: &Idle) -> bool {
        idle.since_ms + FRESH_MS >= clock::uptime_ms() && idle.since_ms > self.doubted_ms.load(Ordering::Relaxed)
    }

    /// One connection ended: perhaps all did.
    fn doubt(&self) {
        self.doubted_ms.store(clock::uptime_ms(), Ordering::Relaxed);
    }

    fn take_back(&self, lent: Lent) {
        lock(&self.idle).push(Idle { lent, since_ms: clock::uptime_ms() });
        self.free.add_permits(1);
    }

    fn why_none(&self) -> Error {
        match lock(&self.hopeless).clone() {
            Some(why) => Error::Io(io::Error::other(why)),
            None => Error::PoolTimedOut,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("connections", &self.connections()).finish()
    }
}

/// What is kept here is right whenever the lock is free, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
