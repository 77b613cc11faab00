//! A sale: a crowd of which a third goes away and comes back, three processes of which one is killed and one stands still for
//! a while, and an observer who looks at the line every 50 ms.
//!
//! `SIM_VISITORS` says how many come, by default 200. From 10,000 on the room is as large as the measured claim: 300
//! inside, 100 a second, visits of 1 to 5 s, and a process that stands still for 10 s.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anteroom::clock;
use rand::RngExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::crowd::{Doors, accounts, size};
use super::processes::SETTINGS;
use super::watch::watch;
use crate::support::processes::signal;
use crate::support::{Program, database, redis_database};

/// From so many on, the claim is measured; fewer show that it works.
const WHOLE: usize = 10_000;

/// Who gets no answer goes to the next door after this time.
const PATIENCE: Duration = Duration::from_secs(4);

/// For how long after an answer one counts as present, at least.
const PRESENT_FOR: Duration = Duration::from_secs(13);

/// So many of a hundred go away on the way.
const UNSTEADY: u64 = 30;

/// Nobody's sale lasts this long.
const AT_LAST: Duration = Duration::from_mins(30);

/// How large the sale is.
#[derive(Clone, Copy)]
struct Plan {
    visitors: usize,
    capacity: u32,
    per_second: u32,
    visit_ms: (u64, u64),
    absent_ms: (u64, u64),
    arriving_ms: u64,
    frozen: Duration,
    idle_at_most_ms: i64,
}

impl Plan {
    fn of(visitors: usize) -> Self {
        if visitors >= WHOLE {
            return Self {
                visitors,
                capacity: 300,
                per_second: 100,
                visit_ms: (1_000, 5_000),
                absent_ms: (10_000, 60_000),
                arriving_ms: 20_000,
                frozen: Duration::from_secs(10),
                idle_at_most_ms: 2_000,
            };
        }
        Self {
            visitors,
            capacity: 20,
            per_second: 20,
            visit_ms: (300, 1_500),
            absent_ms: (14_000, 18_000),
            arriving_ms: 2_000,
            frozen: Duration::from_secs(3),
            // A busy machine may keep a process from its work for seconds; the figure is for the whole one.
            idle_at_most_ms: 20_000,
        }
    }
}

/// What the visitors share.
struct Sale {
    doors: Doors,
    plan: Plan,
    done: AtomicUsize,
    absent: AtomicUsize,
    rejoined: AtomicUsize,
    unanswered: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_is_there_is_overtaken_whatever_happens_to_the_processes() {
    let plan = Plan::of(size("SIM_VISITORS", 200));
    let (dir, redis_url, database_url) = (TempDir::new().unwrap(), redis_database(), database().await);
    accounts(&database_url, plan.visitors).await;
    let start = || Program::serve(dir.path(), (&redis_url, &database_url), &SETTINGS);
    let (one, killed, frozen) = tokio::join!(start(), start(), start());
    let room = json!({ "capacity": plan.capacity, "admitPerSecond": plan.per_second, "claimSeconds": 20 });
    one.admin(Method::PATCH, "/admin/rooms/main", Some(&room)).await;
    let urls = [&one, &killed, &frozen].map(|program| program.url.clone());
    let sale = Arc::new(Sale {
        doors: Doors::impatient(urls.into(), PATIENCE),
        plan,
        done: AtomicUsize::new(0),
        absent: AtomicUsize::new(0),
        rejoined: AtomicUsize::new(0),
        unanswered: AtomicUsize::new(0),
    });

    let (began, stop) = (clock::now(), CancellationToken::new());
    let watching = tokio::spawn(watch(redis_url.clone(), stop.clone()));
    let mut visitors = JoinSet::new();
    for number in 1..=plan.visitors {
        let sale = Arc::clone(&sale);
        visitors.spawn(async move { sale.visit(number).await });
    }
    sale.until_done(plan.visitors / 5).await;
    sale.doors.shut(1);
    killed.kill().await;
    sale.until_done(plan.visitors * 2 / 5).await;
    signal(frozen.pid(), "STOP");
    sleep(plan.frozen).await;
    signal(frozen.pid(), "CONT");
    let all = tokio::time::timeout(AT_LAST, visitors.join_all()).await.expect("all get in");
    let took = began.elapsed();
    stop.cancel();
    let seen = watching.await.unwrap();
    let grown: usize = all.iter().sum();
    eprintln!(
        "{} visitors through three processes, one killed, one frozen for {:?}: {} absent and back, {} left and joined again, \
         {} requests without an answer, done in {took:?}; {} admissions; {grown} positions grew; {seen:?}",
        plan.visitors,
        plan.frozen,
        sale.absent.load(Ordering::Relaxed),
        sale.rejoined.load(Ordering::Relaxed),
        sale.unanswered.load(Ordering::Relaxed),
        seen.admitted,
    );
    assert!(
        sale.absent.load(Ordering::Relaxed) > 0 && sale.unanswered.load(Ordering::Relaxed) > 0,
        "it proves nothing"
    );
    assert_eq!((seen.inversions, seen.over_capacity, grown), (0, 0, 0));
    assert!(seen.most_inside <= i64::from(plan.capacity) && seen.idle_ms <= plan.idle_at_most_ms);
    // The bucket holds what one tick gives, and one is fractional.
    assert!(seen.beyond_rate <= f64::from(plan.per_second) + 1.0);
    assert!(seen.admitted >= i64::try_from(plan.visitors).unwrap());
    let told = one.admin(Method::GET, "/admin/invariants", None).await;
    assert_eq!(told["ok"], true, "{told:#}");
}

impl Sale {
    /// Comes, waits, is inside for a while and leaves; a third goes away on the way. Gives how often the position grew.
    async fn visit(&self, number: usize) -> usize {
        sleep(Duration::from_millis(random(0, self.plan.arriving_ms))).await;
        let mut visitor =
            Visitor { number, door: number, token: String::new(), last: None, noted: clock::now(), grown: 0 };
        let mut place = self.join(&mut visitor).await;
        let mut steady_polls = if random(0, 100) < UNSTEADY { random(1, 6) } else { u64::MAX };
        loop {
            match place["status"].as_str() {
                Some("active") => break,
                Some("waiting" | "verifying") => visitor.note(&place),
                _ => {
                    place = self.join(&mut visitor).await;
                    continue;
                }
            }
            steady_polls -= 1;
            if steady_polls > 0 {
                sleep(Duration::from_millis(place["pollAfterMs"].as_u64().unwrap_or(1_000))).await;
                place = self.ask(&mut visitor).await;
            } else {
                steady_polls = u64::MAX;
                place = self.go_away(&mut visitor).await;
            }
        }
        sleep(Duration::from_millis(random(self.plan.visit_ms.0, self.plan.visit_ms.1))).await;
        self.leave(&mut visitor).await;
        self.done.fetch_add(1, Ordering::Relaxed);
        visitor.grown
    }

    /// Forgets to ask for a while, or leaves and joins again.
    async fn go_away(&self, visitor: &mut Visitor) -> Value {
        visitor.last = None;
        if random(0, 3) > 0 {
            self.absent.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(random(self.plan.absent_ms.0, self.plan.absent_ms.1))).await;
            return self.ask(visitor).await;
        }
        self.rejoined.fetch_add(1, Ordering::Relaxed);
        self.leave(visitor).await;
        sleep(Duration::from_millis(random(100, 5_000))).await;
        self.join(visitor).await
    }

    async fn leave(&self, visitor: &mut Visitor) {
        while !self.doors.leave(visitor.door, &visitor.token).await {
            visitor.door += 1;
        }
    }

    async fn join(&self, visitor: &mut Visitor) -> Value {
        visitor.last = None;
        loop {
            let answer = self.doors.join(visitor.door, visitor.number).await;
            if let Some(place) = self.heard(visitor, answer).await {
                return place;
            }
        }
    }

    async fn ask(&self, visitor: &mut Visitor) -> Value {
        loop {
            let answer = self.doors.poll(visitor.door, &visitor.token).await;
            if let Some(place) = self.heard(visitor, answer).await {
                return place;
            }
        }
    }

    /// The place, where there was one; else the visitor waits a moment, and goes to another door if nobody answers.
    async fn heard(&self, visitor: &mut Visitor, answer: Option<(StatusCode, Value)>) -> Option<Value> {
        match answer {
            Some((StatusCode::OK, place)) => {
                if let Some(token) = place["token"].as_str() {
                    token.clone_into(&mut visitor.token);
                }
                return Some(place);
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => {}
            Some((status, problem)) => panic!("{status} {problem}"),
            None => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                visitor.door += 1;
            }
        }
        sleep(Duration::from_millis(random(100, 500))).await;
        None
    }

    async fn until_done(&self, count: usize) {
        while self.done.load(Ordering::Relaxed) < count {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One of the crowd.
struct Visitor {
    number: usize,
    door: usize,
    token: String,
    /// Epoch and position as they were told last, while they keep asking.
    last: Option<(i64, u64)>,
    noted: Instant,
    grown: usize,
}

impl Visitor {
    fn note(&mut self, place: &Value) {
        let Some(told) = place["epoch"].as_i64().zip(place["position"].as_u64()) else { return };
        // Whom no process answered for so long was absent for the service, and may have missed their turn.
        let present = self.noted.elapsed() < PRESENT_FOR;
        if present && self.last.is_some_and(|last| last.0 == told.0 && told.1 > last.1) {
            self.grown += 1;
        }
        (self.last, self.noted) = (Some(told), clock::now());
    }
}

fn random(from: u64, to: u64) -> u64 {
    rand::rng().random_range(from..to)
}
