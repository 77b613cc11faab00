//! What charges and payments answer.

use anteroom::config::Config;
use anteroom::ids::{Points, UserId};
use anteroom::ledger::{self, PayOrder, Recorded, Refusal, Settings};
use futures_util::future::join_all;
use serde_json::json;

use super::{House, key, ledger_at};

#[tokio::test]
async fn a_charge_adds_points_on_both_sides_of_the_ledger() {
    let house = House::with(1, 1_000).await;
    let ledger = house.ledger();
    let charged = ledger::charge(&ledger, &house.user(0), Points(250), None).await.unwrap();
    assert_eq!((charged.balance, charged.amount, charged.version), (Points(1_250), Points(250), 2));
    assert!(!charged.replayed);
    let entries =
        format!("ledger_entries where kind = 'charge' and reference = '{}' and abs(amount) = 250", charged.entry);
    assert_eq!(house.count(&entries).await, 2);
    house.sound(&ledger).await;
}

#[tokio::test]
async fn a_payment_takes_points_and_gives_seats_at_once() {
    let house = House::with(1, 1_000).await;
    let ledger = house.ledger();
    let paid = ledger::pay(&ledger, house.order(0, "r1", &[1, 10, 2]), None).await.unwrap();
    assert!(paid.new && !paid.replayed);
    assert_eq!((paid.balance, paid.payment.amount), (Points(700), Points(300)));
    assert_eq!(house.count("payment_seats where schedule_id = 7 and seat_id in ('S1', 'S2', 'S10')").await, 3);
    assert_eq!(house.count("payment_attempts where reservation_id = 'r1' and state = 'paid'").await, 1);
    assert_eq!(house.count("outbox where kind = 'settle'").await, 1);
    house.sound(&ledger).await;
}

/// Red without the look at `payments` in `apply_payment` (a unique violation, then the same for ever) and without the
/// lock on the account (a unique violation under two processes).
#[tokio::test]
async fn a_reservation_paid_many_times_at_once_is_one_payment() {
    let house = House::with(1, 100_000).await;
    let processes = [house.ledger(), house.ledger()];
    let orders = (0..60).map(|n| {
        let order = PayOrder { attempt: format!("attempt {}", n % 7), ..house.order(0, "r1", &[1, 2]) };
        ledger::pay(&processes[n % 2], order, None)
    });
    let answers: Vec<_> = join_all(orders).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|paid| paid.new).count(), 1);
    assert!(answers.iter().all(|paid| paid.payment == answers[0].payment && paid.balance == Points(99_800)));
    assert_eq!(house.count("payments").await, 1);
    house.sound(&processes[0]).await;
}

#[tokio::test]
async fn another_accounts_reservation_is_not_answered() {
    let house = House::with(2, 1_000).await;
    let ledger = house.ledger();
    ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap();
    let refused = ledger::pay(&ledger, house.order(1, "r1", &[1]), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::NotTheirs), "{refused:?}");
    assert_eq!(house.balance(1).await, 1_000);
}

/// Red when `apply_payment` looks at the balance again instead of at the attempt: the third try pays. Red when it looks
/// at the attempt alone: who has enough by now is told what they had, and that is kept under the key.
#[tokio::test]
async fn a_refused_attempt_never_pays_and_refuses_only_for_what_is_so_still() {
    let house = House::with(1, 50).await;
    let ledger = house.ledger();
    for (has, charge) in [(50, 10), (60, 100)] {
        let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap_err();
        let Refusal::Insufficient { balance, shortfall, replayed: false } = refused else { panic!("{refused:?}") };
        assert_eq!((balance, shortfall), (Points(has), Points(100 - has)));
        ledger::charge(&ledger, &house.user(0), Points(charge), None).await.unwrap();
    }
    let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), Some(key("k", 1))).await.unwrap_err();
    assert!(matches!(refused, Refusal::AttemptVoid), "{refused:?}");
    assert!(ledger::recorded_answer(&ledger, &house.user(0), &key("k", 1)).await.unwrap().is_none());
    let again = PayOrder { attempt: "second".into(), ..house.order(0, "r1", &[1]) };
    assert_eq!(ledger::pay(&ledger, again, Some(key("k", 1))).await.unwrap().balance, Points(60));
    house.sound(&ledger).await;
}

#[tokio::test]
async fn a_sold_seat_is_named_and_costs_nothing() {
    let house = House::with(2, 1_000).await;
    let ledger = house.ledger();
    ledger::pay(&ledger, house.order(0, "r1", &[1]), None).await.unwrap();
    for _ in 0..2 {
        match ledger::pay(&ledger, house.order(1, "r2", &[1, 2]), None).await.unwrap_err() {
            Refusal::SeatSold { seats, replayed: false } => assert_eq!(seats, house.order(1, "r2", &[1]).seats),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(house.balance(1).await, 1_000);
    house.sound(&ledger).await;
}

#[tokio::test]
async fn a_balance_stops_at_its_limit() {
    let house = House::with(1, 900).await;
    let ledger = ledger_at(&house.url, Settings { balance_limit: 1_000, ..Settings::of(&Config::default()) });
    let refused = ledger::charge(&ledger, &house.user(0), Points(101), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::BalanceLimit { balance: Points(900), replayed: false }), "{refused:?}");
    let refused = ledger::charge(&ledger, &house.user(0), Points(i64::MAX), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::BalanceLimit { .. }), "{refused:?}");
    assert_eq!(ledger::charge(&ledger, &house.user(0), Points(100), None).await.unwrap().balance, Points(1_000));
}

#[tokio::test]
async fn an_unknown_account_has_no_points() {
    let house = House::with(0, 0).await;
    let ledger = house.ledger();
    let nobody = UserId::parse("nobody-at-all").unwrap();
    let refused = ledger::charge(&ledger, &nobody, Points(1), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::UnknownAccount), "{refused:?}");
    let refused = ledger::pay(&ledger, house.order(5, "r1", &[1]), None).await.unwrap_err();
    assert!(matches!(refused, Refusal::UnknownAccount), "{refused:?}");
    assert_eq!(ledger::balance(&ledger, &nobody).await.unwrap(), None);
}

/// Red without the look at `idempotency_keys` in `apply_ledger_batch`.
#[tokio::test]
async fn a_key_gives_the_first_answer_again_however_often_and_wherever_it_is_asked() {
    let house = House::with(1, 0).await;
    let processes = [house.ledger(), house.ledger()];
    let user = house.user(0);
    let charges = (0..40).map(|n| ledger::charge(&processes[n % 2], &user, Points(5), Some(key("k", 1))));
    let answers: Vec<_> = join_all(charges).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|charged| !charged.replayed).count(), 1);
    assert!(answers.iter().all(|charged| charged.entry == answers[0].entry && charged.balance == Points(5)));
    assert_eq!(house.balance(0).await, 5);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let house = House::with(1, 1_000).await;
    let ledger = house.ledger();
    ledger::charge(&ledger, &house.user(0), Points(5), Some(key("k", 1))).await.unwrap();
    let refused = ledger::charge(&ledger, &house.user(0), Points(6), Some(key("k", 2))).await.unwrap_err();
    assert!(matches!(refused, Refusal::KeyReused), "{refused:?}");
    let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), Some(key("k", 2))).await.unwrap_err();
    assert!(matches!(refused, Refusal::KeyReused), "{refused:?}");
    assert_eq!((house.balance(0).await, house.count("payment_attempts").await), (1_005, 0));
}

#[tokio::test]
async fn refusals_are_kept_under_their_key() {
    let house = House::with(1, 50).await;
    let ledger = house.ledger();
    let first = ledger::pay(&ledger, house.order(0, "r1", &[1]), Some(key("k", 1))).await.unwrap_err();
    assert!(matches!(first, Refusal::Insufficient { replayed: false, .. }), "{first:?}");
    ledger::charge(&ledger, &house.user(0), Points(500), None).await.unwrap();
    let order = PayOrder { attempt: "second".into(), ..house.order(0, "r1", &[1]) };
    let again = ledger::pay(&ledger, order, Some(key("k", 1))).await.unwrap_err();
    assert!(matches!(again, Refusal::Insufficient { balance: Points(50), replayed: true, .. }), "{again:?}");
}

#[tokio::test]
async fn an_answer_decided_elsewhere_is_kept_and_the_first_one_stays() {
    let house = House::with(1, 1_000).await;
    let (ledger, user) = (house.ledger(), house.user(0));
    assert!(ledger::recorded_answer(&ledger, &user, &key("k", 1)).await.unwrap().is_none());
    for answer in [json!({"code": "hold-expired"}), json!({"code": "other"})] {
        match ledger::record(&ledger, &user, key("k", 1), answer).await.unwrap() {
            Recorded::Answer(kept) => assert_eq!(kept, json!({"code": "hold-expired"})),
            other => panic!("{other:?}"),
        }
    }
    let refused = ledger::pay(&ledger, house.order(0, "r1", &[1]), Some(key("k", 1))).await.unwrap_err();
    assert!(matches!(refused, Refusal::Answered(kept) if kept == json!({"code": "hold-expired"})));
    let known = ledger::recorded_answer(&ledger, &user, &key("k", 2)).await.unwrap();
    assert!(matches!(known, Some(Recorded::Refused(Refusal::KeyReused))), "{known:?}");
    let paid = ledger::pay(&ledger, house.order(0, "r1", &[1]), Some(key("p", 1))).await.unwrap();
    match ledger::recorded_answer(&ledger, &user, &key("p", 1)).await.unwrap() {
        Some(Recorded::Paid(known)) => assert_eq!((known.payment, known.replayed), (paid.payment, true)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let house = House::with(1, 0).await;
    let (ledger, user) = (house.ledger(), house.user(0));
    for name in ["old", "new"] {
        ledger::charge(&ledger, &user, Points(5), Some(key(name, 1))).await.unwrap();
    }
    sqlx::query("update idempotency_keys set created_at = now() - interval '25 hours' where key = 'old'")
        .execute(&mut house.connection().await)
        .await
        .unwrap();
    assert_eq!(ledger::sweep_keys(&ledger).await.unwrap(), 1);
    assert!(ledger::recorded_answer(&ledger, &user, &key("old", 1)).await.unwrap().is_none());
    assert!(ledger::recorded_answer(&ledger, &user, &key("new", 1)).await.unwrap().is_some());
}

/// Red when a run ends after its first step: more may come in a minute than one step removes.
#[tokio::test]
async fn a_sweep_goes_on_until_nothing_is_left() {
    let house = House::with(0, 0).await;
    sqlx::query(
        "insert into idempotency_keys (user_id, route, key, body_hash, answer, created_at)
         select 'anyone', 'test', n::text, '', '{}', now() - interval '25 hours' from generate_series(1, 4005) as n",
    )
    .execute(&mut house.connection().await)
    .await
    .unwrap();
    assert_eq!(ledger::sweep_keys(&house.ledger()).await.unwrap(), 4_005);
}

#[tokio::test]
async fn attempts_that_paid_nothing_are_forgotten_after_a_day() {
    let house = House::with(1, 100).await;
    let ledger = house.ledger();
    let order = |reservation: &str, seat| house.order(0, reservation, &[seat]);
    ledger::pay(&ledger, order("paid", 1), None).await.unwrap();
    ledger::pay(&ledger, order("refused", 2), None).await.unwrap_err();
    ledger::settle_unknown(&ledger, &order("void", 3).reservation, "first").await.unwrap();
    sqlx::query("update payment_attempts set at = now() - interval '25 hours'")
        .execute(&mut house.connection().await)
        .await
        .unwrap();
    ledger::settle_unknown(&ledger, &order("young", 4).reservation, "first").await.unwrap();
    assert_eq!(ledger::sweep_attempts(&ledger).await.unwrap(), 2);
    assert_eq!(house.count("payment_attempts where reservation_id in ('paid', 'young')").await, 2);
    house.sound(&ledger).await;
}
