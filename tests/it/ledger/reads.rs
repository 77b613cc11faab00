//! Balances, what is sold, and what Redis must still be told.

use std::sync::Arc;
use std::time::Duration;

use anteroom::clock;
use anteroom::ids::{Points, RoomName};
use anteroom::ledger::{self, Owed};
use deadpool_redis::redis;
use futures_util::future::join_all;
use sqlx::Executor;

use super::{House, SCHEDULE};
use crate::support;

#[tokio::test]
async fn a_balance_is_right_after_each_movement_and_read_without_postgres() {
    let house = House::with(1, 1_000).await;
    let (ledger, user) = (house.ledger(), house.user(0));
    assert_eq!(ledger::balance(&ledger, &user).await.unwrap(), Some(Points(1_000)));
    ledger::charge(&ledger, &user, Points(5), None).await.unwrap();
    assert_eq!(ledger::balance(&ledger, &user).await.unwrap(), Some(Points(1_005)));
    let paid = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap();
    ledger::project(&ledger, &user, paid.balance, paid.version).await.unwrap();
    let mut connection = house.connection().await;
    for statement in ["begin", "lock table accounts in access exclusive mode"] {
        connection.execute(statement).await.unwrap();
    }
    assert_eq!(ledger::balance(&ledger, &user).await.unwrap(), Some(Points(905)));
}

/// Red without the comparison in `project_balance.lua`.
#[tokio::test]
async fn an_older_balance_does_not_replace_a_newer_one() {
    let house = House::with(1, 1_000).await;
    let (ledger, user) = (house.ledger(), house.user(0));
    for (balance, version, expected) in [(10, 5, 10), (9, 4, 10), (8, 5, 10), (7, 6, 7), (6, 10_000_000_000, 6)] {
        ledger::project(&ledger, &user, Points(balance), version).await.unwrap();
        assert_eq!(ledger::balance(&ledger, &user).await.unwrap(), Some(Points(expected)));
    }
}

/// Red when the copy does not say which run of Redis was told it, when nobody asks for that, and when the version of
/// another run is compared: then the copy is not replaced.
#[tokio::test]
async fn what_another_run_of_redis_was_told_counts_as_no_copy() {
    let house = House::with(1, 1_000).await;
    let (ledger, user) = (house.ledger(), house.user(0));
    ledger::project(&ledger, &user, Points(10), 5).await.unwrap();
    assert_eq!(ledger::balance(&ledger, &user).await.unwrap(), Some(Points(10)));
    let copy = format!("anteroom:{{u:{user}}}:balance");
    let mut direct = redis::Client::open(support::stores().redis_url.as_str()).unwrap().get_connection().unwrap();
    redis::cmd("HSET").arg(copy).arg("run").arg("another").exec(&mut direct).unwrap();
    assert_eq!(ledger::balance(&ledger, &user).await.unwrap(), Some(Points(1_000)));
    let mut connection = house.connection().await;
    for statement in ["begin", "lock table accounts in access exclusive mode"] {
        connection.execute(statement).await.unwrap();
    }
    // Another process: this one shares its reading of Postgres for a moment.
    assert_eq!(ledger::balance(&house.ledger(), &user).await.unwrap(), Some(Points(1_000)), "this run was told");
}

#[tokio::test]
async fn a_missing_balance_is_read_once_however_many_ask() {
    let house = House::with(1, 1_000).await;
    let (ledger, user) = (Arc::new(house.ledger()), house.user(0));
    let mut connection = house.connection().await;
    for statement in ["begin", "lock table accounts in access exclusive mode"] {
        connection.execute(statement).await.unwrap();
    }
    let asking = (0..50).map(|_| {
        let (ledger, user) = (Arc::clone(&ledger), user.clone());
        tokio::spawn(async move { ledger::balance(&ledger, &user).await.unwrap() })
    });
    let asking: Vec<_> = asking.collect();
    house.until_waiting(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let waiting = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(house.count(waiting).await, 1);
    connection.execute("rollback").await.unwrap();
    for balance in join_all(asking).await {
        assert_eq!(balance.unwrap(), Some(Points(1_000)));
    }
}

#[tokio::test]
async fn what_is_sold_and_who_paid_can_be_read_again() {
    let house = House::with(2, 1_000).await;
    let ledger = house.ledger();
    let before = clock::utc() - chrono::TimeDelta::minutes(1);
    let first = ledger::pay(&ledger, house.order(0, "r1", &[10, 2]), None).await.unwrap();
    let second = ledger::pay(&ledger, house.order(0, "r2", &[3]), None).await.unwrap();
    let mut sold = ledger::sold_seats(&ledger, SCHEDULE).await.unwrap();
    sold.sort_by(|a, b| a.seat.cmp(&b.seat));
    let named: Vec<_> = sold.iter().map(|s| (s.seat.as_str(), s.reservation.as_str(), s.user.clone())).collect();
    let user = house.user(0);
    assert_eq!(named, [("S10", "r1", user.clone()), ("S2", "r1", user.clone()), ("S3", "r2", user.clone())]);
    let of_user = ledger::payments_of_user(&ledger, &user).await.unwrap();
    assert_eq!(of_user, [second.payment.clone(), first.payment.clone()].map(in_plans_order));
    assert!(ledger::payments_of_user(&ledger, &house.user(1)).await.unwrap().is_empty());
    let known = ledger::payment_of(&ledger, &first.payment.reservation).await.unwrap();
    assert_eq!(known, Some(in_plans_order(first.payment.clone())));

    let main = RoomName::parse("main").unwrap();
    let paid = ledger::paid_since(&ledger, &main, before).await.unwrap();
    assert_eq!(paid, [(user, second.payment.paid_at)]);
    assert!(ledger::paid_since(&ledger, &main, clock::utc()).await.unwrap().is_empty());
    assert!(ledger::paid_since(&ledger, &RoomName::parse("other").unwrap(), before).await.unwrap().is_empty());
}

fn in_plans_order(mut payment: ledger::Payment) -> ledger::Payment {
    payment.seats.sort_by_key(|seat| seat.as_str()[1..].parse::<u32>().unwrap());
    payment
}

/// Red when a row tells the balance that it was written with: of two movements the later one may have been told before.
#[tokio::test]
async fn a_row_that_was_left_tells_the_balance_of_now() {
    let house = House::with(1, 1_000).await;
    let ledger = house.ledger();
    ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap();
    ledger::charge(&ledger, &house.user(0), Points(5), None).await.unwrap();
    let_time_pass(&house).await;
    let due = ledger::outbox_due(&ledger, 10).await.unwrap();
    let [due] = due.as_slice() else { panic!("{due:?}") };
    let Owed::Settle(settle) = &due.owed else { panic!("{due:?}") };
    assert_eq!((settle.changed.balance, settle.changed.version), (Points(905), 3));
}

async fn let_time_pass(house: &House) {
    house.connection().await.execute("update outbox set due_at = now()").await.unwrap();
}

#[tokio::test]
async fn what_redis_was_not_told_of_comes_again_until_it_is() {
    let house = House::with(1, 1_000).await;
    let ledger = house.ledger();
    let charged = ledger::charge(&ledger, &house.user(0), Points(5), None).await.unwrap();
    let paid = ledger::pay(&ledger, house.order(0, "r1", &[1, 2]), None).await.unwrap();
    // The payment took the charge's row along: Redis has the balance already.
    assert_eq!(house.count(&format!("outbox where id = '{}'", charged.entry)).await, 0);
    assert!(ledger::outbox_due(&ledger, 10).await.unwrap().is_empty(), "whoever paid has a moment to tell Redis");
    let_time_pass(&house).await;
    let due = ledger::outbox_due(&ledger, 10).await.unwrap();
    let [due] = due.as_slice() else { panic!("{due:?}") };
    let Owed::Settle(settle) = &due.owed else { panic!("{due:?}") };
    assert_eq!((due.id, &settle.reservation_id), (paid.payment.id, &paid.payment.reservation));
    assert_eq!((&settle.seat_ids, settle.schedule_id, settle.attempt_id.as_str()), (&paid.payment.seats, 7, "first"));
    assert_eq!((settle.changed.balance, settle.changed.version), (Points(805), 3));
    assert!(ledger::outbox_due(&ledger, 10).await.unwrap().is_empty(), "it is put off while someone is at it");
    let_time_pass(&house).await;
    assert_eq!(ledger::outbox_due(&ledger, 10).await.unwrap().len(), 1, "nobody said that it was done");
    assert_eq!(ledger::outbox_pending(&ledger).await.unwrap().0, 1);
    ledger::outbox_done(&ledger, paid.payment.id);
    let_time_pass(&house).await;
    assert!(ledger::outbox_due(&ledger, 10).await.unwrap().is_empty());
    assert_eq!(house.count("outbox").await, 0);
}
