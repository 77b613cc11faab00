//! The contract of paying.

use anteroom::booking;
use anteroom::ids::RoomName;
use deadpool_redis::redis;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::contract::{order, until, until_unix};
use crate::support::service::Answer;
use crate::support::{Road, TestService, database, redis_database};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_made_once_and_asking_again_gives_the_same() {
    let service = TestService::start(&[]).await;
    let (visitor, other) = (service.visitor(1).await, service.visitor(2).await);
    let body = json!({ "scheduleId": 12345, "seatIds": ["B2", "B1"] });
    let held = service.post("/reservations", &visitor, &body).await;
    service.pay(&other, &held).await.refused(404, "unknown-reservation");
    let paid = service.post_once("/reservations/pay", &visitor, "pay", &order(&held)).await;
    paid.is(200).has(&["paymentId", "reservationId", "scheduleId", "seatIds", "amount", "balance", "status", "paidAt"]);
    assert_eq!((paid.text("status"), paid.text("scheduleId")), ("confirmed", "12345"));
    assert_eq!((&paid.body["seatIds"], &paid.body["amount"]), (&json!(["B1", "B2"]), &json!(9800)));
    assert_eq!(paid.body["balance"], 990_200);

    let visit = service.until(&visitor, "active").await;
    let ends = until_unix(&visit["activeUntil"]) - until_unix(&visit["serverTime"]);
    assert!((1..=60).contains(&ends), "the visit ends in a minute: {visit}");
    let replay = service.post_once("/reservations/pay", &visitor, "pay", &order(&held)).await;
    assert_eq!((replay.is(200).replayed(), &replay.body), (true, &paid.body));
    let again = service.pay(&visitor, &held).await;
    assert_eq!((again.is(200).replayed(), &again.body), (false, &paid.body));
    let late = service.until(&visitor, "active").await;
    assert_eq!(late["activeUntil"], visit["activeUntil"], "asking again changes nothing");
    let reused = json!({ "reservationId": held.body["reservationId"], "amount": 1 });
    let reused = service.post_once("/reservations/pay", &visitor, "pay", &reused).await;
    reused.refused(422, "idempotency-key-reused");

    let owned = service.post("/reservations", &visitor, &body).await;
    assert_eq!((owned.is(200).text("status"), owned.text("reservationId")), ("confirmed", held.text("reservationId")));
    let part = service.hold(&visitor, 12345, "B1").await;
    part.refused(409, "seat-taken");
    service.delete("/queue/position", &visitor).await.is(204);
    let outside = service.pay(&visitor, &held).await;
    assert_eq!(outside.is(200).body["paymentId"], paid.body["paymentId"], "the outcome needs no visit");
    service.pay(&other, &held).await.refused(404, "unknown-reservation");
    let unpaid = json!({ "reservationId": "12345-00000000000000000000000000000000", "amount": 1 });
    service.post("/reservations/pay", &visitor, &unpaid).await.refused(403, "not-admitted");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_found_under_a_key_is_told_again_with_the_balance_of_the_first_answer() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    service.pay(&visitor, held.is(200)).await.is(200);
    let ask = async || service.post_once("/reservations/pay", &visitor, "later", &order(&held)).await;
    let first = ask().await;
    assert_eq!((first.is(200).replayed(), &first.body["balance"]), (false, &json!(995_100)));
    service.post("/points/charge", &visitor, &json!({ "amount": 1_000 })).await.is(200);
    let again = ask().await;
    assert_eq!((again.is(200).replayed(), &again.body), (true, &first.body));
    service.sql("update idempotency_keys set answer = answer #- '{answer,balance}' where key = 'later'").await;
    let of_an_earlier_version = ask().await;
    assert_eq!(of_an_earlier_version.is(200).body["balance"], 996_100);
}

/// Red without the look at `keys_used` before such an answer is kept: whoever ever paid writes rows without end, and needs
/// no visit for it.
#[tokio::test(flavor = "multi_thread")]
async fn asking_again_for_a_payment_under_new_keys_is_limited_and_paying_is_not() {
    const ROWS: &str = "select count(*) from idempotency_keys where user_id = 'user00001' and route = 'pay'";
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let (held, later) = (service.hold(&visitor, 12345, "B1").await, service.hold(&visitor, 12345, "B3").await);
    service.pay(&visitor, held.is(200)).await.is(200);
    service.redis(&["SET", "anteroom:{u:user00001}:keys", "999", "EX", "3600"]);
    let ask =
        async |key: &str, held: &Answer| service.post_once("/reservations/pay", &visitor, key, &order(held)).await;
    ask("last", &held).await.is(200);
    let wrong = json!({ "reservationId": later.is(200).text("reservationId"), "amount": 1 });
    for (key, body) in [("paid", &order(&held)), ("wrong", &wrong)] {
        let refused = service.post_once("/reservations/pay", &visitor, key, body).await;
        let seconds: u64 = refused.refused(429, "rate-limited").header("retry-after").parse().unwrap();
        assert!((3_000..=3_600).contains(&seconds), "when keys are counted anew: {seconds}");
    }
    assert!(ask("last", &held).await.is(200).replayed(), "a key that was used is none that is new");
    service.pay(&visitor, &held).await.is(200);
    assert_eq!(service.number(ROWS).await, 1);
    assert!(!ask("another", &later).await.is(200).replayed());
    assert_eq!(service.number(ROWS).await, 2);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_points_are_told_and_kept_under_the_key() {
    let service = TestService::start(&[]).await;
    let account = json!({ "username": "poor", "password": "long enough" });
    service.post_openly("/auth/users", &account).await.is(201);
    let token = service.token_of("poor", "long enough").await;
    service.until(&token, "active").await;
    let held = service.hold(&token, 12345, "B1").await;
    for replayed in [false, true] {
        let refused = service.post_once("/reservations/pay", &token, "poor", &order(&held)).await;
        assert_eq!(refused.refused(402, "insufficient-points").replayed(), replayed);
        assert_eq!((&refused.body["balance"], &refused.body["shortfall"]), (&json!(0), &json!(4900)));
    }
    service.post("/points/charge", &token, &json!({ "amount": 4900 })).await.is(200);
    let kept = service.post_once("/reservations/pay", &token, "poor", &order(&held)).await;
    assert!(kept.refused(402, "insufficient-points").replayed(), "the first answer, though the points are there now");
    assert_eq!(service.pay(&token, &held).await.is(200).body["balance"], 0);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_amount_and_an_unknown_reservation_are_refused() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    let id = held.text("reservationId");
    for amount in [4899, 4901, 0, -4900, i64::MAX, i64::MIN] {
        let wrong = json!({ "reservationId": id, "amount": amount });
        for replayed in [false, true] {
            let refused = service.post_once("/reservations/pay", &visitor, &format!("k{amount}"), &wrong).await;
            assert_eq!(refused.refused(422, "amount-mismatch").replayed(), replayed, "{amount}");
        }
    }
    for unknown in ["12345-00000000000000000000000000000000", "99999-00000000000000000000000000000000", "nothing"] {
        let body = json!({ "reservationId": unknown, "amount": 4900 });
        for _ in 0..2 {
            let refused = service.post_once("/reservations/pay", &visitor, "unknown", &body).await;
            assert!(!refused.refused(404, "unknown-reservation").replayed(), "{unknown}");
        }
    }
    let mismatch = json!({ "reservationId": id, "amount": 4900, "userId": "user00002" });
    service.post("/reservations/pay", &visitor, &mismatch).await.refused(403, "user-mismatch");
    assert_eq!(service.balance(&visitor).await, 1_000_000);
    service.pay(&visitor, &held).await.is(200);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_at_its_time_and_is_not_paid_after() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "holdSeconds": 1 })).await;
    let room = service.service.app.queue.room(&RoomName::parse("main").unwrap()).unwrap();
    until(async || (room.view().hold_ms == 1_000).then_some(())).await;
    let (one, two) = (service.visitor(1).await, service.visitor(2).await);
    let held = service.hold(&one, 12345, "B1").await;
    held.is(200);
    until(async || (service.hold(&two, 12345, "B1").await.status == 200).then_some(())).await;
    for replayed in [false, true] {
        let late = service.post_once("/reservations/pay", &one, "late", &order(&held)).await;
        assert_eq!(late.refused(410, "hold-expired").replayed(), replayed);
    }
    let path = format!("/reservations/{}", held.text("reservationId"));
    assert_eq!(service.get(&path, &one).await.is(200).text("status"), "expired");
    assert_eq!(service.balance(&one).await, 1_000_000);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_paid_first_owns_the_seat_whatever_redis_said() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let body = json!({ "scheduleId": 12345, "seatIds": ["B1", "B2"] });
    let held = service.post("/reservations", &visitor, &body).await;
    service
        .sql(
            r#"select apply_ledger_batch('[{"kind": "payment", "user_id": "testuser", "amount": 4900,
                "reference": "elsewhere", "attempt_id": "one", "payment_id": "00000000-0000-0000-0000-000000000001",
                "schedule_id": 12345, "seats": ["B1"], "room": "main"}]'::jsonb, 1000000000000, '{}'::uuid[])"#,
        )
        .await;
    for replayed in [false, true] {
        let sold = service.post_once("/reservations/pay", &visitor, "sold", &order(&held)).await;
        assert_eq!(sold.refused(409, "seat-sold").replayed(), replayed);
    }
    assert_eq!(service.balance(&visitor).await, 1_000_000);
    let other = service.visitor(2).await;
    service.hold(&other, 12345, "B2").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_under_way_is_neither_cancelled_nor_left_behind() {
    let service = TestService::start(&[("database_statement_ms", "60000")]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    let mut blocker = PgConnection::connect(&service.database_url).await.unwrap();
    blocker.execute("begin").await.unwrap();
    blocker.execute("select 1 from accounts where user_id = 'user00001' for update").await.unwrap();
    let path = format!("/reservations/{}", held.is(200).text("reservationId"));
    let pay = service.pay(&visitor, &held);
    let meanwhile = async {
        until(async || {
            let status = service.get(&path, &visitor).await;
            (status.is(200).text("status") == "paying").then_some(())
        })
        .await;
        service.delete(&path, &visitor).await.refused(409, "payment-in-flight");
        service.delete("/queue/position", &visitor).await.is(204);
        assert_eq!(service.get(&path, &visitor).await.is(200).text("status"), "paying");
        blocker.execute("rollback").await.unwrap();
    };
    let (paid, ()) = tokio::join!(pay, meanwhile);
    assert_eq!(paid.is(200).text("status"), "confirmed");
    assert_eq!(service.get(&path, &visitor).await.is(200).text("status"), "confirmed");
    service.assert_invariants().await;
}

/// Red when a refusal that was kept under a key ends the attempt that it meets in Redis alone: what is being paid would be
/// free for others, and paid all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_refusal_ends_an_attempt_that_another_request_runs_in_postgres_first() {
    let direct = database().await;
    let road = Road::to(&direct).await;
    let slow = TestService::fresh(&redis_database(), &road.url, &[("database_statement_ms", "20000")]).await;
    let quick = TestService::on(&slow.redis_url, &direct, &[]).await;
    let account = json!({ "username": "poor", "password": "long enough" });
    quick.post_openly("/auth/users", &account).await.is(201);
    let token = quick.token_of("poor", "long enough").await;
    quick.until(&token, "active").await;
    let held = quick.hold(&token, 12345, "B1").await;
    let first = quick.post_once("/reservations/pay", &token, "poor", &order(held.is(200))).await;
    first.refused(402, "insufficient-points");
    quick.post("/points/charge", &token, &json!({ "amount": 4900 })).await.is(200);
    let path = format!("/reservations/{}", held.text("reservationId"));
    let status = async || quick.get(&path, &token).await.is(200).text("status").to_owned();
    road.freeze();
    let meanwhile = async {
        until(async || (status().await == "paying").then_some(())).await;
        let kept = quick.post_once("/reservations/pay", &token, "poor", &order(&held)).await;
        assert!(kept.refused(402, "insufficient-points").replayed());
        road.thaw();
    };
    let (paid, ()) = tokio::join!(slow.pay(&token, &held), meanwhile);
    assert_eq!(paid.is(200).body["balance"], 0);
    assert_eq!(status().await, "confirmed");
    quick.assert_invariants().await;
}

/// Red when only the seats decide whether Redis was told, and when the outbox tells the seats alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_redis_would_not_take_is_told_by_the_outbox() {
    const BALANCE: &str = "anteroom:{u:user00001}:balance";
    const OWED: &str = "select count(*) from outbox where kind = 'settle' and payload ->> 'userId' = 'user00001'";
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    service.redis(&["DEL", BALANCE]);
    service.redis(&["SET", BALANCE, "no hash"]);
    assert_eq!(service.pay(&visitor, held.is(200)).await.is(200).body["balance"], 995_100);
    // What was told is forgotten now; what is due by now, Redis does not take either.
    let _ = booking::settle_outbox(&service.service.app.booking).await;
    assert_eq!(service.number(OWED).await, 1);
    service.redis(&["DEL", BALANCE]);
    service.sql("update outbox set due_at = now()").await;
    until(async || {
        booking::settle_outbox(&service.service.app.booking).await.unwrap();
        let told: Option<String> = redis::from_redis_value(service.redis(&["HGET", BALANCE, "balance"])).unwrap();
        told.filter(|told| told == "995100")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_payment_a_hundred_times_at_once_is_one() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    let paid: Vec<Answer> = futures_util::future::join_all((0..100).map(|number| {
        let (service, visitor, held) = (&service, &visitor, &held);
        async move {
            match number % 2 {
                0 => service.pay(visitor, held).await,
                _ => service.post_once("/reservations/pay", visitor, "pay", &order(held)).await,
            }
        }
    }))
    .await;
    for one in &paid {
        assert_eq!(one.is(200).body["paymentId"], paid[0].body["paymentId"]);
    }
    assert_eq!(service.balance(&visitor).await, 995_100);
    service.assert_invariants().await;
}
