//! What remains true when a store forgets, restarts or is gone for a while.

use std::time::Duration;

use anteroom::cli::stores::{PostgresServer, RedisServer};
use anteroom::clock;
use deadpool_redis::redis;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::service::{Answer, PASSWORD, TestService, claims_of};
use crate::support::{database, redis_database};

/// A login waits for its check, so that each of these tests has accounts and no attempts.
const SETTINGS: [(&str, &str); 1] = [("login_wait_ms", "15000")];

/// Between two looks at what must come.
const PAUSE: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_lost_stands_in_the_old_order_again() {
    let one = TestService::start(&SETTINGS).await;
    let other = one.another().await;
    one.set_room(&json!({ "capacity": 3 })).await;
    let mut tokens = Vec::new();
    for number in 1..=8 {
        tokens.push(one.token(number).await);
    }
    join_all(tokens[..3].iter().map(|token| one.until(token, "active"))).await;
    pay(&one, &tokens[2], "B1").await;
    let before = join_all(tokens[3..].iter().map(|token| one.get("/queue/position", token))).await;
    assert_eq!(positions(&before), (1..=5).map(Some).collect::<Vec<_>>());

    say(&one.redis_url, &["FLUSHDB"]);
    let lost = clock::now();
    for (at, token) in tokens.iter().enumerate().rev() {
        let service = if at % 2 == 0 { &one } else { &other };
        let place = at_epoch(service, token, 2).await;
        // Who has paid since the token was made is not let in again.
        let expected = if at == 2 { "expired" } else { "waiting" };
        assert_eq!((&place["status"], &place["position"]), (&json!(expected), &Value::Null), "{place}");
    }
    let back: Vec<_> = tokens.iter().enumerate().filter(|(at, _)| *at != 2).map(|(_, token)| token).collect();
    while lost.elapsed() < Duration::from_millis(12_500) {
        for place in join_all(back.iter().map(|token| other.get("/queue/position", token))).await {
            assert_eq!(
                (&place.body["status"], &place.body["epoch"]),
                (&json!("waiting"), &json!(2)),
                "{:?}",
                place.body
            );
        }
        sleep(PAUSE).await;
    }
    // First those who were inside, then the line as it was.
    join_all(back[..3].iter().map(|token| one.until(token, "active"))).await;
    sleep(PAUSE).await;
    let after = until(async || {
        let places = join_all(back[3..].iter().map(|token| other.get("/queue/position", token))).await;
        (positions(&places) == (1..=4).map(Some).collect::<Vec<_>>()).then_some(places)
    });
    after.await;

    let taken = one.post("/reservations", back[0], &json!({ "scheduleId": 12345, "seatId": "B1" })).await;
    assert_eq!((taken.status, taken.code()), (StatusCode::CONFLICT, "seat-taken"));
    assert_eq!(one.delete("/queue/position", back[0]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(one.get("/queue/position", back[0]).await.body["status"], "left");
    one.until(back[3], "active").await;
    one.assert_invariants().await;
    other.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_not_asked_about_yet_outlives_a_loss() {
    let service = TestService::start(&[("login_wait_ms", "0")]).await;
    service.set_room(&json!({ "state": "paused" })).await;
    let mut tokens = Vec::new();
    for user in ["user00001", "user00002", "user00003"] {
        let place = service.log_in(user, PASSWORD).await;
        assert_eq!(place.body["status"], "verifying", "{:?}", place.body);
        tokens.push(place.body["token"].as_str().unwrap().to_owned());
    }
    say(&service.redis_url, &["FLUSHDB"]);
    for token in tokens.iter().rev() {
        at_epoch(&service, token, 2).await;
        let verified = until(async || {
            Some(service.get("/queue/position", token).await.body).filter(|p| p["token"] != Value::Null)
        });
        assert_eq!(verified.await["status"], "waiting");
    }
    service.set_room(&json!({ "state": "open", "capacity": 1 })).await;
    service.until(&tokens[0], "active").await;
    let behind = service.get("/queue/position", &tokens[2]).await;
    assert_eq!(behind.body["position"], 2, "{:?}", behind.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_again_while_the_line_comes_back_still_stands_where_they_stood() {
    let service = TestService::start(&SETTINGS).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let (first, second) = (service.token(1).await, service.token(2).await);
    say(&service.redis_url, &["FLUSHDB"]);
    at_epoch(&service, &second, 2).await;
    // Another tab logs in, without the token of before: it is given a number behind all others.
    assert_eq!(service.log_in("user00001", PASSWORD).await.is(200).body["epoch"], 2);
    at_epoch(&service, &first, 2).await;
    let known = async || {
        let places = [service.get("/queue/position", &first).await, service.get("/queue/position", &second).await];
        Some(positions(&places)).filter(|known| known.iter().all(Option::is_some))
    };
    assert_eq!(until(known).await, [Some(1), Some(2)]);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_only_renews_another_brings_nobody_back_to_a_place_that_was_used_up() {
    let service = TestService::start(&SETTINGS).await;
    let first = service.visitor(1).await;
    pay(&service, &first, "B1").await;
    assert_eq!(service.delete("/queue/position", &first).await.status, StatusCode::NO_CONTENT);
    service.set_room(&json!({ "capacity": 0 })).await;
    // Tokens tell seconds: those that follow are younger than the payment.
    sleep(Duration::from_millis(1_100)).await;
    let other = service.token(2).await;
    let again = service.token(1).await;
    assert_eq!(service.get("/queue/position", &again).await.body["position"], 2);
    let soon = service.ending_in(60, &first);
    let renewed = until(async || service.get("/queue/position", &soon).await.body["token"].as_str().map(str::to_owned));
    let renewed = renewed.await;
    let (told, was) = (claims_of(&renewed), claims_of(&first));
    assert_eq!((told.number, told.since()), (was.number, was.iat));
    assert!(told.iat > was.iat && told.exp > was.exp, "{told:?}");

    say(&service.redis_url, &["FLUSHDB"]);
    assert_eq!(at_epoch(&service, &renewed, 2).await["status"], "expired");
    at_epoch(&service, &other, 2).await;
    at_epoch(&service, &again, 2).await;
    let known = async || {
        let places = [service.get("/queue/position", &other).await, service.get("/queue/position", &again).await];
        Some(positions(&places)).filter(|known| known.iter().all(Option::is_some))
    };
    assert_eq!(until(known).await, [Some(1), Some(2)]);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_cut_off_or_restarted_is_noticed_and_nobody_loses_a_place() {
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let service = TestService::fresh(redis.url(), &database().await, &SETTINGS).await;
    service.set_room(&json!({ "capacity": 1 })).await;
    let inside = service.visitor(1).await;
    let held = hold(&service, &inside, "B1").await;
    let (second, third) = (service.token(2).await, service.token(3).await);

    say(redis.url(), &["SCRIPT", "FLUSH"]);
    assert_eq!(service.log_in("user00002", PASSWORD).await.body["position"], 1);
    say(redis.url(), &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let mut errors = 0;
    for _ in 0..20 {
        let place = service.log_in("user00003", PASSWORD).await;
        assert!(place.status == StatusCode::OK || place.status == StatusCode::SERVICE_UNAVAILABLE, "{place:?}");
        errors += usize::from(place.status != StatusCode::OK);
    }
    assert!(errors <= 2, "{errors} errors; there are two lanes");
    assert_eq!(service.get("/queue/position", &third).await.body["epoch"], 1, "nothing was lost");

    redis.stop().await.unwrap();
    unavailable(&service.log_in("user00002", PASSWORD).await);
    // A visit that was just seen is believed for a second.
    sleep(Duration::from_secs(1)).await;
    unavailable(&service.post("/reservations", &inside, &json!({ "scheduleId": 12345, "seatId": "B2" })).await);
    unavailable(&service.post("/reservations/pay", &inside, &held).await);
    let stale = until(async || Some(service.get("/queue/position", &third).await).filter(|a| a.body["stale"] == true));
    assert_eq!(stale.await.body["position"], 2, "the last answer, marked as such");

    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    assert_eq!(redis.url(), service.redis_url, "the port is free still");
    assert_eq!(at_epoch(&service, &third, 2).await["position"], Value::Null);
    assert_eq!(at_epoch(&service, &inside, 2).await["status"], "active", "who is inside stays so");
    let paid = service.post("/reservations/pay", &inside, &held).await;
    assert_eq!(paid.status, StatusCode::OK, "{:?}", paid.body);
    assert_eq!(service.delete("/queue/position", &inside).await.status, StatusCode::NO_CONTENT);
    service.until(&second, "active").await;
    let third_now =
        until(async || Some(service.get("/queue/position", &third).await).filter(|a| a.body["position"] == 1));
    assert_eq!(third_now.await.body["status"], "waiting");
    service.assert_invariants().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_people_join_and_see_where_they_stand_but_nobody_is_let_in_or_pays() {
    let dir = TempDir::new().unwrap();
    let postgres = PostgresServer::start(dir.path(), &[]).await.unwrap();
    let settings = [SETTINGS[0], ("database_wait_ms", "300")];
    let service = TestService::fresh(&redis_database(), postgres.url(), &settings).await;
    service.set_room(&json!({ "capacity": 2 })).await;
    let (first, second) = (service.visitor(1).await, service.visitor(2).await);
    let third = service.token(3).await;
    let order = hold(&service, &first, "B1").await;

    let url = postgres.url().to_owned();
    postgres.stop().await.unwrap();
    // What sees Postgres go, and what pauses admission, are not one look: the second may come a second later.
    until(async || service.get("/readyz", "").await.body.to_string().contains("paused while Postgres").then_some(()))
        .await;
    assert_eq!(service.delete("/queue/position", &second).await.status, StatusCode::NO_CONTENT);
    let refused = service.post("/reservations/pay", &first, &order).await;
    unavailable(&refused);
    let again = service.log_in("user00003", PASSWORD).await;
    assert_eq!((again.status, &again.body["position"]), (StatusCode::OK, &json!(1)), "{:?}", again.body);
    hold(&service, &first, "B2").await;
    for _ in 0..8 {
        assert_eq!(service.get("/queue/position", &third).await.body["status"], "waiting");
        sleep(PAUSE).await;
    }

    let postgres = PostgresServer::start(dir.path(), &[]).await.unwrap();
    assert_eq!(postgres.url(), url, "the port is free still");
    service.until(&third, "active").await;
    let paid =
        until(async || Some(service.post("/reservations/pay", &first, &order).await).filter(|a| a.status == 200));
    assert_eq!(paid.await.body["status"], "confirmed");
    service.assert_invariants().await;
    postgres.stop().await.unwrap();
}

/// Holds a seat; the order that pays it.
async fn hold(service: &TestService, token: &str, seat: &str) -> Value {
    let held = service.post("/reservations", token, &json!({ "scheduleId": 12345, "seatId": seat })).await;
    assert_eq!(held.status, StatusCode::OK, "{:?}", held.body);
    json!({ "reservationId": held.body["reservationId"], "amount": held.body["amount"] })
}

async fn pay(service: &TestService, token: &str, seat: &str) {
    let order = hold(service, token, seat).await;
    let paid = service.post("/reservations/pay", token, &order).await;
    assert_eq!(paid.status, StatusCode::OK, "{:?}", paid.body);
}

fn positions(places: &[Answer]) -> Vec<Option<u64>> {
    places.iter().map(|place| place.body["position"].as_u64()).collect()
}

/// The place, once the service knows of the epoch.
async fn at_epoch(service: &TestService, token: &str, epoch: u64) -> Value {
    let known = until(async || {
        let place = service.get("/queue/position", token).await;
        assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&place.status), "{place:?}");
        Some(place.body).filter(|place| place["epoch"] == epoch && place.get("stale").is_none())
    });
    known.await
}

fn unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
}

/// Looks until something is there.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let began = clock::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(25), "it never came");
        sleep(PAUSE).await;
    }
}

fn say(url: &str, command: &[&str]) {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    redis::cmd(command[0]).arg(&command[1..]).exec(&mut connection).unwrap();
}
