//! Many operations in one transaction, and many transactions side by side.

use std::sync::Arc;
use std::time::Duration;

use anteroom::config::Config;
use anteroom::error::Fault;
use anteroom::ids::{Points, SeatId};
use anteroom::ledger::{self, Charged, Ledger, PayOrder, Refusal, Settings};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::PgConnection;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::proxy::{Cut, Proxy};
use super::{House, key, ledger_at};

/// Keeps both batches that may be under way busy with accounts 8 and 9: what comes now forms one batch.
async fn gather(house: &House, ledger: &Arc<Ledger>) -> PgConnection {
    let held = house.hold_back(&[8, 9]).await;
    for (user, waiting) in [(8, 1), (9, 2)] {
        drop(charge(house, ledger, user, 1));
        house.until_waiting(waiting).await;
    }
    held
}

fn charge(house: &House, ledger: &Arc<Ledger>, user: usize, amount: i64) -> JoinHandle<Result<Charged, Refusal>> {
    let (ledger, user) = (Arc::clone(ledger), house.user(user));
    tokio::spawn(async move { ledger::charge(&ledger, &user, Points(amount), None).await })
}

fn pay(ledger: &Arc<Ledger>, order: PayOrder) -> JoinHandle<Result<ledger::Paid, Refusal>> {
    let ledger = Arc::clone(ledger);
    tokio::spawn(async move { ledger::pay(&ledger, order, None).await })
}

/// Until everything that was spawned has reached the queue.
async fn until_queued() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_batch_is_decided_in_order_of_arrival() {
    let house = House::with(10, 100).await;
    let ledger = Arc::new(house.ledger());
    let held = gather(&house, &ledger).await;
    let first = pay(&ledger, house.order(0, "r1", &[1]));
    let loser = pay(&ledger, house.order(1, "r2", &[1, 2]));
    let again = pay(&ledger, PayOrder { attempt: "second".into(), ..house.order(0, "r1", &[1]) });
    let poor = pay(&ledger, house.order(0, "r3", &[3]));
    let charged = charge(&house, &ledger, 0, 100);
    let rich = pay(&ledger, PayOrder { attempt: "second".into(), ..house.order(0, "r3", &[3]) });
    until_queued().await;
    drop(held);
    let (first, again) = (first.await.unwrap().unwrap(), again.await.unwrap().unwrap());
    assert!(first.new && !again.new && first.payment == again.payment);
    assert!(matches!(loser.await.unwrap(), Err(Refusal::SeatSold { .. })));
    assert!(matches!(poor.await.unwrap(), Err(Refusal::Insufficient { shortfall: Points(100), .. })));
    assert_eq!(charged.await.unwrap().unwrap().balance, Points(100));
    assert_eq!(rich.await.unwrap().unwrap().balance, Points(0));
    let transactions = "(select distinct paid_at from payments) as transactions";
    assert_eq!(house.count(transactions).await, 1, "they were one batch");
    house.sound(&ledger).await;
}

/// Red when `run` answers all with the batch's fault instead of trying each alone.
#[tokio::test]
async fn an_operation_that_breaks_its_batch_fails_alone() {
    let house = House::with(10, 1_000).await;
    let ledger = Arc::new(house.ledger());
    let held = gather(&house, &ledger).await;
    let charged = charge(&house, &ledger, 0, 5);
    let breaking = pay(&ledger, house.order(1, "r1", &[999]));
    let paid = pay(&ledger, house.order(2, "r2", &[2]));
    until_queued().await;
    drop(held);
    assert!(matches!(breaking.await.unwrap(), Err(Refusal::Fault(Fault::Postgres(_)))));
    assert_eq!(charged.await.unwrap().unwrap().balance, Points(1_005));
    assert_eq!(paid.await.unwrap().unwrap().balance, Points(900));
    house.sound(&ledger).await;
}

async fn is_locked(house: &House, row: &str) -> bool {
    house.count(&format!("(select from {row} for update skip locked) as free")).await == 0
}

async fn until_locked(house: &House, row: &str) {
    let locked = async {
        while !is_locked(house, row).await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), locked).await.expect("the row is locked");
}

/// Red when `apply_ledger_batch` locks in order of arrival, or seats before accounts: then batches can deadlock.
#[tokio::test]
async fn locks_are_taken_accounts_first_and_each_in_order() {
    let house = House::with(10, 1_000).await;
    let ledger = Arc::new(house.ledger());
    let held = gather(&house, &ledger).await;
    let mut on_account = house.hold_back(&[5]).await;
    let mut on_seat = house.connection().await;
    for statement in ["begin", "select from seats where schedule_id = 7 and label = 'S3' for update"] {
        sqlx::query(statement).execute(&mut on_seat).await.unwrap();
    }
    let arrivals = [(5, "r5", 3), (4, "r4", 2), (6, "r6", 4)];
    let paid: Vec<_> = arrivals.iter().map(|(user, r, seat)| pay(&ledger, house.order(*user, r, &[*seat]))).collect();
    until_queued().await;
    drop(held);

    let (account, seat) = (
        |user| format!("accounts where user_id = '{}'", house.user(user)),
        |seat| format!("seats where schedule_id = 7 and label = 'S{seat}'"),
    );
    until_locked(&house, &account(4)).await;
    house.until_waiting(1).await;
    assert!(!is_locked(&house, &account(6)).await, "the one behind is not locked yet");
    assert!(!is_locked(&house, &seat(2)).await, "no seat is locked before the accounts");
    sqlx::query("rollback").execute(&mut on_account).await.unwrap();
    until_locked(&house, &seat(2)).await;
    assert!(is_locked(&house, &account(6)).await);
    assert!(!is_locked(&house, &seat(4)).await, "the one behind is not locked yet");
    drop(on_seat);
    for paid in paid {
        assert!(paid.await.unwrap().is_ok());
    }
}

/// Two processes, five accounts, few seats: every batch crosses others. Each seat is sold once and nothing is lost.
/// Without the lock on seats this stays green, as the unique constraint breaks the batch and each is then tried alone;
/// the test of the locks above is the one that turns red.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_batches_of_two_processes_neither_deadlock_nor_sell_twice() {
    let house = House::with(5, 1_000_000).await;
    let processes = [Arc::new(house.ledger()), Arc::new(house.ledger())];
    let mut random = StdRng::seed_from_u64(20_261_122);
    let mut payments = Vec::new();
    for n in 0..600 {
        let seats: Vec<usize> = (0..3).map(|_| random.random_range(1..=60)).collect();
        let mut order = house.order(random.random_range(0..5), &format!("r{n}"), &seats);
        order.seats.dedup();
        order.seats.sort();
        order.seats.dedup();
        payments.push(pay(&processes[n % 2], order));
    }
    let mut sold: Vec<SeatId> = Vec::new();
    for paid in join_all(payments).await {
        match paid.unwrap() {
            Ok(paid) => sold.extend(paid.payment.seats),
            Err(Refusal::SeatSold { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    let all = sold.len();
    sold.sort();
    sold.dedup();
    assert_eq!(all, sold.len(), "a seat was sold twice");
    assert!(all > 20, "too little was contested");
    house.sound(&processes[0]).await;
    let broken: i64 = house.count("pg_stat_database where datname = current_database() and deadlocks > 0").await;
    assert_eq!(broken, 0);
}

#[tokio::test]
async fn beyond_the_queue_operations_are_refused_at_once() {
    let house = House::with(10, 0).await;
    let settings = Settings { batch: 1, queue: 2, ..Settings::of(&Config::default()) };
    let ledger = Arc::new(ledger_at(&house.url, settings));
    let held = gather(&house, &ledger).await;
    // One is in the hand of the task that waits for a batch to end, two are in the queue.
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(charge(&house, &ledger, 0, 1));
        until_queued().await;
    }
    let refused = ledger::charge(&ledger, &house.user(0), Points(1), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Fault(Fault::Overload(_))), "{refused:?}");
    drop(held);
    for charged in taken {
        assert!(charged.await.unwrap().is_ok());
    }
    assert_eq!(house.balance(0).await, 3);
}

/// Red when a batch takes up whatever waits: who has been told to come again would be charged all the same.
#[tokio::test]
async fn what_has_waited_for_too_long_is_refused_and_never_sent() {
    let house = House::with(10, 0).await;
    let settings = Settings { batch: 1, patience: Duration::from_millis(500), ..Settings::of(&Config::default()) };
    let ledger = Arc::new(ledger_at(&house.url, settings));
    let held = gather(&house, &ledger).await;
    // Two at a time wait for a lock in vain, so the fifth comes too late.
    for user in [8, 9, 8, 9] {
        drop(charge(&house, &ledger, user, 1));
        until_queued().await;
    }
    let late = ledger::charge(&ledger, &house.user(0), Points(1), None).await.unwrap_err();
    assert!(matches!(late, Refusal::Fault(Fault::Overload(_))), "{late:?}");
    drop(held);
    assert_eq!(house.balance(0).await, 0);
}

/// Red when what became of a lost batch is asked in order of arrival, or one after another.
#[tokio::test]
async fn after_a_lost_batch_nobody_waits_for_the_others() {
    let house = House::with(10, 1_000).await;
    let proxy = Proxy::before(&house.url).await;
    let ledger = Arc::new(ledger_at(&proxy.url, Settings::of(&Config::default())));
    let held = gather(&house, &ledger).await;
    let locked = house.hold_back(&[0]).await;
    let (first, second) = (charge(&house, &ledger, 0, 5), charge(&house, &ledger, 1, 5));
    let paying = pay(&ledger, house.order(2, "r1", &[1]));
    until_queued().await;
    proxy.arm(Cut::Lost);
    drop(held);
    let unknown = timeout(Duration::from_secs(4), paying).await.expect("a payment waits for no charge").unwrap();
    assert!(matches!(unknown, Err(Refusal::Unknown)), "{unknown:?}");
    let second = timeout(Duration::from_secs(4), second).await.expect("a charge waits for no other").unwrap();
    assert_eq!(second.unwrap().balance, Points(1_005));
    drop(locked);
    assert_eq!(first.await.unwrap().unwrap().balance, Points(1_005));
    house.sound(&ledger).await;
}

#[tokio::test]
async fn a_ledger_that_closes_answers_what_it_accepted() {
    let house = House::with(10, 0).await;
    let ledger = Arc::new(house.ledger());
    let held = gather(&house, &ledger).await;
    let accepted: Vec<_> = (0..20).map(|n| charge(&house, &ledger, n % 3, 1)).collect();
    until_queued().await;
    let closing = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.close().await }
    });
    until_queued().await;
    let refused = ledger::charge(&ledger, &house.user(0), Points(1), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Fault(Fault::Overload(_))), "{refused:?}");
    drop(held);
    closing.await.unwrap();
    for charged in accepted {
        assert!(charged.await.unwrap().is_ok());
    }
}

/// Red when `submit` or `transaction::write` does the work in its caller's future.
#[tokio::test]
async fn what_was_begun_goes_on_when_its_caller_hangs_up() {
    let house = House::with(1, 0).await;
    let ledger = Arc::new(house.ledger());
    let held = house.hold_back(&[0]).await;
    let charging = charge(&house, &ledger, 0, 5);
    house.until_waiting(1).await;
    let mut doubting = house.connection().await;
    let void = "insert into payment_attempts (reservation_id, attempt_id, state) values ('r1', 'first', 'void')";
    for statement in ["begin", void] {
        sqlx::query(statement).execute(&mut doubting).await.unwrap();
    }
    let settling = tokio::spawn({
        let (ledger, reservation) = (Arc::clone(&ledger), house.order(0, "r1", &[1]).reservation);
        async move { ledger::settle_unknown(&ledger, &reservation, "first").await }
    });
    house.until_waiting(2).await;
    charging.abort();
    settling.abort();
    assert!(charging.await.is_err() && settling.await.is_err());
    drop(held);
    sqlx::query("rollback").execute(&mut doubting).await.unwrap();
    ledger.close().await;
    assert_eq!(house.balance(0).await, 5);
    assert_eq!(house.count("payment_attempts where state = 'void'").await, 1);
}

/// The same at random moments. It is no proof of a guard: it stays green when the work is done in the caller's future and
/// `after_release` does not roll back. The test above is the one that turns red.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_hang_up_leave_nothing_half_done() {
    let house = House::with(3, 0).await;
    let ledger = Arc::new(house.ledger());
    let mut random = StdRng::seed_from_u64(1);
    let mut callers = Vec::new();
    for n in 0..500 {
        let (ledger, user, order) =
            (Arc::clone(&ledger), house.user(n % 3), house.order(n % 3, &format!("r{n}"), &[n % 200 + 1]));
        let operation = async move {
            match n % 4 {
                0 => drop(ledger::settle_unknown(&ledger, &order.reservation, "void").await.unwrap()),
                1 => drop(ledger::sweep_keys(&ledger).await.unwrap()),
                _ => return ledger::charge(&ledger, &user, Points(100), Some(key(&n.to_string(), 1))).await.ok(),
            }
            None
        };
        callers.push(tokio::spawn(timeout(Duration::from_micros(random.random_range(0..60_000)), operation)));
        // About as fast as they are done, so that some are and some are not.
        sleep(Duration::from_millis(2)).await;
    }
    let (mut hung_up, mut acknowledged) = (0, Vec::new());
    for caller in callers {
        match caller.await.unwrap() {
            Ok(charged) => acknowledged.extend(charged),
            Err(_) => hung_up += 1,
        }
    }
    ledger.close().await;
    assert!(hung_up > 20 && acknowledged.len() > 20, "{hung_up} hung up, {} were answered", acknowledged.len());
    let entries: Vec<String> = acknowledged.iter().map(|charged| charged.entry.to_string()).collect();
    let kept: i64 = sqlx::query_scalar("select count(*) from ledger_entries where reference = any ($1)")
        .bind(&entries)
        .fetch_one(&mut house.connection().await)
        .await
        .unwrap();
    assert_eq!(usize::try_from(kept).unwrap(), 2 * entries.len(), "an answered charge is lost");
    let idle = "pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    assert_eq!(house.count(idle).await, 0);
    house.sound(&ledger).await;
}
