//! The schedule: what is done again and again, whether or not anyone asks.
//!
//! tokio-cron-scheduler beats once a second and nothing else: it lets runs overlap, drops repeated jobs after a stall,
//! and is late by up to half a second. Each job is one loop of its own that follows the beat, so it never overlaps
//! itself; a room's loop also wakes at once when a visit ends, and more often while its line moves.

mod failures;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::error::Fault;
use crate::queue::{Room, Strain};
use crate::store::vitals;
use crate::{booking, clock, http, ledger, queue, seats};
use failures::{Failures, News};

/// Every second, by the wall clock.
const EACH_SECOND: &str = "* * * * * *";

/// While a line moves it is looked at this often, so that admission is smooth within the second.
const WHILE_MOVING: Duration = Duration::from_millis(200);

/// Jobs by how many beats are between two runs.
const HOLDS_EVERY: u64 = 1;
const HEALTH_EVERY: u64 = 1;
const TOKEN_KEYS_EVERY: u64 = 1;
const ADVICE_EVERY: u64 = 1;
const UNFINISHED_EVERY: u64 = 2;
const SETTINGS_EVERY: u64 = 5;
const STORES_EVERY: u64 = 1;
const KEYS_EVERY: u64 = 60;
const FAIRNESS_EVERY: u64 = 10;

/// What is broken is looked at again after this time: by then Redis is told of what was paid, and a plan that changed
/// is known everywhere.
const INVARIANTS_AGAIN: Duration = Duration::from_secs(7);

/// A turn to look at the invariants ends this much before the next, ms: beats come late, and a turn begins late too.
const TURN_ENDS_EARLY_MS: u64 = 5_000;

/// Starts every job; they end with `stop`.
pub async fn start(app: &Arc<App>, stop: &CancellationToken) -> Result<TaskTracker, JobSchedulerError> {
    let (beat, beats) = watch::channel(0_u64);
    let scheduler = JobScheduler::new().await?;
    let beat = Arc::new(beat);
    scheduler.add(Job::new(EACH_SECOND, move |_, _| beat.send_modify(|count| *count += 1))?).await?;
    scheduler.start().await?;

    let tasks = TaskTracker::new();
    tasks.spawn(keep(scheduler, stop.clone()));
    tasks.spawn(follow_rooms(Arc::clone(app), beats.clone(), (stop.clone(), tasks.clone())));
    every(&tasks, (app, stop), &beats, ("holds", HOLDS_EVERY), async |app| booking::sweep_holds(&app.booking).await);
    every(&tasks, (app, stop), &beats, ("health", HEALTH_EVERY), async |app| {
        app.queue.note_postgres(app.pulse.feel().await?.postgres);
        Ok(())
    });
    every(&tasks, (app, stop), &beats, ("token keys", TOKEN_KEYS_EVERY), async |app| app.renew_token_keys().await);
    every(&tasks, (app, stop), &beats, ("advice", ADVICE_EVERY), async |app| {
        let strain = strain(&app);
        queue::advise(&app.queue, strain).await
    });
    every(&tasks, (app, stop), &beats, ("outbox", UNFINISHED_EVERY), async |app| {
        booking::settle_outbox(&app.booking).await
    });
    every(&tasks, (app, stop), &beats, ("payments", UNFINISHED_EVERY), async |app| {
        booking::settle_stale(&app.booking).await
    });
    every(&tasks, (app, stop), &beats, ("settings", SETTINGS_EVERY), async |app| {
        seats::refresh_plans(&app.seats).await?;
        queue::load_rooms(&app.queue).await
    });
    let upkept = stop.clone();
    tasks.spawn(async move { upkept.run_until_cancelled(http::metrics::recorder().upkeep()).await });
    every(&tasks, (app, stop), &beats, ("stores", STORES_EVERY), async |app| {
        measure_pool(&app);
        vitals::measure(&app.redis, &app.db).await
    });
    every(&tasks, (app, stop), &beats, ("keys", KEYS_EVERY), async |app| {
        ledger::sweep_keys(&app.ledger).await?;
        ledger::sweep_attempts(&app.ledger).await.map(|_| ())
    });
    every(&tasks, (app, stop), &beats, ("fairness", FAIRNESS_EVERY), async |app| {
        queue::note_fairness(&app.queue).await
    });
    watch_invariants(&tasks, (app, stop), &beats);
    tasks.close();
    Ok(tasks)
}

/// Looks at the invariants by itself, where that is set; first after one interval, since a service that just started
/// has other things to do.
fn watch_invariants(tasks: &TaskTracker, with: (&Arc<App>, &CancellationToken), beats: &watch::Receiver<u64>) {
    let seconds = with.0.config.invariants_every_seconds;
    if seconds == 0 {
        return;
    }
    let turn_ms = (seconds * 1_000).saturating_sub(TURN_ENDS_EARLY_MS);
    let watch = booking::Watch { turn_ms, again_after: INVARIANTS_AGAIN };
    let stop = with.1.clone();
    every(tasks, with, beats, ("invariants", seconds), move |app| {
        let stop = stop.clone();
        async move {
            // It takes long, and keeps no process from stopping.
            let watched = stop.run_until_cancelled(booking::watch(&app.booking, watch)).await;
            watched.map_or(Ok(()), |found| found.map(drop))
        }
    });
}

/// The scheduler beats as long as it is kept.
async fn keep(mut scheduler: JobScheduler, stop: CancellationToken) {
    stop.cancelled().await;
    if let Err(error) = scheduler.shutdown().await {
        tracing::debug!(%error, "the scheduler ended in disorder");
    }
}

/// Runs a job at each so-many-th beat. One that fails is run again at the next.
fn every<W, F>(
    tasks: &TaskTracker,
    with: (&Arc<App>, &CancellationToken),
    beats: &watch::Receiver<u64>,
    job: (&'static str, u64),
    work: W,
) where
    W: Fn(Arc<App>) -> F + Send + 'static,
    F: Future<Output = Result<(), Fault>> + Send,
{
    let (app, stop, mut beats) = (Arc::clone(with.0), with.1.clone(), beats.clone());
    tasks.spawn(async move {
        let mut failures = Failures::default();
        let mut last = 0;
        while stop.run_until_cancelled(beats.changed()).await.is_some_and(|beat| beat.is_ok()) {
            let beat = *beats.borrow_and_update();
            if beat < last + job.1 {
                continue;
            }
            last = beat;
            let done = work(Arc::clone(&app)).await;
            let fault = done.as_ref().err().map(tracing::field::display);
            match failures.note(done.is_ok(), clock::now()) {
                Some(News::Failed) => tracing::warn!(job = job.0, fault, "a job failed; it is tried again"),
                Some(News::Lasts) => tracing::error!(job = job.0, fault, "a job goes on to fail"),
                Some(News::Over) => tracing::info!(job = job.0, "a job succeeds again"),
                None => {}
            }
        }
    });
}

/// Has a loop for each room, also for those that come later.
async fn follow_rooms(app: Arc<App>, mut beats: watch::Receiver<u64>, with: (CancellationToken, TaskTracker)) {
    let (stop, tasks) = with;
    let mut known = Vec::new();
    while stop.run_until_cancelled(beats.changed()).await.is_some_and(|beat| beat.is_ok()) {
        for room in app.queue.rooms() {
            if !known.contains(&room.name) {
                known.push(room.name.clone());
                tasks.spawn(tell_room(Arc::clone(&app), Arc::clone(&room), beats.clone(), stop.clone()));
                tasks.spawn(follow_room(Arc::clone(&app), room, beats.clone(), stop.clone()));
            }
        }
    }
}

/// Runs the scheduler of a room at each beat, when it is woken, and often while its line moves.
async fn follow_room(app: Arc<App>, room: Arc<Room>, mut beats: watch::Receiver<u64>, stop: CancellationToken) {
    let mut failures = Failures::default();
    loop {
        let counts = room.view().counts;
        let moving = counts.waiting + counts.recalled > 0;
        tokio::select! {
            () = stop.cancelled() => return,
            beat = beats.changed() => if beat.is_err() { return },
            () = room.woken() => {}
            () = tokio::time::sleep(WHILE_MOVING), if moving => {}
        }
        let done = queue::run(&app.queue, &room).await;
        let fault = done.as_ref().err().map(tracing::field::display);
        match failures.note(done.is_ok(), clock::now()) {
            Some(News::Failed) => tracing::warn!(room = %room.name, fault, "nobody was admitted; it is tried again"),
            Some(News::Lasts) => tracing::error!(room = %room.name, fault, "nobody is admitted, for some time now"),
            Some(News::Over) => tracing::info!(room = %room.name, "people are admitted again"),
            None => {}
        }
    }
}

/// Tells those who listen to a room where they stand, at each beat.
async fn tell_room(app: Arc<App>, room: Arc<Room>, mut beats: watch::Receiver<u64>, stop: CancellationToken) {
    let mut failing = false;
    while stop.run_until_cancelled(beats.changed()).await.is_some_and(|beat| beat.is_ok()) {
        let told = queue::announce(&app.queue, &room).await;
        if let (Err(fault), false) = (&told, failing) {
            tracing::error!(room = %room.name, %fault, "those who listen are told nothing new; it is tried again");
        }
        failing = told.is_err();
    }
}

/// How this process fares, since it was last asked.
fn strain(app: &App) -> Strain {
    let (all, idle) = app.db.connections();
    let lent = f64::from(all) - f64::from(u32::try_from(idle).unwrap_or(u32::MAX));
    Strain {
        booking_p95_ms: app.booking_latency.take_p95_ms(),
        redis_p95_ms: app.redis.latency().take_p95_ms(),
        pool_used: (lent / f64::from(app.config.database_connections)).clamp(0.0, 1.0),
    }
}

fn measure_pool(app: &App) {
    let (all, idle) = app.db.connections();
    let idle = u32::try_from(idle).unwrap_or(u32::MAX);
    metrics::gauge!("db_pool_connections", "state" => "idle").set(f64::from(idle));
    metrics::gauge!("db_pool_connections", "state" => "used").set(f64::from(all.saturating_sub(idle)));
    metrics::gauge!("db_pool_connections_max").set(f64::from(app.config.database_connections));
}
