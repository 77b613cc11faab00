//! What nobody could say counts against nobody; and a line that nobody stands in any more ends.

use std::time::Duration;

use anteroom::clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::PASSWORD;

/// Longer than a place is kept for anyone, ms.
const LONG_MS: i64 = 901_000;

async fn room(service: &TestService) -> Value {
    service.send(service.admin(Method::GET, "/admin/rooms/main")).await.is(200).body.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_could_not_ask_while_the_service_was_away_is_neither_overtaken_nor_put_out() {
    let before = TestService::start(&[]).await;
    before.set_room(&json!({ "capacity": 2 })).await;
    let (inside, leaver) = (before.visitor(8).await, before.visitor(9).await);
    before.get("/points/balance", &inside).await.is(200);
    before.get("/points/balance", &leaver).await.is(200);
    let (first, second) = (before.token(1).await, before.token(2).await);
    // As if it were away for a quarter of a minute: who asked each second was not heard of for longer than counts as present,
    // who asked seldom still is, one visit idled, and one is over.
    let ran_at = (clock::unix_ms() - 15_000).to_string();
    let meanwhile: [&[&str]; 4] = [
        &["HSET", "anteroom:{main}:room", "ranAt", &ran_at],
        &["ZADD", "anteroom:{main}:present", "XX", "1", "user00001"],
        &["ZADD", "anteroom:{main}:idle", "XX", "1", "user00008"],
        &["ZADD", "anteroom:{main}:active", "XX", "1", "user00009"],
    ];
    let service = before.restarted(&meanwhile).await;
    assert_eq!(room(&service).await["effectiveState"], "recovering");
    let place = service.get("/queue/position", &second).await;
    assert_eq!((place.text("status"), &place.body["position"]), ("waiting", &json!(2)));
    sleep(Duration::from_secs(6)).await;
    for (token, status) in [(&first, "waiting"), (&second, "waiting"), (&inside, "active"), (&leaver, "expired")] {
        assert_eq!(service.get("/queue/position", token).await.text("status"), status);
    }
    service.until(&first, "active").await;
    assert_eq!(service.get("/queue/position", &second).await.body["position"], 1);
    service.get("/points/balance", &inside).await.is(200);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_room_lets_the_first_in_at_once_however_long_nobody_looked_at_it() {
    let service = TestService::start(&[]).await.restarted(&[&["HSET", "anteroom:{main}:room", "ranAt", "1"]]).await;
    assert_eq!(service.log_in("user00001", PASSWORD).await.is(200).text("status"), "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_closed_room_ends_but_for_those_who_are_there() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let (gone, there) = (service.token(1).await, service.token(2).await);
    let long_ago = (clock::unix_ms() - LONG_MS).to_string();
    service.redis(&["ZADD", "anteroom:{main}:present", "XX", &long_ago, "user00001"]);
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(room(&service).await["waiting"], 2, "an open room keeps its line");
    service.set_room(&json!({ "state": "closed" })).await;
    until(async || (room(&service).await["waiting"] == 1).then_some(())).await;
    assert_eq!(service.get("/queue/position", &gone).await.text("status"), "expired");
    assert_eq!(service.get("/queue/position", &there).await.body["position"], 1);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_that_outlived_the_joining_after_it_is_not_believed() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let left = service.token(1).await;
    service.delete("/queue/position", &left).await.is(204);
    let left_at = clock::unix_ms().to_string();
    // Tokens tell seconds: the next is younger than the leaving.
    sleep(Duration::from_millis(1_100)).await;
    let joined = service.token(1).await;
    service.redis(&["FLUSHDB"]);
    service.redis(&["ZADD", "anteroom:{main}:left", &left_at, "user00001"]);
    let known = async || {
        let place = service.get("/queue/position", &left).await.body;
        Some(place).filter(|place| place["epoch"] == 2 && place.get("stale").is_none())
    };
    assert_eq!(until(known).await["status"], "left");
    assert_eq!(service.until(&joined, "waiting").await["epoch"], 2);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_cannot_be_set_up_keeps_no_other_from_its_settings() {
    let service = TestService::start(&[]).await;
    service.redis(&["SET", "anteroom:{broken}:room", "no hash"]);
    let make = "insert into rooms (name, state, capacity, admit_per_second) \
                values ('broken', 'open', 1, 1), ('later', 'open', 1, 1)";
    service.sql(make).await;
    let known = async || {
        let joined = service.token_for("user00001", PASSWORD, "later").await;
        (joined.status == 200).then_some(joined)
    };
    assert_eq!(until(known).await.text("room"), "later");
}
