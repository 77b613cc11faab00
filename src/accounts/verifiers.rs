//! The verifiers: one task that reads what Postgres knows of those in line, and a few threads that compare.
//!
//! Reading runs ahead of comparing, many accounts at once, so that no verifier ever waits for Postgres. Both keep the
//! order of arrival.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc;

use super::Desk;
use super::check::{Job, Verdict};
use super::password::Hasher;
use crate::clock;
use crate::error::Fault;
use crate::ids::Points;
use crate::store::Db;

/// Accounts read at once, and the most that are read ahead of the verifiers.
const BATCH: usize = 64;

/// How often a read is tried while all connections are in use. Each try waits as long as the pool lets it.
const READ_TRIES: usize = 40;

/// How much the verifiers stand back for the threads that serve: enough that polls stay quick while all cores are busy,
/// little enough that checks go on.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

const READ: &str = "
    select u.username, u.password_hash, a.balance, a.version
    from users u join accounts a on a.user_id = u.username
    where u.username = any($1)";

/// What Postgres knows of an account.
#[derive(Clone)]
struct Known {
    password_hash: String,
    balance: Points,
    version: i64,
}

/// A check and what Postgres knows of its account; nothing if there is none.
struct Ready {
    job: Job,
    known: Option<Known>,
}

/// Starts the reader and the verifiers. They end when the way to them that is returned has been dropped.
pub(super) fn start(desk: &Arc<Desk>, db: Db, verifiers: NonZeroUsize) -> std::io::Result<mpsc::UnboundedSender<Job>> {
    // Not bounded by itself: the line before it is.
    let (arrive, arrivals) = mpsc::unbounded_channel();
    let (read, ready) = mpsc::channel(BATCH);
    let ready = Arc::new(Mutex::new(ready));
    for number in 1..=verifiers.get() {
        let (desk, ready) = (Arc::clone(desk), Arc::clone(&ready));
        thread::Builder::new().name(format!("verifier-{number}")).spawn(move || verify(&desk, &ready))?;
    }
    tokio::spawn(read_ahead(db, arrivals, read));
    Ok(arrive)
}

async fn read_ahead(db: Db, mut arrivals: mpsc::UnboundedReceiver<Job>, ready: mpsc::Sender<Ready>) {
    let mut batch = Vec::with_capacity(BATCH);
    while arrivals.recv_many(&mut batch, BATCH).await > 0 {
        let known = read(&db, &batch).await;
        for job in batch.drain(..) {
            let known = match &known {
                Ok(known) => known.get(job.user.as_str()),
                Err(fault) => {
                    job.decide(Verdict::Unknown(fault.clone()));
                    continue;
                }
            };
            let known = known.cloned();
            if ready.send(Ready { job, known }).await.is_err() {
                return;
            }
        }
    }
}

/// Reads the accounts of a batch, again if only the connections were all in use: who waits in line loses nothing by it.
async fn read(db: &Db, batch: &[Job]) -> Result<HashMap<String, Known>, Fault> {
    let users: Vec<&str> = batch.iter().map(|job| job.user.as_str()).collect();
    let mut tries = 1;
    loop {
        let rows = sqlx::query_as::<_, (String, String, i64, i64)>(READ).bind(&users).fetch_all(db.pool()).await;
        match rows.map_err(Fault::from) {
            Ok(rows) => return Ok(rows.into_iter().map(Known::of).collect()),
            Err(Fault::Overload(_)) if tries < READ_TRIES => tries += 1,
            Err(fault) => {
                tracing::warn!(%fault, "passwords cannot be checked");
                return Err(fault);
            }
        }
    }
}

impl Known {
    fn of((user, password_hash, balance, version): (String, String, i64, i64)) -> (String, Self) {
        (user, Self { password_hash, balance: Points(balance), version })
    }

    fn right(&self) -> Verdict {
        Verdict::Right { balance: self.balance, version: self.version }
    }
}

fn verify(desk: &Desk, ready: &Mutex<mpsc::Receiver<Ready>>) {
    stand_back();
    let mut hasher = Hasher::default();
    loop {
        let next = ready.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Ready { job, known }) = next else { return };
        // One verifier may be all there are: a defect met in one check must not end the checking of the others.
        let checked = catch_unwind(AssertUnwindSafe(|| check(desk, &mut hasher, &job, known.as_ref())));
        let panicked = |_| Verdict::Unknown(Fault::Defect("a verifier panicked".into()));
        job.decide(checked.unwrap_or_else(panicked));
    }
}

/// The same may have been found right, or the limit reached, since this check was put in line.
fn check(desk: &Desk, hasher: &mut Hasher, job: &Job, known: Option<&Known>) -> Verdict {
    if let Some(known) = known
        && desk.remembered.knows(&job.user, &job.tag)
    {
        return known.right();
    }
    if let Err(spent) = desk.failures.left(&job.user, job.address) {
        return Verdict::Limited { retry_after_seconds: spent.retry_after_seconds };
    }
    let started = clock::now();
    let matches = hasher.matches(&job.password, known.map(|known| known.password_hash.as_str()));
    desk.line.took(started.elapsed());
    match (matches, known) {
        (Ok(true), Some(known)) => {
            desk.remembered.remember(&job.user, job.tag);
            known.right()
        }
        (Ok(_), _) => {
            desk.failures.count(&job.user, job.address);
            Verdict::Wrong
        }
        (Err(fault), _) => {
            tracing::error!(user = %job.user, %fault, "a password could not be checked");
            Verdict::Unknown(fault)
        }
    }
}

/// Lowers this thread's priority, where the system counts threads one by one. Without it all works, less evenly.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a verifier keeps its priority");
    }
}
