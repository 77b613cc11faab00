//! Looking at one's own reservations, and what becomes of a payment whose reservation Redis forgot.

use anteroom::booking;
use anteroom::ids::{ReservationId, ScheduleId};
use deadpool_redis::redis::{self, Value};
use serde_json::json;

use crate::support::TestService;
use crate::support::service::Answer;

const SCHEDULE: i64 = 12_346;

/// No reading of payments gets through, whoever asks.
const HIDE: &str = "alter table payments rename to hidden_payments";
const SHOW: &str = "alter table hidden_payments rename to payments";

#[tokio::test(flavor = "multi_thread")]
async fn who_has_paid_nothing_looks_around_without_postgres() {
    let service = TestService::start(&[]).await;
    let (payer, looker) = (service.visitor(1).await, service.visitor(2).await);
    let sold = paid(&service, &payer, "A1").await;
    let (unknown, other) = (ReservationId::generate(ScheduleId(SCHEDULE)), service.another().await);
    service.sql(HIDE).await;
    // Also in a process that does not remember the payment.
    for process in [&service, &other] {
        let held = process.hold(&looker, SCHEDULE, "A2").await;
        let list = process.get("/reservations", &looker).await;
        assert_eq!(list.is(200).body["reservations"], json!([held.is(200).body]));
        process.get(&format!("/reservations/{}", held.text("reservationId")), &looker).await.is(200);
        for none in [sold.text("reservationId"), unknown.as_str(), "res123", "guessed"] {
            process.get(&format!("/reservations/{none}"), &looker).await.refused(404, "unknown-reservation");
            process.delete(&format!("/reservations/{none}"), &looker).await.refused(404, "unknown-reservation");
        }
        process.hold(&looker, SCHEDULE, "A1").await.refused(409, "seat-taken");
    }
    service.sql(SHOW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_paid_sees_each_payment_once_wherever_they_look() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    let payer = service.visitor(1).await;
    let ids = async |process: &TestService| {
        let list = process.get("/reservations", &payer).await;
        let list = list.is(200).body["reservations"].as_array().unwrap().clone();
        assert!(list.iter().all(|one| one["status"] == "confirmed"), "{list:?}");
        list.into_iter().map(|one| one["reservationId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for (seat, process) in [("A1", &service), ("A2", &other), ("A3", &service)] {
        expected.insert(0, paid(process, &payer, seat).await.text("reservationId").to_owned());
        assert_eq!((ids(&service).await, ids(&other).await), (expected.clone(), expected.clone()));
    }
    service.sql(HIDE).await;
    assert_eq!((ids(&service).await, ids(&other).await), (expected.clone(), expected.clone()), "nothing has changed");
    service.sql(SHOW).await;
    service.redis(&["FLUSHDB"]);
    assert_eq!(ids(&service).await, expected, "a Redis that forgot is told first");
    service.get(&format!("/reservations/{}", expected[0]), &payer).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_reservation_redis_forgot_is_settled_or_let_go() {
    let service = TestService::start(&[]).await;
    let payer = service.visitor(1).await;
    let sold = paid(&service, &payer, "A1").await.text("reservationId").to_owned();
    let never = ReservationId::generate(ScheduleId(SCHEDULE)).to_string();
    service.redis(&["DEL", &key(&format!("reservation:{sold}"))]);
    service.redis(&["HDEL", &key("sold"), "A1"]);
    for id in [&sold, &never] {
        service.redis(&["ZADD", &key("paying"), "1", id]);
    }
    booking::settle_stale(&service.service.app.booking).await.unwrap();
    assert_eq!(service.redis(&["EXISTS", &key("paying")]), Value::Int(0), "neither is looked after any more");
    assert_eq!(service.redis(&["HGET", &key("sold"), "A1"]), Value::BulkString(sold.clone().into_bytes()));
    let found = service.get(&format!("/reservations/{sold}"), &payer).await;
    assert_eq!(found.is(200).text("status"), "confirmed");
    service.get(&format!("/reservations/{never}"), &payer).await.refused(404, "unknown-reservation");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_there_again_after_it_was_paid_is_confirmed() {
    let service = TestService::start(&[]).await;
    let (payer, other) = (service.visitor(1).await, service.another().await);
    let mut payments = Vec::new();
    for (seat, state) in [("A1", "held"), ("A2", "paying")] {
        let held = service.hold(&payer, SCHEDULE, seat).await;
        let paid = service.pay(&payer, &held).await;
        forget_payment(&service, held.text("reservationId"), (seat, state));
        payments.push((seat, held, paid.is(200).text("paymentId").to_owned()));
    }
    // What Redis has now was set up by a server that is gone.
    service.redis(&["HSET", &key("meta"), "incarnation", "1-gone"]);
    for (seat, held, payment) in &payments {
        let path = format!("/reservations/{}", held.text("reservationId"));
        service.delete(&path, &payer).await.refused(409, "already-confirmed");
        let found = service.get(&path, &payer).await;
        assert_eq!((found.is(200).text("status"), found.text("paymentId")), ("confirmed", payment.as_str()));
        for process in [&service, &other] {
            assert_eq!(process.pay(&payer, held).await.is(200).text("paymentId"), payment);
        }
        assert_eq!(service.redis(&["EXISTS", &key(&format!("hold:{seat}"))]), Value::Int(0));
    }
    for left in ["held", "paying"] {
        assert_eq!(service.redis(&["EXISTS", &key(left)]), Value::Int(0), "{left}");
    }
    assert_eq!(service.redis(&["PTTL", &key("user:user00001")]), Value::Int(-1), "who owns seats has them for good");
    service.assert_invariants().await;
}

/// Red when a process trusts that it noted who asked, where Redis forgot that with the seats.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_after_redis_forgot_the_first_one_is_listed() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    service.hold(&visitor, SCHEDULE, "A1").await.is(200);
    service.redis(&["DEL", "anteroom:{u:user00001}:schedules"]);
    service.redis(&["HSET", &key("meta"), "incarnation", "1-gone"]);
    let held = service.hold(&visitor, SCHEDULE, "A2").await;
    let list = service.get("/reservations", &visitor).await;
    let listed = list.is(200).body["reservations"].as_array().unwrap().clone();
    assert!(listed.contains(&held.is(200).body), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_is_soon_forgotten_and_its_key_does_not_mind() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let body = json!({ "scheduleId": SCHEDULE, "seatId": "A1" });
    let held = service.post_once("/reservations", &visitor, "key", &body).await;
    let id = held.is(200).text("reservationId");
    let reservation = key(&format!("reservation:{id}"));
    let lives_ms = || redis::from_redis_value::<i64>(service.redis(&["PTTL", &reservation])).unwrap();
    assert!(lives_ms() > 3_600_000);
    for _ in 0..2 {
        service.delete(&format!("/reservations/{id}"), &visitor).await.is(204);
        assert!((1..=600_000).contains(&lives_ms()), "ten minutes");
    }
    service.redis(&["PEXPIRE", &reservation, "60000"]);
    service.delete(&format!("/reservations/{id}"), &visitor).await.is(204);
    assert!(lives_ms() <= 60_000, "cancelling again does not prolong it");

    // As if the process had ended before it kept its answer.
    let answers = redis::from_redis_value::<Vec<String>>(service.redis(&["KEYS", "anteroom:{u:user00001}:answer:*"]));
    for forgotten in answers.unwrap().iter().chain([&reservation]) {
        service.redis(&["DEL", forgotten]);
    }
    let again = service.post_once("/reservations", &visitor, "key", &body).await;
    assert_eq!((again.is(200).text("reservationId"), again.text("status")), (id, "cancelled"));
    service.delete(&format!("/reservations/{id}"), &visitor).await.refused(404, "unknown-reservation");
    service.assert_invariants().await;
}

/// Redis as it was before it was told of a payment: the hold is there, held or being paid.
fn forget_payment(service: &TestService, id: &str, (seat, state): (&str, &str)) {
    const FAR: &str = "9000000000000";
    let (reservation, hold) = (key(&format!("reservation:{id}")), key(&format!("hold:{seat}")));
    service.redis(&["HDEL", &key("sold"), seat]);
    service.redis(&["HSET", &reservation, "state", state]);
    service.redis(&["SET", &hold, &format!("{id} user00001 1"), "PX", "300000"]);
    for seats in ["held", "user:user00001"] {
        service.redis(&["ZADD", &key(seats), FAR, seat]);
    }
    if state == "paying" {
        service.redis(&["ZADD", &key("paying"), FAR, id]);
    }
    service.redis(&["PEXPIRE", &key("user:user00001"), "300000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_gone_also_where_one_hold_cannot_be_given_up() {
    let service = TestService::start(&[]).await;
    let leaver = service.visitor(1).await;
    let stuck = service.hold(&leaver, 12345, "B1").await;
    let free = service.hold(&leaver, SCHEDULE, "A1").await;
    let touched = ["12345", "12346"].map(|id| Value::BulkString(id.into())).to_vec();
    let noted = service.redis(&["ZRANGE", "anteroom:{u:user00001}:schedules", "0", "-1"]);
    assert_eq!(noted, Value::Array(touched), "in the order of asking");

    service.redis(&["SET", "anteroom:{s:12345}:reservations:user00001", "no set"]);
    service.delete("/queue/position", &leaver).await.is(204);
    assert_eq!(service.get("/queue/position", &leaver).await.is(200).text("status"), "left");
    for (held, status) in [(stuck, "held"), (free, "cancelled")] {
        let found = service.get(&format!("/reservations/{}", held.is(200).text("reservationId")), &leaver).await;
        assert_eq!(found.is(200).text("status"), status);
    }
    service.assert_invariants().await;
}

/// Red when Redis' word alone refuses. It forgot the second in which this was begun and settled, and has the hold as it
/// was before; the process that is asked made no payment.
#[tokio::test(flavor = "multi_thread")]
async fn a_paid_reservation_is_not_refused_because_redis_forgot_the_payment() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    let payer = service.visitor(1).await;
    let held = paid(&service, &payer, "A1").await;
    let reservation = key(&format!("reservation:{}", held.text("reservationId")));
    service.redis(&["HDEL", &key("sold"), "A1"]);
    service.redis(&["HSET", &reservation, "state", "held", "expiresAt", "1"]);
    assert_eq!(other.pay(&payer, &held).await.is(200).text("status"), "confirmed");
    assert_eq!(service.number("select count(*) from payments where user_id = 'user00001'").await, 1);
}

/// Red when only Redis and memory say that a payment has begun.
#[tokio::test(flavor = "multi_thread")]
async fn who_paid_may_ask_again_without_a_visit_wherever_the_payment_is_forgotten() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    let (payer, stranger) = (service.visitor(1).await, service.visitor(2).await);
    let held = paid(&service, &payer, "A1").await;
    service.redis(&["DEL", &key(&format!("reservation:{}", held.text("reservationId")))]);
    for token in [&payer, &stranger] {
        service.delete("/queue/position", token).await.is(204);
    }
    other.pay(&stranger, &held).await.refused(403, "not-admitted");
    assert_eq!(other.pay(&payer, &held).await.is(200).text("status"), "confirmed");
}

async fn paid(service: &TestService, token: &str, seat: &str) -> Answer {
    let held = service.hold(token, SCHEDULE, seat).await;
    service.pay(token, held.is(200)).await.is(200);
    held
}

fn key(part: &str) -> String {
    format!("anteroom:{{s:{SCHEDULE}}}:{part}")
}
