//! Killed in the middle of holding and paying, and started again: what was confirmed is there, what was refused is not,
//! and what nobody knows is settled by asking again.
//!
//! `CRASH_ROUNDS` says how often each is killed, by default twice. A round in which no request was in flight at the kill,
//! or no seat was contested, proves nothing and is repeated.

mod checker;
mod dropped;
mod history;
mod signals;
mod stage;
mod transactions;
mod visitor;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::cli::seed::{self, Demo};
use anteroom::cli::stores;
use anteroom::clock;
use anteroom::store::Db;
use anteroom::store::db::Limits;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::program::data_dir;
use crate::support::{Program, database, redis_database};
use checker::Checked;
use stage::Stage;
use visitor::Visitor;

const RICH: u32 = 34;
const POOR: u32 = 6;

/// How long an abandoned hold lasts, and how late it may be noticed: a second, and the age that a snapshot may have.
const HOLD: Duration = Duration::from_secs(3);
const NOTICED: Duration = Duration::from_millis(1_250);

/// How long until all are in.
const ENTERING: Duration = Duration::from_secs(90);

/// Rounds may be void, but not for ever.
const VOID_AT_MOST: usize = 5;

/// Accounts own more seats here than anyone may elsewhere.
const SETTINGS: [&str; 2] = ["seats_per_user=5000", "payment_seconds=5"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_confirmed_is_lost_when_the_service_is_killed_with_its_stores() {
    let dir = TempDir::new().unwrap();
    let start = async || Program::dev(dir.path(), &SETTINGS).await;
    let kill = async |program: Program, round: usize| {
        // Killed alone, the program leaves it to the watchers to end its stores.
        if round.is_multiple_of(2) { program.kill_all().await } else { program.kill().await }
    };
    Campaign::run("service and stores", start, kill).await;
    stores::wipe(&data_dir(dir.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_confirmed_is_lost_when_the_server_alone_is_killed() {
    let dir = TempDir::new().unwrap();
    let (database_url, redis_url) = (database().await, redis_database());
    let limits = Limits { connections: 2, wait: Duration::from_secs(20), statement: Duration::from_secs(20) };
    let db = Db::new(&database_url, limits).unwrap();
    let password = anteroom::accounts::Password::parse("anteroom-demo").unwrap();
    seed::seed(&db, &Demo { users: 100, password, schedules: 0, seats: 1 }).await.unwrap();
    db.close().await;
    let start = async || Program::serve(dir.path(), (&redis_url, &database_url), &SETTINGS).await;
    Campaign::run("server alone", start, async |program: Program, _| program.kill().await).await;
}

/// Kills of one kind, and what came of them.
struct Campaign {
    visitors: Vec<Visitor>,
    /// Those of them who are at it.
    inside: JoinSet<Visitor>,
    /// Looks at the seats, and buys none.
    observer: Visitor,
    sold: usize,
    killed: usize,
    void: usize,
    in_flight: usize,
    contested: usize,
    unknown: usize,
    down: Duration,
}

impl Campaign {
    async fn run(name: &str, start: impl AsyncFn() -> Program, kill: impl AsyncFn(Program, usize)) {
        let rounds = std::env::var("CRASH_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
        let mut program = start().await;
        let mut campaign = Self::prepare(&program).await;
        while campaign.killed < rounds {
            let before = campaign.killed + campaign.void;
            assert!(campaign.void <= VOID_AT_MOST, "too many rounds prove nothing");
            let stage = campaign.work(&program).await;
            let killed = clock::now();
            campaign.in_flight += stage.in_flight();
            let void = stage.in_flight() == 0 || stage.contested() == 0;
            kill(program, before).await;
            campaign.leave(&stage).await;
            program = start().await;
            campaign.down = campaign.down.max(killed.elapsed());
            campaign.examine(&program, killed).await;
            campaign.void += usize::from(void);
            campaign.killed += usize::from(!void);
        }
        let checked = campaign.check(&program).await;
        program.kill().await;
        eprintln!(
            "{name}: {} kills ({} void), {} requests in flight at them, {} payments and charges unknown and settled; \
             {} seats contested, {} payments confirmed, {} refused, {} charges; back after {:?} at most",
            campaign.killed,
            campaign.void,
            campaign.in_flight,
            campaign.unknown,
            campaign.contested,
            checked.confirmed,
            checked.refused,
            checked.charges,
            campaign.down,
        );
        assert!(checked.confirmed > 0 && campaign.contested > 0);
    }

    async fn prepare(program: &Program) -> Self {
        let settings = json!({ "holdSeconds": HOLD.as_secs(), "idleSeconds": 3_600 });
        program.admin(Method::PATCH, "/admin/rooms/main", Some(&settings)).await;
        let stage = Stage::new(program, 0);
        let mut visitors: Vec<_> = (1..=RICH).map(Visitor::demo).collect();
        for number in 1..=POOR {
            visitors.push(Visitor::poor(number, &stage).await);
        }
        Self {
            visitors,
            inside: JoinSet::new(),
            observer: Visitor::demo(RICH + 1),
            sold: 0,
            killed: 0,
            void: 0,
            in_flight: 0,
            contested: 0,
            unknown: 0,
            down: Duration::ZERO,
        }
    }

    /// Lets all hold and pay together for a moment that nobody can foresee.
    async fn work(&mut self, program: &Program) -> Arc<Stage> {
        let stage = Arc::new(Stage::new(program, self.sold));
        let visitors = std::mem::take(&mut self.visitors);
        let count = visitors.len();
        for mut visitor in visitors {
            let stage = Arc::clone(&stage);
            self.inside.spawn(async move {
                visitor.visit(&stage).await;
                visitor
            });
        }
        tokio::time::timeout(ENTERING, stage.begin(count)).await.expect("all get in");
        tokio::time::sleep(Duration::from_millis(rand::random_range(200..1_000))).await;
        stage
    }

    async fn leave(&mut self, stage: &Stage) {
        stage.end();
        while let Some(visitor) = self.inside.join_next().await {
            self.visitors.push(visitor.unwrap());
        }
        self.sold = stage.sold();
        self.contested += stage.contested();
        self.unknown += self.visitors.iter().map(|visitor| visitor.history.unknown()).sum::<usize>();
    }

    /// What must hold once the program is back.
    async fn examine(&mut self, program: &Program, killed: Instant) {
        let stage = Stage::new(program, self.sold);
        join_all(self.visitors.iter_mut().map(|visitor| visitor.settle(&stage))).await;
        self.check(program).await;
        tokio::time::sleep((HOLD + NOTICED).saturating_sub(killed.elapsed())).await;
        let seats = self.observer.see_seats(&stage).await;
        let held: Vec<_> = seats.iter().filter(|(_, status)| status == "held").collect();
        assert!(held.is_empty(), "abandoned, and not free after {:?}: {held:?}", killed.elapsed());
        let told = program.admin(Method::GET, "/admin/invariants", None).await;
        assert_eq!(told["ok"], true, "{told:#}");
    }

    async fn check(&self, program: &Program) -> Checked {
        let histories: Vec<_> = self.visitors.iter().map(|visitor| &visitor.history).collect();
        checker::check(&program.database_url, &histories).await
    }
}
