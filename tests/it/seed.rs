//! The demo data.

use std::sync::Arc;
use std::time::Duration;

use anteroom::accounts::Password;
use anteroom::cli::seed::{Demo, seed};
use anteroom::config::Config;
use anteroom::ledger::{self, Ledger, Pace, Settings};
use anteroom::store::db::Limits;
use anteroom::store::{Db, Redis};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support;

async fn value(url: &str, what: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let statement = AssertSqlSafe(format!("select ({what})::bigint"));
    sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn the_demo_data_keeps_the_invariants_and_can_be_put_there_twice() {
    let url = support::database().await;
    let limits = Limits { connections: 3, wait: Duration::from_secs(5), statement: Duration::from_secs(5) };
    let db = Db::new(&url, limits).unwrap();
    let mut demo = Demo { users: 20, password: Password::parse("demo pass").unwrap(), schedules: 2, seats: 60 };
    assert_eq!(seed(&db, &demo).await.unwrap(), 21);
    demo.users = 25;
    assert_eq!(seed(&db, &demo).await.unwrap(), 5);

    for (what, expected) in [
        ("select count(*) from users where username between 'user00001' and 'user00025'", 25),
        ("select sum(balance) from accounts where user_id like 'user%'", 25_000_000),
        ("select balance from accounts where user_id = 'testuser'", 995_000),
        ("select count(*) from schedules where starts_at > now()", 9),
        ("select count(*) from seats where schedule_id = 12345", 1_300),
        ("select price from seats where schedule_id = 12345 and label = 'A1'", 5_000),
        ("select ordinal from seats where schedule_id = 12345 and label = 'Z50'", 1_300),
        ("select count(distinct label) from seats where schedule_id = 20002", 5_000),
        ("select count(*) from seats where schedule_id = 30002", 60),
        ("select count(*) from seats where schedule_id = 12348", 1),
        ("select count(*) from payments where reservation_id = 'res123' and user_id = 'testuser'", 1),
        ("select count(*) from rooms where name = 'main' and state = 'open' and capacity = 2000", 1),
    ] {
        assert_eq!(value(&url, what).await, expected, "{what}");
    }
    let redis = Redis::new(&support::stores().redis_url, 1, Duration::from_secs(5)).unwrap();
    let ledger = Ledger::new(db, Arc::new(redis), Settings::of(&Config::default()));
    assert!(ledger::check(&ledger, Pace { rests: 0 }).await.unwrap().iter().all(|check| check.ok));
}
