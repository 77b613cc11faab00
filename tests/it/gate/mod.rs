//! The gate for other sites: what a proxy is answered, the published keys, and what any cache may keep.

mod events;
mod keys;
mod proxies;

use anteroom::cli::stores::RedisServer;
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::contract::until;
use crate::support::service::Answer;
use crate::support::{TestService, database};

/// What a proxy is answered: it follows nothing.
pub(crate) async fn verify(service: &TestService, query: &str, headers: &[(&str, &str)]) -> Answer {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let request = client.get(format!("{}/queue/verify{query}", service.url));
    service.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_inside_is_let_through_under_their_name() {
    let service = TestService::start(&[]).await;
    let token = service.visitor(1).await;
    let place = service.get("/queue/position", &token).await;
    for query in ["", "?room=main", "?mode=status", "?room=main&mode=redirect"] {
        let cookie = format!("a=b; anteroom_token={token}");
        for carried in [("authorization", bearer(&token)), ("cookie", cookie)] {
            let answer = verify(&service, query, &[(carried.0, &carried.1)]).await;
            let told = ["x-queue-user", "x-queue-room", "x-queue-until"].map(|name| answer.is(200).header(name));
            assert_eq!(told, ["user00001", "main", place.text("activeUntil")]);
            assert_eq!((answer.header("cache-control"), answer.header("x-queue-redirect")), ("no-store", ""));
        }
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD] {
        let asked = service.send(service.request(method, "/queue/verify", &token)).await;
        assert_eq!(asked.is(200).header("x-queue-user"), "user00001", "Envoy asks with the visitor's own method");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_sites_own_hides_no_cookie() {
    let service = TestService::start(&[]).await;
    let cookie = format!("anteroom_token={}", service.visitor(1).await);
    for own in ["Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2l0ZQ", "Bearer opaque", "Basic dXNlcjpwYXNz"] {
        let answer = verify(&service, "", &[("authorization", own), ("cookie", &cookie)]).await;
        assert_eq!(answer.is(200).header("x-queue-user"), "user00001", "{own}");
        verify(&service, "", &[("authorization", own)]).await.refused(401, "invalid-token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_inside_is_sent_to_the_waiting_page_and_back() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let inside_other = service.token_for("testuser", "testpass", "other").await.text("token").to_owned();
    service.set_room(&json!({ "capacity": 0 })).await;
    let waiting = service.token(1).await;
    let altered = format!("{}x", &waiting[..waiting.len() - 1]);
    let page = "/wait/main?return=%2Fshop%3Fa%3D1";
    for (token, code) in [
        ("", "invalid-token"),
        (altered.as_str(), "invalid-token"),
        (waiting.as_str(), "admission-required"),
        (inside_other.as_str(), "admission-required"),
    ] {
        let carried = bearer(token);
        let mut headers = vec![("x-original-uri", "/shop?a=1")];
        if !token.is_empty() {
            headers.push(("authorization", &carried));
        }
        let refused = verify(&service, "?room=main", &headers).await;
        refused.refused(401, code);
        assert_eq!((refused.header("x-queue-redirect"), refused.header("location")), (page, ""));
        let led = verify(&service, "?room=main&mode=redirect", &headers).await;
        assert_eq!((led.is(303).header("x-queue-redirect"), led.header("location")), (page, page));
        assert_eq!((led.header("cache-control"), led.header("x-queue-user")), ("no-store", ""));
    }
    let refused = verify(&service, "", &[("authorization", &bearer(&waiting))]).await;
    assert_eq!(refused.body["place"]["position"], 1);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    for (query, status, code) in [
        ("?room=nowhere", 404, "unknown-room"),
        ("?room=A", 422, "validation-failed"),
        ("?mode=x", 422, "validation-failed"),
    ] {
        verify(&service, query, &[]).await.refused(status, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_through_or_sent_away_blindly_while_redis_is_gone() {
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let service = TestService::fresh(redis.url(), &database().await, &[]).await;
    let token = bearer(&service.visitor(1).await);
    verify(&service, "", &[("authorization", &token)]).await.is(200);
    redis.stop().await.unwrap();
    for mode in ["status", "redirect"] {
        // A visit that was just seen is believed for a second.
        let unsure = until(async || {
            let asked = verify(&service, &format!("?mode={mode}"), &[("authorization", &token)]).await;
            (asked.status != 200).then_some(asked)
        });
        unsure.await.refused(503, "unavailable");
    }
    assert_eq!(verify(&service, "?mode=redirect", &[]).await.is(303).header("location"), "/wait/main");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_status_of_a_room_may_be_kept_by_any_cache() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "message": "Hello" })).await;
    until(async || service.get("/queue/rooms/main", "").await.body["message"].is_string().then_some(())).await;
    let token = service.token(1).await;
    let openly = || reqwest::Client::new().get(format!("{}/queue/rooms/main", service.url));
    let known = || service.request(Method::GET, "/queue/rooms/main", &token).header("cookie", "a=b");
    for request in [openly(), known()] {
        let answer = service.send(request).await;
        let told = ["cache-control", "vary", "set-cookie"].map(|name| answer.is(200).header(name));
        assert_eq!(told, ["public, max-age=1", "", ""], "the same for all");
    }
    // The counts of the room may change between two looks.
    let mut etag = String::new();
    for form in ["ETAG", "W/ETAG", "\"x\", ETAG", "*"] {
        let same = until(async || {
            let etag = service.send(openly()).await.is(200).header("etag").to_owned();
            let same = service.send(openly().header("if-none-match", form.replace("ETAG", &etag))).await;
            (same.status == 304).then_some(same)
        });
        let same = same.await;
        same.header("etag").clone_into(&mut etag);
        assert!(etag.starts_with('"') && etag.len() > 8, "{etag}");
        assert_eq!((same.header("cache-control"), &same.body), ("public, max-age=1", &Value::Null));
    }
    service.set_room(&json!({ "message": "Hello again" })).await;
    let changed = until(async || {
        let answer = service.send(openly().header("if-none-match", &etag)).await;
        (answer.status != 304).then_some(answer)
    });
    assert_eq!(changed.await.is(200).text("message"), "Hello again");
}
