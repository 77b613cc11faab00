//! Requests with an `Idempotency-Key` whose answers Redis keeps: done once, whoever hangs up and whatever Redis takes.

use std::time::Duration;

use deadpool_redis::redis;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::Answer;

const MADE: &str = "select count(*) from concerts where title = 'Once'";

/// A service whose operators make a concert, and wait for its row until the connection is dropped. One request of
/// theirs at a time: the next one is let in when the first is answered, or given up.
async fn held_up() -> (TestService, PgConnection) {
    let service = TestService::start(&[("database_statement_ms", "100000"), ("in_flight.admin", "1")]).await;
    let mut blocker = PgConnection::connect(&service.database_url).await.unwrap();
    for statement in ["begin", "lock table concerts in exclusive mode"] {
        blocker.execute(statement).await.unwrap();
    }
    (service, blocker)
}

fn make(service: &TestService) -> RequestBuilder {
    let request = service.admin(Method::POST, "/admin/concerts").header("idempotency-key", "once");
    request.json(&json!({ "title": "Once" }))
}

/// Sends the request, and returns when its work has begun.
async fn begin(service: &TestService) -> JoinHandle<reqwest::Result<reqwest::Response>> {
    let sent = tokio::spawn(make(service).send());
    service.until_held_up().await;
    sent
}

/// The same, and hangs up: returns when the service has seen that.
async fn begin_and_hang_up(service: &TestService) {
    begin(service).await.abort();
    let next = until(async || Some(ask(service).await).filter(|answer| answer.code() != "overloaded")).await;
    next.refused(409, "idempotency-key-in-flight");
}

async fn ask(service: &TestService) -> Answer {
    service.send(make(service)).await
}

/// Red when the work is part of the request, and dropped with it: what is asked again is in flight for half a minute,
/// and then done twice where the first had committed.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_key_is_done_though_its_client_hangs_up_and_asking_again_gives_its_answer() {
    let (service, blocker) = held_up().await;
    begin_and_hang_up(&service).await;
    drop(blocker);
    let again = until(async || Some(ask(&service).await).filter(|answer| answer.status != 409)).await;
    assert!(again.is(201).replayed());
    assert_eq!(service.number(MADE).await, 1);
}

/// Red when a stop waits for connections alone: that of this request is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_has_a_key_though_its_client_hung_up() {
    let (service, blocker) = held_up().await;
    let other = service.another().await;
    begin_and_hang_up(&service).await;
    let address = service.service.address;
    let stopping = tokio::spawn(service.service.stop());
    until(async || TcpStream::connect(address).await.is_err().then_some(())).await;
    drop(blocker);
    stopping.await.unwrap();
    let again = ask(&other).await;
    assert!(again.is(201).replayed());
}

/// Red when a stop waits without an end: whoever asked for it kills the process then, which finishes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_no_longer_than_it_may() {
    let service = TestService::start(&[("drain_seconds", "1")]).await.service;
    service.app.under_way.spawn(std::future::pending::<()>());
    timeout(Duration::from_secs(15), service.stop()).await.expect("it waits still");
}

/// Red when what Redis does not take is an error of the request: it was decided, and done.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_redis_does_not_take_is_told_all_the_same() {
    let (service, blocker) = held_up().await;
    let sent = begin(&service).await;
    let claims: Vec<String> = redis::from_redis_value(service.redis(&["KEYS", "anteroom:*:answer:*"])).unwrap();
    assert_eq!(claims.len(), 1);
    service.redis(&["DEL", &claims[0]]);
    service.redis(&["SET", &claims[0], "no hash"]);
    drop(blocker);
    assert_eq!(sent.await.unwrap().unwrap().status(), 201);
    assert_eq!(service.number(MADE).await, 1);
}
