//! Batches whose outcome is unknown.

use std::sync::Arc;

use anteroom::config::Config;
use anteroom::ids::{Points, ReservationId};
use anteroom::ledger::{self, Ledger, PayOrder, Refusal, Settings, Settled};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::proxy::{Cut, Proxy};
use super::{House, key, ledger_at};
use crate::support::contract::until;
use crate::support::{TestService, database, redis_database};

async fn cut_off(house: &House, cut: Cut) -> (Proxy, Arc<Ledger>) {
    let proxy = Proxy::before(&house.url).await;
    let ledger = Arc::new(ledger_at(&proxy.url, Settings::of(&Config::default())));
    // Connected before the cut is armed.
    ledger::payment_of(&ledger, &reservation()).await.unwrap();
    proxy.arm(cut);
    (proxy, ledger)
}

fn reservation() -> ReservationId {
    ReservationId::parse("r1").unwrap()
}

/// Red when an unknown charge is answered instead of sent again (lost), when it is sent again under a new id, and
/// without the look at `ledger_entries` in `apply_charge` (a unique violation, for ever).
#[tokio::test]
async fn a_charge_whose_commit_is_in_doubt_counts_once() {
    for cut in [Cut::Lost, Cut::Unanswered] {
        for key in [None, Some(key("k", 1))] {
            let house = House::with(1, 1_000).await;
            let (_proxy, ledger) = cut_off(&house, cut).await;
            let charged = ledger::charge(&ledger, &house.user(0), Points(5), key).await.unwrap();
            assert_eq!((charged.balance, charged.replayed), (Points(1_005), false), "{cut:?}");
            assert_eq!((house.balance(0).await, house.count("ledger_entries where kind = 'charge'").await), (1_005, 2));
            house.sound(&ledger).await;
        }
    }
}

/// Red without the lock on the account: the charge is decided a second time while its first commit is on the way.
#[tokio::test]
async fn a_charge_whose_commit_comes_late_counts_once() {
    let house = House::with(1, 1_000).await;
    let (_proxy, ledger) = cut_off(&house, Cut::Left).await;
    let held_back = house.hold_back(&[0]).await;
    let charging = tokio::spawn({
        let (ledger, user) = (Arc::clone(&ledger), house.user(0));
        async move { ledger::charge(&ledger, &user, Points(5), None).await }
    });
    // The one that was left, and the one that was sent again.
    house.until_waiting(2).await;
    drop(held_back);
    assert_eq!(charging.await.unwrap().unwrap().balance, Points(1_005));
    assert_eq!(house.count("ledger_entries where kind = 'charge'").await, 2);
}

#[tokio::test]
async fn a_payment_whose_commit_was_lost_is_void_for_ever() {
    let house = House::with(1, 1_000).await;
    let (_proxy, ledger) = cut_off(&house, Cut::Lost).await;
    let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unknown), "{refused:?}");
    for _ in 0..2 {
        assert_eq!(ledger::settle_unknown(&ledger, &reservation(), "first").await.unwrap(), Settled::Void);
        let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap_err();
        assert!(matches!(refused, Refusal::AttemptVoid), "{refused:?}");
    }
    assert_eq!(house.balance(0).await, 1_000);
    let again = PayOrder { attempt: "second".into(), ..house.order(0, "r1", &[1]) };
    assert!(ledger::pay(&ledger, again, None).await.unwrap().new);
    house.sound(&ledger).await;
}

#[tokio::test]
async fn a_payment_whose_answer_was_lost_stands() {
    let house = House::with(1, 1_000).await;
    let (_proxy, ledger) = cut_off(&house, Cut::Unanswered).await;
    let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unknown), "{refused:?}");
    let Settled::Paid(payment) = ledger::settle_unknown(&ledger, &reservation(), "first").await.unwrap() else {
        panic!("the payment is committed");
    };
    assert_eq!((payment.amount, house.balance(0).await), (Points(100), 900));
    assert_eq!(ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap().payment, payment);
    house.sound(&ledger).await;
}

/// Red when settling looks instead of writing: it sees no payment, says void, and then the commit comes.
#[tokio::test]
async fn settling_waits_for_a_commit_that_comes_late() {
    let house = House::with(1, 1_000).await;
    let (_proxy, ledger) = cut_off(&house, Cut::Left).await;
    // What was left waits here, after its attempt is written.
    let mut held_back = house.connection().await;
    sqlx::query("begin").execute(&mut held_back).await.unwrap();
    sqlx::query("insert into payments values (gen_random_uuid(), 'r1', $1, 7, 100, 'another')")
        .bind(house.user(0).as_str())
        .execute(&mut held_back)
        .await
        .unwrap();
    let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unknown), "{refused:?}");
    // Who settles before it has begun would be the first, and right to call it void.
    house.until_waiting(1).await;
    let settling = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger::settle_unknown(&ledger, &reservation(), "first").await }
    });
    house.until_waiting(2).await;
    drop(held_back);
    assert!(matches!(settling.await.unwrap().unwrap(), Settled::Paid(_)));
    assert_eq!(house.balance(0).await, 900);
}

/// The other order, and red without `on conflict` meeting the void row: who doubts comes first, and the payment that
/// was still on the way takes nothing.
#[tokio::test]
async fn a_payment_waits_for_one_who_settles_first() {
    let house = House::with(1, 1_000).await;
    for (end, pays) in [("rollback", true), ("commit", false)] {
        let ledger = Arc::new(house.ledger());
        let order = PayOrder { attempt: end.into(), ..house.order(0, "r1", &[1]) };
        let order = PayOrder { reservation: ReservationId::parse(end).unwrap(), ..order };
        let order = if pays { order } else { PayOrder { seats: house.order(0, "r1", &[2]).seats, ..order } };
        let mut doubting = house.connection().await;
        sqlx::query("begin").execute(&mut doubting).await.unwrap();
        sqlx::query("insert into payment_attempts (reservation_id, attempt_id, state) values ($1, $1, 'void')")
            .bind(end)
            .execute(&mut doubting)
            .await
            .unwrap();
        let paying = tokio::spawn({
            let ledger = Arc::clone(&ledger);
            async move { ledger::pay(&ledger, order, None).await }
        });
        house.until_waiting(1).await;
        sqlx::query(end).execute(&mut doubting).await.unwrap();
        match paying.await.unwrap() {
            Ok(paid) => assert!(pays && paid.new),
            Err(Refusal::AttemptVoid) => assert!(!pays),
            Err(other) => panic!("{other}"),
        }
        house.sound(&ledger).await;
    }
    assert_eq!(house.balance(0).await, 900);
}

/// Red when `booking::pay` answers an unknown outcome instead of settling it, or tells the balance that Redis has.
#[tokio::test(flavor = "multi_thread")]
async fn who_pays_hears_how_a_commit_in_doubt_ended() {
    for (cut, void) in [(Cut::Lost, 1), (Cut::Unanswered, 0)] {
        let proxy = Proxy::before(&database().await).await;
        let service = TestService::fresh(&redis_database(), &proxy.url, &[]).await;
        let visitor = service.visitor(1).await;
        let held = service.hold(&visitor, 12345, "B1").await;
        proxy.arm(cut);
        assert_eq!(service.pay(&visitor, held.is(200)).await.is(200).body["balance"], 995_100, "{cut:?}");
        assert_eq!(service.number("select count(*) from payments where user_id = 'user00001'").await, 1);
        assert_eq!(service.number("select count(*) from payment_attempts where state = 'void'").await, void);
        assert_eq!(service.balance(&visitor).await, 995_100);
        service.assert_invariants().await;
    }
}

/// Red when `booking::pay` answers that Postgres does not serve, as if nothing had been sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_cannot_be_settled_yet_is_in_flight_until_it_can() {
    let direct = database().await;
    let proxy = Proxy::before(&direct).await;
    let service = TestService::fresh(&redis_database(), &proxy.url, &[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    let mut blocker = PgConnection::connect(&direct).await.unwrap();
    for statement in ["begin", "lock table payment_attempts in exclusive mode"] {
        blocker.execute(statement).await.unwrap();
    }
    proxy.arm(Cut::Left);
    service.pay(&visitor, held.is(200)).await.refused(409, "payment-in-flight");
    let path = format!("/reservations/{}", held.text("reservationId"));
    assert_eq!(service.get(&path, &visitor).await.is(200).text("status"), "paying");
    drop(blocker);
    until(async || (service.pay(&visitor, &held).await.status == 200).then_some(())).await;
    assert_eq!(service.number("select count(*) from payments where user_id = 'user00001'").await, 1);
    service.assert_invariants().await;
}

/// Red when settling asks only for its own attempt.
#[tokio::test]
async fn settling_another_attempt_of_a_paid_reservation_finds_the_payment() {
    let house = House::with(1, 1_000).await;
    let ledger = house.ledger();
    let paid = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap();
    let settled = ledger::settle_unknown(&ledger, &reservation(), "other").await.unwrap();
    assert_eq!(settled, Settled::Paid(paid.payment));
    house.sound(&ledger).await;
}

/// Red when a charge that may have counted is told as one that did not, and is to be sent again: it would count twice.
#[tokio::test(flavor = "multi_thread")]
async fn who_charges_hears_that_the_outcome_is_not_known_and_what_to_do() {
    let direct = database().await;
    let proxy = Proxy::before(&direct).await;
    // The charge is sent again for twice this and two seconds, until its outcome counts as unknown.
    let service = TestService::fresh(&redis_database(), &proxy.url, &[("database_statement_ms", "500")]).await;
    let visitor = service.visitor(1).await;
    let mut blocker = PgConnection::connect(&direct).await.unwrap();
    for statement in ["begin", "select from accounts where user_id = 'user00001' for update"] {
        blocker.execute(statement).await.unwrap();
    }
    proxy.arm(Cut::Lost);
    let charge = async || service.post_once("/points/charge", &visitor, "key", &json!({ "amount": 5 })).await;
    let unknown = charge().await;
    let told = unknown.refused(503, "unavailable").text("detail");
    assert!(told.contains("not known yet") && told.contains("the same Idempotency-Key"), "{told}");
    blocker.execute("rollback").await.unwrap();
    charge().await.is(200);
    assert_eq!(service.balance(&visitor).await, 1_000_005);
    service.assert_invariants().await;
}
