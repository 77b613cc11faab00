//! The checks of the invariants see what they are there for.

use std::sync::Arc;
use std::time::Duration;

use anteroom::config::Config;
use anteroom::ids::Points;
use anteroom::ledger::{self, Ledger, Pace, Settings};
use anteroom::store::db::Limits;
use anteroom::store::{Db, Redis};
use sqlx::{AssertSqlSafe, Executor};

use super::House;
use crate::support;

/// Each way to break the books, and the check that must see it. `replica` switches triggers and foreign keys off.
const BROKEN: &[(&str, &str)] = &[
    (
        "alter table payment_seats drop constraint payment_seats_sold_once;
         insert into payment_seats select * from payment_seats limit 1",
        "I1-seat-sold-once",
    ),
    ("update accounts set balance = balance + 1", "I2-balance-is-sum-of-entries"),
    ("delete from ledger_entries where kind = 'charge' and side = 'shop'", "I3-both-sides"),
    ("update ledger_entries set amount = amount - 1 where kind = 'charge' and side = 'shop'", "I3-both-sides"),
    ("update accounts set balance = 0", "I3-points-conserved"),
    ("delete from ledger_entries where kind = 'payment'", "I3-payment-has-entries"),
    ("update payments set amount = amount + 1", "I3-payment-has-entries"),
    ("delete from payments", "I3-payment-has-entries"),
    ("delete from payment_seats", "I3-sold-seat-has-payment"),
    ("update payment_seats set payment_id = gen_random_uuid()", "I3-sold-seat-has-payment"),
    (
        "alter table payments drop constraint payments_reservation_once;
         insert into payments select gen_random_uuid(), reservation_id, user_id, schedule_id, amount, attempt_id, paid_at
         from payments",
        "I5-reservation-paid-once",
    ),
    ("update payment_attempts set state = 'void'", "I5-paid-by-its-attempt"),
    (
        "insert into payment_attempts (reservation_id, attempt_id, state) values ('r9', 'first', 'paid')",
        "I5-paid-by-its-attempt",
    ),
];

#[tokio::test]
async fn each_way_to_break_the_books_is_seen() {
    for (break_books, expected) in BROKEN {
        let house = House::with(2, 1_000).await;
        let ledger = house.ledger();
        ledger::charge(&ledger, &house.user(0), Points(10), None).await.unwrap();
        ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap();
        house.sound(&ledger).await;
        let mut connection = house.connection().await;
        connection.execute("set session_replication_role = replica").await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(*break_books))).await.unwrap();
        let checks = ledger::check(&ledger, Pace { rests: 1 }).await.unwrap();
        let seen = checks.iter().find(|check| check.name == *expected).unwrap();
        assert!(!seen.ok, "{break_books}: {checks:?}");
    }
}

/// Guards the last word on who owns a seat, whatever the program decides.
#[tokio::test]
async fn the_constraint_of_sold_seats_refuses_a_second_owner() {
    let house = House::with(2, 1_000).await;
    let ledger = house.ledger();
    for (user, reservation, seat) in [(0, "r1", 1), (1, "r2", 2)] {
        ledger::pay(&ledger, house.order(user, reservation, &[seat]), None).await.unwrap();
    }
    let second = "insert into payment_seats select id, 7, 'S1' from payments where reservation_id = 'r2'";
    let refused = house.connection().await.execute(second).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("payment_seats_sold_once"));
}

/// Red when they have a statement's time: on a large table they would never end.
#[tokio::test]
async fn looking_at_everything_may_take_longer_than_a_statement() {
    let house = House::with(1, 1_000).await;
    ledger::pay(&house.ledger(), house.order(0, "r1", &[1]), None).await.unwrap();
    let mut connection = house.connection().await;
    for statement in [
        "alter table payment_seats rename to sold",
        "create view payment_seats as select sold.* from sold cross join (select pg_sleep(0.3)) as slow",
    ] {
        connection.execute(statement).await.unwrap();
    }
    let limits = Limits { connections: 1, wait: Duration::from_secs(5), statement: Duration::from_millis(100) };
    let redis = Redis::new(&support::stores().redis_url, 1, Duration::from_secs(5)).unwrap();
    let db = Db::new(&house.url, limits).unwrap();
    let hasty = Ledger::new(db, Arc::new(redis), Settings::of(&Config::default()));
    house.sound(&hasty).await;
}

#[tokio::test]
async fn what_was_written_in_the_ledger_stays() {
    let house = House::with(1, 1_000).await;
    let mut connection = house.connection().await;
    for change in ["update ledger_entries set amount = 1", "delete from ledger_entries", "truncate ledger_entries"] {
        let refused = connection.execute(change).await.unwrap_err();
        assert!(refused.to_string().contains("never changed"), "{refused}");
    }
}
