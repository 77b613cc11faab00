//! The connections to Postgres: made however long that takes, and lent to nobody inside another's transaction.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use anteroom::clock;
use anteroom::ids::{Points, RoomName, UserId};
use anteroom::ledger;
use anteroom::queue::{self, Change};
use anteroom::store::Db;
use anteroom::store::db::Limits;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::support::{TestService, database, redis_database, stores};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to Postgres on which a connection takes as long as it is told.
struct SlowRoad {
    url: String,
    delay_ms: Arc<AtomicU64>,
}

impl SlowRoad {
    async fn to(url: &str) -> Self {
        let (rest, database) = url.rsplit_once('/').unwrap();
        let (credentials, server) = rest.rsplit_once('@').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}/{database}", listener.local_addr().unwrap());
        let (server, delay_ms) = (server.to_owned(), Arc::new(AtomicU64::new(0)));
        let delay = Arc::clone(&delay_ms);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, delay) = (server.clone(), Duration::from_millis(delay.load(Ordering::Relaxed)));
                tokio::spawn(async move {
                    sleep(delay).await;
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, delay_ms }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_long_to_connect_is_connected_all_the_same() {
    const CALLERS: u32 = 20;
    let direct = database().await;
    let road = SlowRoad::to(&direct).await;
    let settings = [("database_wait_ms", "250"), ("database_connections", "2"), ("login_wait_ms", "15000")];
    let service = TestService::fresh(&redis_database(), &road.url, &settings).await;
    let tokens = join_all((1..=CALLERS).map(|number| service.visitor(number))).await;

    // Twice as long as any request waits.
    road.delay_ms.store(500, Ordering::Relaxed);
    cut_all(&direct).await;
    let began = clock::now();
    let charging = tokens.iter().map(|token| async {
        while service.post("/points/charge", token, &json!({ "amount": 1 })).await.status != StatusCode::OK {
            assert!(began.elapsed() < PATIENCE, "the service has not reached Postgres again");
        }
    });
    join_all(charging).await;
    let another = TestService::on(&service.redis_url, &road.url, &settings).await;
    another.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_drops_a_future_leaves_nobody_inside_its_transaction() {
    /// More than a change is ever woken.
    const WAKINGS: usize = 12;
    let service = TestService::start(&[("database_connections", "2")]).await;
    let app = &service.service.app;
    let room = app.queue.room(&RoomName::parse("main").unwrap()).unwrap();
    let user = UserId::parse("user00001").unwrap();
    let mut database = PgConnection::connect(&service.database_url).await.unwrap();
    for wakings in (0..=WAKINGS).chain(0..=WAKINGS) {
        let change = Change { capacity: Some(100), ..Change::default() };
        drop_after(wakings, queue::change(&app.queue, &room.name, None, &change, queue::Base::Present)).await;
        // Both connections are lent again, and what is acknowledged is there for others to see.
        let charges = (0..4).map(|_| ledger::charge(&app.ledger, &user, Points(1), None));
        for charged in join_all(charges).await {
            let entry = charged.unwrap().entry.to_string();
            let seen = "select count(*) from ledger_entries where reference = $1 and side = 'user'";
            let seen: i64 = sqlx::query_scalar(seen).bind(entry).fetch_one(&mut database).await.unwrap();
            assert_eq!(seen, 1, "a charge was acknowledged and not committed, {wakings} wakings into a change");
        }
        let halves = "select version - 1 - (select count(*) from audit_log where room = name) from rooms";
        let halves: i64 = sqlx::query_scalar(halves).fetch_one(&mut database).await.unwrap();
        assert_eq!(halves, 0, "a change without its note, or a note without its change, {wakings} wakings into it");
    }
    let changed: i64 = sqlx::query_scalar("select count(*) from audit_log").fetch_one(&mut database).await.unwrap();
    assert!(changed > 0, "no change was ever done: nothing is proven");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ended_are_replaced() {
    const CONNECTIONS: u32 = 3;
    let url = database().await;
    let limits = Limits { connections: CONNECTIONS, wait: PATIENCE, statement: PATIENCE };
    let db = Db::new(&url, limits).unwrap();
    for _ in 0..3 {
        until(|| db.connections() == (CONNECTIONS, 3)).await;
        cut_all(&url).await;
        // The first to use a connection that has just been cut may see that; nobody after it does.
        let _ = db.migrate().await;
        db.migrate().await.unwrap();
    }
    db.close().await;
    assert_eq!(db.connections(), (0, 0));
}

#[tokio::test]
async fn a_postgres_that_refuses_us_is_named_as_the_reason() {
    let url = database().await.replace("postgres://anteroom:", "postgres://nobody:");
    let limits = Limits { connections: 2, wait: Duration::from_secs(1), statement: PATIENCE };
    let refused = Db::new(&url, limits).unwrap().migrate().await.unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
}

/// Drops a future when it was woken so many times and is not done.
async fn drop_after<T>(wakings: usize, future: impl Future<Output = T>) {
    let (mut future, mut woken) = (pin!(future), 0);
    poll_fn(|cx| {
        if woken > wakings {
            return Poll::Ready(());
        }
        woken += 1;
        future.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// Ends every connection to a database.
async fn cut_all(url: &str) {
    let mut admin = PgConnection::connect(&stores().admin_database_url).await.unwrap();
    let cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1";
    sqlx::query(cut).bind(url.rsplit('/').next()).execute(&mut admin).await.unwrap();
}

async fn until(reached: impl Fn() -> bool) {
    let began = clock::now();
    while !reached() {
        assert!(began.elapsed() < PATIENCE, "never reached");
        sleep(Duration::from_millis(10)).await;
    }
}
