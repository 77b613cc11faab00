//! The contract of operators, and of health.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::contract::until;
use crate::support::service::PASSWORD;
use crate::support::{TestService, database, redis_database};

#[tokio::test(flavor = "multi_thread")]
async fn operators_need_their_token_and_their_listener() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    for (method, path) in [
        (Method::GET, "/admin/rooms"),
        (Method::GET, "/admin/rooms/main"),
        (Method::PATCH, "/admin/rooms/main"),
        (Method::GET, "/admin/invariants"),
    ] {
        let ask = |url: &str| Client::new().request(method.clone(), format!("{url}{path}")).json(&json!({}));
        let public = service.send(ask(&service.url).bearer_auth("the-operators-of-the-tests")).await;
        public.refused(404, "not-found");
        service.send(ask(&service.admin_url)).await.refused(401, "admin-unauthorized");
        for token in ["", "the-operators-of-the-test", "the-operators-of-the-testsX", visitor.as_str()] {
            let refused = service.send(ask(&service.admin_url).bearer_auth(token)).await;
            refused.refused(401, "admin-unauthorized");
        }
        service.send(service.admin(method.clone(), path).json(&json!({}))).await.is(200);
    }
    service.get("/metrics", "").await.refused(404, "not-found");
    let inside = Client::new().get(format!("{}/queue/position", service.admin_url)).bearer_auth(&visitor);
    service.send(inside).await.refused(404, "not-found");
    assert_eq!(service.number("select count(*) from audit_log").await, 1, "one change was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_changed_by_who_saw_its_last_version_and_the_change_is_written_down() {
    let service = TestService::start(&[]).await;
    let room = service.send(service.admin(Method::GET, "/admin/rooms/main")).await;
    room.is(200).has(&[
        "room",
        "state",
        "capacity",
        "admitPerSecond",
        "opensAt",
        "closesAt",
        "draw",
        "claimSeconds",
        "graceSeconds",
        "visitSeconds",
        "idleSeconds",
        "holdSeconds",
        "message",
        "adaptive",
    ]);
    let list = service.send(service.admin(Method::GET, "/admin/rooms")).await;
    assert_eq!(list.is(200).body["rooms"][0]["room"], "main");
    let etag = room.header("etag").to_owned();
    let change = |etag: &str, change: Value| {
        service.send(service.admin(Method::PATCH, "/admin/rooms/main").header("if-match", etag).json(&change))
    };
    let changed = change(&etag, json!({ "capacity": 7, "message": "Hi", "reason": "A test." })).await;
    assert_eq!((&changed.is(200).body["capacity"], &changed.body["message"]), (&json!(7), &json!("Hi")));
    assert_eq!(changed.body["admitPerSecond"], room.body["admitPerSecond"], "what is absent stays");
    for stale in [etag.as_str(), "\"0\"", "\"nothing\"", "", "\"\u{e4}\""] {
        let stale = change(stale, json!({ "capacity": 8 })).await;
        assert_eq!(stale.refused(412, "stale-version").body["current"]["capacity"], 7);
    }
    change("*", json!({ "message": null })).await.is(200);
    change(changed.header("etag"), json!({ "capacity": 9 })).await.refused(412, "stale-version");

    for (wrong, field) in [
        (json!({ "capacity": -1 }), "capacity"),
        (json!({ "capacity": 1_000_001 }), "capacity"),
        (json!({ "capacity": 2.5 }), "capacity"),
        (json!({ "capacity": "7" }), "capacity"),
        (json!({ "admitPerSecond": -0.1 }), "admitPerSecond"),
        (json!({ "admitPerSecond": 1e6 }), "admitPerSecond"),
        (json!({ "state": "recovering" }), "state"),
        (json!({ "state": "ajar" }), "state"),
        (json!({ "holdSeconds": 0 }), "holdSeconds"),
        (json!({ "visitSeconds": 86_401 }), "visitSeconds"),
        (json!({ "opensAt": "tomorrow" }), "opensAt"),
        (json!({ "opensAt": "2099-01-02T00:00:00Z", "closesAt": "2099-01-01T00:00:00Z" }), "closesAt"),
        (json!({ "message": "x".repeat(501) }), "message"),
        (json!({ "message": "\u{0}" }), "message"),
        (json!({ "draw": 1 }), "draw"),
    ] {
        let refused = service.patch_room("main", &wrong).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], field, "{wrong}");
    }
    service.patch_room("nowhere", &json!({})).await.refused(404, "unknown-room");
    service.send(service.admin(Method::GET, "/admin/rooms/nowhere")).await.refused(404, "unknown-room");
    assert_eq!(service.number("select count(*) from audit_log").await, 2, "refused changes are no changes");
    let written = "select count(*) from audit_log where actor = 'admin' and room = 'main' and reason = 'A test.'
        and before ->> 'capacity' = '2000' and after ->> 'capacity' = '7'";
    assert_eq!(service.number(written).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_capacity_and_a_new_rate_hold_from_then_on() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let mut tokens = Vec::new();
    for number in 1..=6 {
        tokens.push(service.token(number).await);
    }
    service.set_room(&json!({ "capacity": 2 })).await;
    // Whoever was not told yet that they are inside may be answered from memory for a moment.
    for token in &tokens[..2] {
        service.until(token, "active").await;
    }
    let third = service.log_in("user00003", PASSWORD).await;
    assert_eq!((third.is(200).text("status"), &third.body["position"]), ("waiting", &json!(1)));
    service.set_room(&json!({ "capacity": 1 })).await;
    for token in &tokens[..2] {
        service.get("/points/balance", token).await.is(200);
    }
    service.delete("/queue/position", &tokens[0]).await.is(204);
    let still = service.log_in("user00003", PASSWORD).await;
    assert_eq!(still.is(200).text("status"), "waiting", "one is inside, and there is room for one");

    service.set_room(&json!({ "capacity": 100, "admitPerSecond": 0.0 })).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let none = service.send(service.admin(Method::GET, "/admin/rooms/main")).await;
    assert!(none.body["active"].as_u64().unwrap() <= 2, "{:?}", none.body);
    service.set_room(&json!({ "admitPerSecond": 500.0 })).await;
    service.until(&tokens[5], "active").await;
    // Operators see the room as the last run of the scheduler left it.
    let all_inside = until(async || {
        let room = service.send(service.admin(Method::GET, "/admin/rooms/main")).await.body;
        (room["active"] == 5 && room["waiting"] == 0).then_some(())
    });
    all_inside.await;
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_and_metrics_are_read_from_the_stores() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    service.pay(&visitor, &held).await.is(200);
    let ask = async || service.send(service.admin(Method::GET, "/admin/invariants")).await;
    let sound = ask().await;
    assert_eq!(sound.is(200).body["ok"], true, "{:#}", sound.body);
    for check in sound.body["checks"].as_array().unwrap() {
        assert!(check["name"].is_string() && check["detail"].is_string() && check["ok"] == true, "{check}");
    }
    let broken = async |what: &str| {
        let told = ask().await;
        let checks = told.is(200).body["checks"].as_array().unwrap();
        let names: Vec<_> = checks.iter().filter(|check| check["ok"] == false).map(|check| &check["name"]).collect();
        assert!(told.body["ok"] == false && !names.is_empty(), "{what} is not noticed");
    };
    until(async || (service.number("select count(*) from outbox").await == 0).then_some(())).await;
    service.redis(&["HDEL", "anteroom:{s:12345}:sold", "B1"]);
    broken("a sold seat that Redis lost").await;
    service.redis(&["HSET", "anteroom:{s:12345}:sold", "B1", held.text("reservationId")]);
    assert_eq!(ask().await.body["ok"], true);
    service.redis(&["HSET", "anteroom:{s:12345}:sold", "B2", "made-up"]);
    broken("a sale that Postgres does not know").await;
    service.redis(&["HDEL", "anteroom:{s:12345}:sold", "B2"]);
    service.sql("update accounts set balance = balance + 1 where user_id = 'user00002'").await;
    broken("a balance without an entry").await;

    let metrics = Client::new().get(format!("{}/metrics", service.admin_url)).send().await.unwrap();
    assert_eq!(metrics.status(), 200);
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = metrics.text().await.unwrap();
    for name in ["anteroom_joins_total{", "anteroom_payments_total{", "http_request_duration_seconds_bucket{"] {
        assert!(text.contains(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_what_is_missing_and_liveness_is_the_process_alone() {
    let service = TestService::start(&[]).await;
    let failing = |body: &Value| {
        let checks = body["checks"].as_array().unwrap().iter();
        let failing = checks.filter(|check| check["ok"] == false);
        failing.map(|check| check["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let ask = async |url: &str, path: &str| service.send(Client::new().get(format!("{url}{path}"))).await;
    for url in [&service.url, &service.admin_url] {
        ask(url, "/livez").await.is(200);
        let ready = ask(url, "/readyz").await;
        assert_eq!((&ready.is(200).body["ready"], failing(&ready.body)), (&json!(true), vec![]));
    }
    let (server, name) = service.database_url.rsplit_once('/').unwrap();
    let mut postgres = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let shut = format!(
        "alter database {name} with allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(shut)).execute(&mut postgres).await.unwrap();
    // What was seen a moment ago is told again: a crowd that asks is no work for the stores.
    until(async || (ask(&service.url, "/readyz").await.status == 503).then_some(())).await;
    for url in [&service.url, &service.admin_url] {
        ask(url, "/livez").await.is(200);
        let ready = ask(url, "/readyz").await;
        assert_eq!(failing(&ready.is(503).body), ["postgres"], "{:?}", ready.body);
        assert_eq!(ready.header("retry-after"), "1");
        assert!(!ready.body.to_string().contains("postgres://"));
    }
    let open = format!("alter database {name} with allow_connections true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(open)).execute(&mut postgres).await.unwrap();
    // It is there for the pulse again as soon as a new connection is made.
    until(async || (ask(&service.url, "/readyz").await.status == 200).then_some(())).await;

    let empty = TestService::on(&redis_database(), &database().await, &[]).await;
    // There is no room. On a busy machine Postgres takes its time for the first answer.
    let only = async |check: &str| failing(&ask(&empty.url, "/readyz").await.is(503).body) == [check];
    until(async || only("admission").await.then_some(())).await;
}
