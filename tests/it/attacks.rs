//! Attacks at the gate: whoever is not inside, or asks for what is another's, gets nothing and changes nothing.

use anteroom::ids::{RoomName, UserId};
use anteroom::token::{Claims, Tokens, Use};
use anteroom::{clock, http, queue};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::contract::order;
use crate::support::service::{Answer, PASSWORD};

/// What the stores have that an attack must not change.
async fn written(service: &TestService) -> Vec<String> {
    let mut found = Vec::new();
    for question in [
        "select count(*) from ledger_entries",
        "select sum(balance)::bigint from accounts",
        "select count(*) from payments",
        "select count(*) from payment_attempts",
        "select count(*) from idempotency_keys",
    ] {
        found.push(format!("{question}: {}", service.number(question).await));
    }
    for command in [
        ["ZRANGE", "anteroom:{s:12345}:held", "0", "-1"].as_slice(),
        &["HGETALL", "anteroom:{s:12345}:sold"],
        &["ZRANGE", "anteroom:{main}:waiting", "0", "-1"],
        &["ZRANGE", "anteroom:{main}:pending", "0", "-1"],
    ] {
        found.push(format!("{command:?}: {:?}", service.redis(command)));
    }
    found
}

/// Every operation of the published document that needs a token, with a request that would work from inside.
fn protected(reservation: &str) -> Vec<(Method, String, Value)> {
    let document: Value = serde_json::from_str(&http::visitor_document().to_json().unwrap()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("security").is_none() {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{id}", reservation);
            let body = match path.as_str() {
                "/reservations" => json!({ "scheduleId": 12345, "seatId": "C1" }),
                "/reservations/pay" => json!({ "reservationId": reservation, "amount": 4900 }),
                "/points/charge" => json!({ "amount": 10 }),
                _ => json!({}),
            };
            let path = if path.ends_with("/seat") { format!("{path}?scheduleId=12345") } else { path };
            operations.push((method, path, body));
        }
    }
    assert!(operations.len() >= 12, "{operations:?}");
    operations
}

/// What any account may ask without a visit: its own place, its own reservations.
fn needs_no_visit(method: &Method, path: &str) -> bool {
    path.starts_with("/queue/")
        || (*method == Method::GET && path.starts_with("/reservations") && !path.contains("available"))
}

async fn ask(service: &TestService, operation: &(Method, String, Value), token: &str) -> Answer {
    let (method, path, body) = operation;
    let request = service.request(method.clone(), path, token);
    let request = if *method == Method::GET { request } else { request.json(body) };
    service.send(request.header("idempotency-key", "attack")).await
}

/// A token whose signature is right and whose time is over.
fn expired_token(service: &TestService) -> String {
    let key = std::fs::read(service.service.app.config.token_key_file.clone().unwrap()).unwrap();
    let (room, now) = (RoomName::parse("main").unwrap(), clock::unix_ms() / 1_000);
    let epoch = service.service.app.queue.room(&room).unwrap().epoch();
    let (sub, purpose) = ("user00001".to_owned(), Use::Place);
    let (number, draw, claimed, since) = (None, None, None, None);
    let claims = Claims { sub, room, epoch, number, draw, since, purpose, claimed, iat: now - 100, exp: now - 1 };
    Tokens::<()>::new(&key, 10).unwrap().sign(&claims).unwrap()
}

/// The token of a login whose password nobody has checked yet.
async fn attempt_token(service: &TestService) -> String {
    let app = &service.service.app;
    let room = app.queue.room(&RoomName::parse("main").unwrap()).unwrap();
    let user = UserId::parse("user00001").unwrap();
    let attempt = queue::take_attempt(&app.queue, &room, &user).await.unwrap();
    let place = attempt.place(&app.queue, &room, &user).unwrap();
    place.token.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_the_gate_works_without_a_visit_and_nothing_is_written() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let owner = service.visitor(1).await;
    let held = service.hold(&owner, 12345, "B1").await;
    let operations = protected(held.text("reservationId"));

    let (left, over) = (service.visitor(2).await, service.visitor(3).await);
    service.delete("/queue/position", &left).await.is(204);
    service.redis(&["ZADD", "anteroom:{main}:active", "XX", "1", "user00003"]);
    let other = service.token_for("user00001", PASSWORD, "other").await.is(200).text("token").to_owned();
    service.until(&other, "active").await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let waiting = service.token(4).await;
    let attempt = attempt_token(&service).await;
    let expired = expired_token(&service);

    let before = written(&service).await;
    for operation in &operations {
        for (bad, code) in [("", "invalid-token"), ("garbage", "invalid-token"), (&*expired, "token-expired")] {
            ask(&service, operation, bad).await.refused(401, code);
        }
        let (method, path, _) = operation;
        if path.starts_with("/queue/") {
            continue;
        }
        let refused = ask(&service, operation, &attempt).await;
        assert_eq!(refused.refused(403, "not-admitted").body["place"]["status"], "verifying");
        if needs_no_visit(method, path) {
            continue;
        }
        for (token, status) in [(&left, "left"), (&over, "expired"), (&waiting, "waiting")] {
            let refused = ask(&service, operation, token).await;
            assert_eq!(refused.refused(403, "not-admitted").body["place"]["status"], status, "{method} {path}");
        }
        // Points and dates are not of a room's schedule.
        if path.contains("12345") || path == "/reservations" || path == "/reservations/pay" {
            let refused = ask(&service, operation, &other).await;
            assert_eq!(refused.refused(403, "not-admitted").body["place"]["room"], "other", "{method} {path}");
        }
    }
    assert_eq!(written(&service).await, before);
    for operation in &operations {
        let (method, path, _) = operation;
        if !path.starts_with("/queue/") && *method != Method::DELETE {
            ask(&service, operation, &owner).await.is(200);
        }
    }
    assert_ne!(written(&service).await, before, "the same requests from inside change something");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_objects_are_answered_like_those_that_do_not_exist() {
    let service = TestService::start(&[]).await;
    let tokens = [service.visitor(1).await, service.visitor(2).await];
    let held = [service.hold(&tokens[0], 12345, "B1").await, service.hold(&tokens[1], 12345, "B2").await];
    let before = written(&service).await;
    for paid in [false, true] {
        if paid {
            service.pay(&tokens[0], &held[0]).await.is(200);
            service.pay(&tokens[1], &held[1]).await.is(200);
        }
        for (thief, owner) in [(0, 1), (1, 0)] {
            let theirs = held[owner].text("reservationId");
            for (method, path, body) in protected(theirs) {
                if !path.contains(theirs) && path != "/reservations/pay" {
                    continue;
                }
                let none = "12345-00000000000000000000000000000000";
                let of_none =
                    (method.clone(), path.replace(theirs, none), json!({ "reservationId": none, "amount": 4900 }));
                let refused = ask(&service, &(method, path, body), &tokens[thief]).await;
                let unknown = ask(&service, &of_none, &tokens[thief]).await;
                assert_eq!(
                    refused.refused(404, "unknown-reservation").body,
                    unknown.refused(404, "unknown-reservation").body
                );
            }
            let list = service.get("/reservations", &tokens[thief]).await;
            assert_eq!(list.is(200).body["reservations"].as_array().unwrap().len(), 1);
            assert_ne!(list.body["reservations"][0]["reservationId"], *theirs);
            let foreign = json!({ "reservationId": theirs, "amount": 4900, "userId": owner_name(owner) });
            service.post("/reservations/pay", &tokens[thief], &foreign).await.refused(403, "user-mismatch");
        }
        if !paid {
            assert_eq!(written(&service).await, before);
        }
    }
    for one in &held {
        service.post("/reservations/pay", &tokens[0], &order(one)).await;
    }
    assert_eq!((service.balance(&tokens[0]).await, service.balance(&tokens[1]).await), (995_100, 995_100));
    service.assert_invariants().await;
}

fn owner_name(at: usize) -> String {
    anteroom::cli::seed::user_name(u32::try_from(at).unwrap() + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_in_one_room_does_not_pay_or_cancel_in_another() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let main = service.visitor(1).await;
    let held = service.hold(&main, 12345, "B1").await;
    let other = service.token_for("user00001", PASSWORD, "other").await.is(200).text("token").to_owned();
    service.until(&other, "active").await;
    service.pay(&other, &held).await.refused(403, "not-admitted");
    let path = format!("/reservations/{}", held.text("reservationId"));
    service.delete(&path, &other).await.refused(403, "not-admitted");
    assert_eq!(service.get(&path, &other).await.is(200).text("status"), "held", "looking at one's own needs no visit");
    service.delete("/queue/position", &other).await.is(204);
    assert_eq!(service.get(&path, &main).await.is(200).text("status"), "held", "nor does leaving the other end it");
    let paid = service.pay(&main, &held).await;
    assert_eq!(service.pay(&other, &held).await.is(200).body, paid.is(200).body, "the outcome may be asked anywhere");
    service.assert_invariants().await;
}
