//! Streams of events, over real connections.

use std::time::Duration;

use anteroom::cli::stores::RedisServer;
use anteroom::clock;
use deadpool_redis::redis;
use futures_util::future::join_all;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::contract_auth::PLACE;
use crate::support::contract::until;
use crate::support::{TestService, database};

/// How long a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open stream, read as an `EventSource` reads it.
struct Stream {
    response: Response,
    text: String,
}

#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    place: Value,
}

impl Stream {
    async fn open(service: &TestService, token: &str, last: Option<&str>) -> Self {
        let request = Client::new().get(format!("{}/queue/events", service.url)).bearer_auth(token);
        let request = last.iter().fold(request, |request, id| request.header("last-event-id", *id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(
            (&response.headers()["cache-control"], &response.headers()["x-accel-buffering"]),
            (&"no-store".parse().unwrap(), &"no".parse().unwrap())
        );
        Self { response, text: String::new() }
    }

    /// The next block of lines; none at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("something in time");
            self.text += std::str::from_utf8(&chunk.expect("the stream ends in order")?).unwrap();
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) {
                let place = serde_json::from_str(data).unwrap();
                return Some(Event { id: field("id: ").to_owned(), name: field("event: ").to_owned(), place });
            }
        }
    }

    /// Reads on to the first event that is looked for.
    async fn until(&mut self, look: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await.expect("not the end of the stream yet");
            if look(&event) {
                return event;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_told_of_every_step_from_the_line_to_the_end() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let (first, second) = (service.token(1).await, service.token(2).await);
    let mut stream = Stream::open(&service, &second, None).await;
    let retry: u64 = stream.block().await.unwrap().strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((2_000..5_000).contains(&retry));
    let event = stream.next().await.unwrap();
    assert_eq!((event.name.as_str(), &event.place["position"]), ("position", &json!(2)));
    assert!(PLACE.iter().all(|member| event.place.get(member).is_some()), "{event:?}");
    assert_eq!(event.place["userId"], "user00002");

    service.delete("/queue/position", &first).await.is(204);
    let moved = stream.until(|event| event.place["position"] == 1).await;
    assert_eq!(moved.name, "position");
    service.set_room(&json!({ "message": "Doors open soon." })).await;
    let notice = stream.until(|event| event.place["message"] == "Doors open soon.").await;
    assert_eq!((notice.name.as_str(), &notice.place["position"]), ("notice", &json!(1)));
    service.set_room(&json!({ "capacity": 1 })).await;
    let admitted = stream.until(|event| event.place["status"] == "active").await;
    assert_eq!(admitted.name, "admitted");
    assert!(admitted.place["activeUntil"].is_string());
    service.hold(&second, 12345, "B1").await.is(200);

    service.delete("/queue/position", &second).await.is(204);
    let over = stream.until(|event| event.place["status"] == "left").await;
    assert_eq!(over.name, "expired");
    assert!(stream.next().await.is_none(), "the stream ends with the place");
    let again = service.request(Method::GET, "/queue/events", &second).header("last-event-id", &over.id);
    service.send(again).await.is(204);
    for bad in ["", "garbage"] {
        service.get("/queue/events", bad).await.refused(401, "invalid-token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_told_what_they_missed_and_nothing_twice() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let (first, second) = (service.token(1).await, service.token(2).await);
    let mut stream = Stream::open(&service, &second, None).await;
    let event = stream.next().await.unwrap();
    drop(stream);
    let mut stream = Stream::open(&other, &second, Some(&event.id)).await;
    service.delete("/queue/position", &first).await.is(204);
    let next = stream.until(|event| event.place["position"] == 1).await;
    assert_ne!(next.id, event.id);
    drop(stream);
    service.set_room(&json!({ "capacity": 1 })).await;
    service.until(&second, "active").await;
    let mut stream = Stream::open(&other, &second, Some(&next.id)).await;
    assert_eq!(stream.next().await.unwrap().name, "admitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_being_checked_becomes_a_place_within_its_stream() {
    let service = TestService::start(&[("login_wait_ms", "0")]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let place = service.log_in("user00001", crate::support::service::PASSWORD).await;
    let attempt = place.is(200).text("token").to_owned();
    let mut stream = Stream::open(&service, &attempt, None).await;
    let verified = stream.until(|event| event.place["status"] == "waiting").await;
    let token = verified.place["token"].as_str().expect("the account's token").to_owned();
    service.get("/queue/position", &token).await.is(200);
    service.set_room(&json!({ "capacity": 1 })).await;
    stream.until(|event| event.name == "admitted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_may_listen_as_the_settings_say() {
    let service = TestService::start(&[("listeners", "3"), ("listeners_per_account", "2")]).await;
    let (one, two) = (service.token(1).await, service.token(2).await);
    let first = Stream::open(&service, &one, None).await;
    let _second = Stream::open(&service, &one, None).await;
    let refused = service.get("/queue/events", &one).await;
    assert!(refused.refused(429, "rate-limited").header("retry-after").parse::<u64>().unwrap() > 0);
    let _third = Stream::open(&service, &two, None).await;
    service.get("/queue/events", &two).await.refused(503, "overloaded");
    drop(first);
    let freed = until(async || {
        let request = Client::new().get(format!("{}/queue/events", service.url)).bearer_auth(&two);
        Some(request.send().await.unwrap()).filter(|answer| answer.status() == 200)
    });
    freed.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let service = TestService::start(&[]).await;
    let token = service.token(1).await;
    let soon = service.ending_in(6, &token);
    let mut stream = Stream::open(&service, &soon, None).await;
    let first = stream.next().await.unwrap();
    let renewed = first.place["token"].as_str().expect("a token that replaces the one that ends soon");
    service.get("/queue/position", renewed).await.is(200);
    while stream.next().await.is_some() {}
    service.get("/queue/events", &soon).await.refused(401, "token-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_in_order() {
    let service = TestService::start(&[("drain_seconds", "60")]).await;
    let token = service.token(1).await;
    let mut stream = Stream::open(&service, &token, None).await;
    stream.next().await.unwrap();
    let stopping = tokio::spawn(service.service.stop());
    while stream.next().await.is_some() {}
    timeout(PATIENCE, stopping).await.expect("no stream holds a stop up").unwrap();
}

/// How often Redis ran a command, inside scripts or not.
fn calls(connection: &mut redis::Connection, command: &str) -> u64 {
    let told: String = redis::cmd("INFO").arg("commandstats").query(connection).unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_listen_are_present_and_cost_redis_nothing_each() {
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let service = TestService::fresh(redis.url(), &database().await, &[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let tokens: Vec<String> = join_all((1..=40).map(|number| service.token(number))).await;
    let mut streams = join_all(tokens.iter().map(|token| Stream::open(&service, token, None))).await;
    for stream in &mut streams {
        stream.next().await.unwrap();
    }
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    for number in 1..=40 {
        let user = anteroom::cli::seed::user_name(number);
        redis::cmd("ZADD").arg("anteroom:{main}:present").arg("XX").arg(1).arg(user).exec(&mut connection).unwrap();
    }
    redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut connection).unwrap();
    // Two rounds of hearing: everyone is present again, and nobody was asked about alone.
    until(async || {
        let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
        (calls(&mut connection, "zmscore") >= 4).then_some(())
    })
    .await;
    let absent: u64 = redis::cmd("ZCOUNT")
        .arg("anteroom:{main}:present")
        .arg(0)
        .arg(clock::unix_ms())
        .query(&mut connection)
        .unwrap();
    assert_eq!((absent, calls(&mut connection, "zrank")), (0, 0));
    assert!(calls(&mut connection, "zmscore") <= 8, "two commands hear all of them");
    drop(streams);
    redis.stop().await.unwrap();
}
