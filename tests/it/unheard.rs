//! What nobody could say counts against nobody.

use std::time::Duration;

use anteroom::clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::TestService;
use crate::support::service::PASSWORD;

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
