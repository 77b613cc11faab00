//! The main job, whole: join, wait, get in, hold, pay.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::TestService;
use crate::support::service::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_joins_waits_gets_in_holds_pays_and_leaves() {
    let service = TestService::start(&[("login_wait_ms", "15000")]).await;
    service.set_room(&json!({ "capacity": 1 })).await;
    let first = service.visitor(1).await;

    let waiting = service.log_in("user00002", PASSWORD).await;
    assert_eq!((waiting.status, &waiting.body["status"]), (StatusCode::OK, &json!("waiting")), "{:?}", waiting.body);
    assert_eq!(waiting.body["position"], 1);
    let second = waiting.body["token"].as_str().unwrap().to_owned();
    let refused = service.post("/reservations", &second, &json!({ "scheduleId": 12347, "seatId": "A1" })).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "not-admitted"));
    assert_eq!(refused.body["place"]["status"], "waiting");
    assert!(refused.headers.contains_key("retry-after"));

    assert_eq!(service.delete("/queue/position", &first).await.status, StatusCode::NO_CONTENT);
    service.until(&second, "active").await;

    let dates = service.get("/reservations/available/dates", &second).await;
    assert_eq!(dates.body["dates"][0]["scheduleId"], "12345");
    let held = service.post("/reservations", &second, &json!({ "scheduleId": 12345, "seatIds": ["B1", "B2"] })).await;
    assert_eq!((held.status, &held.body["status"]), (StatusCode::OK, &json!("held")), "{:?}", held.body);
    let balance = service.get("/points/balance", &second).await.body["balance"].as_i64().unwrap();
    let order = json!({ "reservationId": held.body["reservationId"], "amount": held.body["amount"] });
    let paid = service.post("/reservations/pay", &second, &order).await;
    assert_eq!((paid.status, &paid.body["status"]), (StatusCode::OK, &json!("confirmed")), "{:?}", paid.body);
    assert_eq!(paid.body["balance"].as_i64(), Some(balance - held.body["amount"].as_i64().unwrap()));
    let again = service.post("/reservations/pay", &second, &order).await;
    assert_eq!(again.body["paymentId"], paid.body["paymentId"]);

    let left = service.send(service.request(Method::POST, "/queue/leave", &second)).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    let shut = service.post("/reservations", &second, &json!({ "scheduleId": 12345, "seatId": "C1" })).await;
    assert_eq!(shut.status, StatusCode::FORBIDDEN);
    let receipt =
        service.get(&format!("/reservations/{}", held.body["reservationId"].as_str().unwrap()), &second).await;
    assert_eq!(receipt.body["status"], "confirmed");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_ends_a_minute_after_a_payment_and_stays_so() {
    let service = TestService::start(&[]).await;
    let token = service.visitor(1).await;
    let held = service.post("/reservations", &token, &json!({ "scheduleId": 12345, "seatId": "B1" })).await;
    // What the hold asks for is noted by now; what the payment asks for is noted within the next second.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let order = json!({ "reservationId": held.body["reservationId"], "amount": held.body["amount"] });
    assert_eq!(service.post("/reservations/pay", &token, &order).await.status, StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let place = service.get("/queue/position", &token).await.body;
    let time = |field: &str| chrono::DateTime::parse_from_rfc3339(place[field].as_str().unwrap()).unwrap();
    assert!((time("activeUntil") - time("serverTime")).num_seconds() <= 60, "{place:?}");
}
