//! The connections to Postgres: made however long that takes, lent to nobody inside another's transaction, and given up
//! where no answer comes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use anteroom::accounts::Password;
use anteroom::cli::seed::{Demo, seed};
use anteroom::clock;
use anteroom::ids::{Points, RoomName, UserId};
use anteroom::ledger;
use anteroom::queue::{self, Change};
use anteroom::store::Db;
use anteroom::store::audit::{self, Deed};
use anteroom::store::db::Limits;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{sleep, timeout};

use crate::support::{Road, TestService, database, redis_database, stores};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_long_to_connect_is_connected_all_the_same() {
    const CALLERS: u32 = 20;
    let direct = database().await;
    let road = Road::to(&direct).await;
    let settings = [("database_wait_ms", "250"), ("database_connections", "2"), ("login_wait_ms", "15000")];
    let service = TestService::fresh(&redis_database(), &road.url, &settings).await;
    let tokens = join_all((1..=CALLERS).map(|number| service.visitor(number))).await;

    // Twice as long as any request waits.
    road.delay(Duration::from_millis(500));
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

/// Guards the time-outs that Postgres is told when a connection is made: what cannot be seen from outside is told by a
/// view in the place of a table.
#[tokio::test]
async fn every_connection_has_its_time_outs_for_statements_locks_and_idle_transactions() {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for statement in [
        "alter table audit_log rename to deeds",
        "create view audit_log as select 1::bigint as id, now() as at, current_setting('statement_timeout') as actor,
             current_setting('lock_timeout') as action, current_setting('idle_in_transaction_session_timeout') as room,
             null::text as reason, null::jsonb as before, null::jsonb as after",
    ] {
        connection.execute(statement).await.unwrap();
    }
    let limits = Limits { connections: 1, wait: PATIENCE, statement: Duration::from_secs(10) };
    let shown = audit::list(&Db::new(&url, limits).unwrap(), None, None, 1).await.unwrap();
    let shown = (shown[0].actor.as_str(), shown[0].action.as_str(), shown[0].room.as_deref());
    assert_eq!(shown, ("10s", "2s", Some("5s")));
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
        let _ = audit::list(&db, None, None, 1).await;
        audit::list(&db, None, None, 1).await.unwrap();
    }
    db.close().await;
    assert_eq!(db.connections(), (0, 0));
}

/// Red when the time-outs of those who serve end a migration, or its wait for another.
#[tokio::test]
async fn the_tables_are_brought_up_to_date_however_long_that_takes() {
    let url = database().await;
    let limits = Limits { connections: 1, wait: PATIENCE, statement: Duration::from_millis(100) };
    let db = Db::new(&url, limits).unwrap();
    let mut another = PgConnection::connect(&url).await.unwrap();
    for statement in ["begin", "lock table _sqlx_migrations in access exclusive mode"] {
        another.execute(statement).await.unwrap();
    }
    let takes_long = async {
        for statement in ["select pg_sleep(0.5)", "commit"] {
            another.execute(statement).await.unwrap();
        }
    };
    let (migrated, ()) = tokio::join!(db.migrate(), takes_long);
    migrated.unwrap();
}

/// Red when a migration that this program does not have keeps it from starting: nobody could go back a version, and
/// an old process that ends while another version is rolled out would stay away.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_starts_on_the_tables_of_a_later_version() {
    let url = database().await;
    let later = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'of a later version', true, '', 0)";
    PgConnection::connect(&url).await.unwrap().execute(later).await.unwrap();
    let limits = Limits { connections: 1, wait: PATIENCE, statement: PATIENCE };
    Db::new(&url, limits).unwrap().migrate().await.unwrap();
    TestService::fresh(&redis_database(), &url, &[]).await.visitor(1).await;
}

/// Red without the deadlines of `store/pool`: neither is ever answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_hangs_is_given_up_in_time_and_asked_again_once_it_answers() {
    let road = Road::to(&database().await).await;
    let limits = Limits { connections: 2, wait: Duration::from_secs(10), statement: Duration::from_secs(1) };
    let db = Db::new(&road.url, limits).unwrap();
    let look = || audit::list(&db, None, None, 1);
    let (one, two) = tokio::join!(look(), look());
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    road.freeze();
    let demo = Demo { users: 1, password: Password::parse("demo pass").unwrap(), schedules: 0, seats: 1 };
    let hung = async { tokio::join!(look(), seed(&db, &demo)) };
    let (looked, begun) = timeout(PATIENCE, hung).await.expect("a statement and a transaction are given up in time");
    assert!(looked.is_err() && begun.is_err(), "{looked:?} {begun:?}");
    road.thaw();
    let thawed = clock::now();
    while look().await.is_err() {
        assert!(thawed.elapsed() < PATIENCE, "Postgres is not asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_postgres_hung_goes_on_once_it_answers() {
    let road = Road::to(&database().await).await;
    let settings = [("database_statement_ms", "2000"), ("database_wait_ms", "1000")];
    let service = TestService::fresh(&redis_database(), &road.url, &settings).await;
    let visitor = service.visitor(1).await;
    road.freeze();
    service.redis(&["DEL", "anteroom:{u:user00001}:balance"]);
    service.get("/points/balance", &visitor).await.refused(503, "unavailable");
    road.thaw();
    let thawed = clock::now();
    while service.post("/points/charge", &visitor, &json!({ "amount": 1 })).await.status != StatusCode::OK {
        assert!(thawed.elapsed() < PATIENCE, "the service does not go on");
    }
    service.get("/points/balance", &visitor).await.is(200);
}

/// Red when the connection is kept: a server that has become a replica refuses every write on it.
#[tokio::test]
async fn a_connection_that_may_only_read_is_replaced() {
    let url = database().await;
    let mut admin = PgConnection::connect(&stores().admin_database_url).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    let read_only = format!("alter database {name} set default_transaction_read_only = on");
    admin.execute(AssertSqlSafe(read_only)).await.unwrap();
    let limits = Limits { connections: 1, wait: PATIENCE, statement: PATIENCE };
    let db = Db::new(&url, limits).unwrap();
    let deed = || Deed { action: "test", ..Deed::default() };
    let refused = audit::note_alone(&db, deed()).await.unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    admin.execute(AssertSqlSafe(format!("alter database {name} reset default_transaction_read_only"))).await.unwrap();
    audit::note_alone(&db, deed()).await.unwrap();
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
