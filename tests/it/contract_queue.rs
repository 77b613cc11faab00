//! The contract of the line.

use reqwest::Method;
use serde_json::json;

use crate::contract_auth::PLACE;
use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn waiters_have_their_positions_and_move_up_as_others_leave() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0, "message": "Doors open soon." })).await;
    until(async || service.get("/queue/rooms/main", "").await.body["message"].is_string().then_some(())).await;
    let mut tokens = Vec::new();
    for number in 1..=5 {
        tokens.push(service.token(number).await);
    }
    for (at, token) in tokens.iter().enumerate() {
        let place = service.get("/queue/position", token).await;
        place.is(200).has(&PLACE);
        assert_eq!((place.text("status"), &place.body["position"]), ("waiting", &json!(at + 1)));
        assert_eq!(place.text("message"), "Doors open soon.");
        assert!(place.body["pollAfterMs"].as_u64().unwrap() >= 500);
        assert!(place.body["activeUntil"].is_null() && place.body.get("token").is_none());
    }
    service.delete("/queue/position", &tokens[0]).await.is(204);
    service.send(service.request(Method::POST, "/queue/leave", &tokens[2])).await.is(204);
    for (number, position) in [(2, 1), (4, 2), (5, 3)] {
        let place = service.log_in(&anteroom::cli::seed::user_name(number), PASSWORD).await;
        assert_eq!((&place.body["position"], &place.body["waiting"]), (&json!(position), &json!(3)));
    }
    for token in [&tokens[0], &tokens[2]] {
        assert_eq!(service.get("/queue/position", token).await.is(200).text("status"), "left");
        service.delete("/queue/position", token).await.is(204);
    }
    let back = service.log_in("user00001", PASSWORD).await;
    assert_eq!(back.is(200).body["position"], 4, "who left stands at the end");

    service.set_room(&json!({ "capacity": 2 })).await;
    for token in [&tokens[1], &tokens[3]] {
        let place = service.until(token, "active").await;
        assert!(place["position"].is_null() && place["activeUntil"].is_string(), "{place}");
    }
    assert_eq!(service.log_in("user00005", PASSWORD).await.is(200).body["position"], 1);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_frees_the_place_the_visit_and_the_holds_once_for_a_key() {
    let service = TestService::start(&[]).await;
    for (number, method, path) in [(1, Method::DELETE, "/queue/position"), (2, Method::POST, "/queue/leave")] {
        let visitor = service.visitor(number).await;
        let held = service.hold(&visitor, 12345, "B1").await;
        held.is(200);
        let leave = || service.request(method.clone(), path, &visitor).header("idempotency-key", "leave");
        let left = service.send(leave()).await;
        assert!(!left.is(204).replayed());
        let again = service.send(leave()).await;
        assert!(again.is(204).replayed());
        let refused = service.hold(&visitor, 12345, "B1").await;
        assert_eq!(refused.refused(403, "not-admitted").body["place"]["status"], "left");
        let kept = service.get(&format!("/reservations/{}", held.text("reservationId")), &visitor).await;
        assert_eq!(kept.is(200).text("status"), "cancelled");
    }
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_public_and_may_be_cached_for_a_second() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0, "message": "Hello" })).await;
    service.token(1).await;
    service.set_room(&json!({ "message": "Hello again" })).await;
    let room = service.get("/queue/rooms/main", "").await;
    room.is(200).has(&["room", "state", "opensAt", "waiting", "admittedPerMinute", "message", "draw"]);
    assert_eq!((room.text("room"), room.text("state")), ("main", "open"));
    assert_eq!(room.header("cache-control"), "public, max-age=1");
    for unknown in ["nowhere", "MAIN", "main%00", "..%2Fadmin"] {
        service.get(&format!("/queue/rooms/{unknown}"), "").await.refused(404, "unknown-room");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_opening_places_are_scheduled_and_a_paused_room_admits_nobody() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "opensAt": "2099-01-01T00:00:00Z" })).await;
    let early = service.token(1).await;
    let place = service.until(&early, "scheduled").await;
    assert_eq!(
        (&place["position"], &place["waiting"]),
        (&json!(null), &json!(1)),
        "positions are shown from the opening on"
    );
    assert!(place["opensAt"].as_str().unwrap().starts_with("2099-01-01T00:00:00"));
    service.hold(&early, 12345, "B1").await.refused(403, "not-admitted");
    service.set_room(&json!({ "state": "paused", "opensAt": null })).await;
    let place = service.until(&early, "waiting").await;
    assert_eq!((&place["position"], &place["eta"]), (&json!(1), &json!(null)));
    service.set_room(&json!({ "state": "open" })).await;
    service.until(&early, "active").await;
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_closing_time_the_first_in_line_is_not_let_in_by_asking_again() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    service.token(1).await;
    // By what Redis knows the closing time has come, before any process heard of it.
    service.redis(&["HSET", "anteroom:{main}:room", "closesAt", "1", "capacity", "10"]);
    assert_eq!(service.log_in("user00001", PASSWORD).await.is(200).text("status"), "waiting");
    service.log_in("user00002", PASSWORD).await.refused(409, "room-closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_and_an_id_of_the_callers_is_kept() {
    let service = TestService::start(&[]).await;
    let token = service.token(1).await;
    let mut altered = token.clone();
    let last = altered.pop().unwrap();
    altered.insert(altered.len() / 2, last);
    for (method, path) in
        [(Method::GET, "/queue/position"), (Method::DELETE, "/queue/position"), (Method::POST, "/queue/leave")]
    {
        for bad in ["", "garbage", "a.b.c", altered.as_str()] {
            service.send(service.request(method.clone(), path, bad)).await.refused(401, "invalid-token");
        }
    }
    let kept =
        service.send(service.request(Method::GET, "/queue/position", &token).header("x-request-id", "my-1")).await;
    assert_eq!(kept.is(200).header("x-request-id"), "my-1");
    let cookie = reqwest::Client::new().get(format!("{}/queue/position", service.url));
    let cookie = service.send(cookie.header("cookie", format!("a=b; anteroom_token={token}"))).await;
    assert_eq!(cookie.is(200).text("userId"), "user00001");
}
