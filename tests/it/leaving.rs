//! Leaving by a beacon: what a page may send that is closed, also one of another site.

use deadpool_redis::redis;
use reqwest::header::{CONTENT_TYPE, COOKIE};
use reqwest::{Client, RequestBuilder};
use serde_json::json;

use crate::support::TestService;

/// A beacon, as `navigator.sendBeacon` sends it from a page of another site.
fn beacon(service: &TestService, content_type: &str, body: &str) -> RequestBuilder {
    let sent = Client::new().post(format!("{}/queue/leave", service.url)).header("sec-fetch-site", "cross-site");
    sent.header(CONTENT_TYPE, content_type).body(body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_of_another_site_brings_its_token_in_the_body() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    for (number, content_type) in [(1, "application/json"), (2, "text/plain;charset=UTF-8")] {
        let token = service.token(number).await;
        let left = beacon(&service, content_type, &json!({ "token": token }).to_string());
        service.send(left).await.is(204);
        service.until(&token, "left").await;
    }
    let token = service.token(3).await;
    let altered = json!({ "token": format!("{token}x") }).to_string();
    service.send(beacon(&service, "application/json", &altered)).await.refused(401, "invalid-token");
    service.send(beacon(&service, "application/json", "{")).await.refused(400, "malformed-body");
    service.send(beacon(&service, "application/json", "{}")).await.refused(401, "invalid-token");
    // The cookie alone is not meant by a page of another site, and a body without a token changes nothing about that.
    let cookie = format!("anteroom_token={token}");
    let foreign = beacon(&service, "application/json", "{}").header(COOKIE, &cookie);
    service.send(foreign).await.refused(403, "cross-origin");
    service.until(&token, "waiting").await;
    let own = Client::new().post(format!("{}/queue/leave", service.url)).header(COOKIE, &cookie);
    service.send(own.header("sec-fetch-site", "same-origin")).await.is(204);
    service.until(&token, "left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_up_the_place_of_its_own_room_only() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let main = service.token(1).await;
    let other = service.token_for("user00001", crate::support::service::PASSWORD, "other").await;
    for token in [&main, other.text("token")] {
        let left = service.request(reqwest::Method::DELETE, "/queue/position", token).header("idempotency-key", "k");
        assert!(!service.send(left).await.is(204).replayed());
        service.until(token, "left").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_id_after_the_question_mark_must_be_the_callers_on_every_route() {
    let service = TestService::start(&[]).await;
    let token = service.visitor(1).await;
    for path in
        ["/queue/position", "/reservations", "/reservations/r1", "/points/balance", "/reservations/available/dates"]
    {
        service.get(&format!("{path}?userId=user00002"), &token).await.refused(403, "user-mismatch");
        let own = service.get(&format!("{path}?userId=user00001"), &token).await;
        assert_ne!(own.code(), "user-mismatch", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_more_keys_in_a_day_than_redis_should_remember() {
    let service = TestService::start(&[]).await;
    let token = service.token(1).await;
    let leave = async |key: &str| {
        let left = service.request(reqwest::Method::DELETE, "/queue/position", &token).header("idempotency-key", key);
        service.send(left).await
    };
    leave("first").await.is(204);
    service.redis(&["SET", "anteroom:{u:user00001}:keys", "1000", "PX", "60000"]);
    assert_ne!(leave("one-too-many").await.refused(429, "rate-limited").header("retry-after"), "");
    assert!(leave("first").await.is(204).replayed(), "what was answered is answered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_asked_about_only_where_a_hold_of_theirs_may_still_live() {
    let service = TestService::start(&[]).await;
    let (first, second, third) = (service.visitor(1).await, service.visitor(2).await, service.visitor(3).await);
    service.hold(&first, 12345, "B1").await.is(200);
    service.hold(&second, 12345, "B2").await.is(200);
    // As if the first had asked for seats ten minutes ago: a hold lasts for five.
    let mut redis = redis::Client::open(service.redis_url.as_str()).unwrap().get_connection().unwrap();
    let key = "anteroom:{u:user00001}:schedules";
    let noted: f64 = redis::cmd("ZSCORE").arg(key).arg(12345).query(&mut redis).unwrap();
    redis::cmd("ZADD").arg(key).arg(noted - 600_000.0).arg(12345).exec(&mut redis).unwrap();
    for token in [&first, &second] {
        service.delete("/queue/position", token).await.is(204);
    }
    service.hold(&third, 12345, "B2").await.is(200);
    service.hold(&third, 12345, "B1").await.refused(409, "seat-taken");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_keeps_what_is_paid_and_gives_back_what_is_held_beside_it() {
    let service = TestService::start(&[]).await;
    let (leaving, other) = (service.visitor(1).await, service.visitor(2).await);
    let paid = service.hold(&leaving, 12345, "B1").await;
    service.pay(&leaving, &paid).await.is(200);
    service.hold(&leaving, 12345, "B3").await.is(200);
    service.delete("/queue/position", &leaving).await.is(204);
    service.hold(&other, 12345, "B1").await.refused(409, "seat-taken");
    service.hold(&other, 12345, "B3").await.is(200);
    service.assert_invariants().await;
}
