//! What the stock and the load advise, in a whole service.

use anteroom::booking;
use anteroom::cli::seed;
use anteroom::queue::{self, Strain};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::{Answer, PASSWORD};

async fn room(service: &TestService, name: &str) -> Value {
    let answer: Answer = service.send(service.admin(Method::GET, &format!("/admin/rooms/{name}"))).await;
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_lets_in_no_more_than_its_seats_need_and_says_when_it_is_sold_out() {
    let service = TestService::start(&[("login_wait_ms", "15000")]).await;
    service.other_room().await;
    service.patch_room("other", &json!({ "capacity": 100 })).await.is(200);
    until(async || (room(&service, "other").await["seatsLeft"] == 2).then_some(())).await;
    let mut tokens = Vec::new();
    for number in 1..=14 {
        let place = service.token_for(&seed::user_name(number), PASSWORD, "other").await;
        tokens.push(place.is(200).text("token").to_owned());
    }
    until(async || (room(&service, "other").await["active"] == 12).then_some(())).await;
    until(async || (room(&service, "other").await["heldBackBy"] == "stock").then_some(())).await;

    let first = service.until(&tokens[0], "active").await;
    assert_eq!(first["roomState"], "open");
    let held = service.post("/reservations", &tokens[0], &json!({ "scheduleId": 1, "seatIds": ["A1", "A2"] })).await;
    service.pay(&tokens[0], &held).await.is(200);
    until(async || (room(&service, "other").await["effectiveState"] == "sold-out").then_some(())).await;
    let told = async || {
        let place = service.get("/queue/position", &tokens[13]).await.body;
        (place["roomState"] == "sold-out").then_some(place)
    };
    let place = until(told).await;
    assert_eq!((&place["status"], &place["eta"]), (&json!("waiting"), &json!(null)));
    assert_eq!(service.get("/queue/rooms/other", "").await.body["state"], "sold-out");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_cannot_be_read_keeps_no_other_room_from_being_told_its_stock() {
    let service = TestService::start(&[]).await;
    service.redis(&["SET", "anteroom:{s:12345}:held", "no set"]);
    service.other_room().await;
    until(async || booking::sweep_holds(&service.service.app.booking).await.is_err().then_some(())).await;
    until(async || (room(&service, "other").await["seatsLeft"] == 2).then_some(())).await;
    service.redis(&["DEL", "anteroom:{s:12345}:held"]);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strained_service_lets_in_fewer_where_the_room_adapts_and_says_so() {
    let service = TestService::start(&[("login_wait_ms", "15000")]).await;
    service.set_room(&json!({ "admitPerSecond": 0.5, "adaptive": true, "capacity": 100 })).await;
    until(async || (room(&service, "main").await["targetPerSecond"] == 0.5).then_some(())).await;
    for number in 1..=4 {
        service.token(number).await;
    }
    let strained = Strain { booking_p95_ms: Some(1_000), ..Strain::default() };
    let lowered = async || {
        queue::advise(&service.service.app.queue, strained).await.unwrap();
        let room = room(&service, "main").await;
        (room["targetPerSecond"].as_f64().unwrap() < 0.1 && room["heldBackBy"] == "load").then_some(())
    };
    until(lowered).await;
    service.set_room(&json!({ "adaptive": false, "admitPerSecond": 500.0 })).await;
    until(async || (room(&service, "main").await["targetPerSecond"] == 500.0).then_some(())).await;
    until(async || (room(&service, "main").await["active"] == 4).then_some(())).await;
    service.assert_invariants().await;
}
