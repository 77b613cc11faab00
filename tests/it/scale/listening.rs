//! What those who listen cost Redis: nothing each.
//!
//! `SSE_LISTENERS` says how many listen in the end, by default 200.

use std::time::Duration;

use anteroom::cli::stores::RedisServer;
use deadpool_redis::redis;
use futures_util::{StreamExt, stream};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::crowd::{AT_ONCE, line_up, size, stay};
use crate::support::{TestService, database};

const LISTENERS: usize = 200;

/// Three rounds of noting who listens.
const COUNTED: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_as_many_listeners_are_no_more_work_for_redis() {
    let people = size("SSE_LISTENERS", LISTENERS);
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let service = TestService::fresh(redis.url(), &database().await, &[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let tokens = line_up(&service, people).await;
    stay(&service, people);
    service.set_room(&json!({ "capacity": 1_000_000, "admitPerSecond": people.div_ceil(500) })).await;

    // One in ten, all along the line.
    let (few, more): (Vec<_>, Vec<_>) = tokens.into_iter().enumerate().partition(|(at, _)| at % 10 == 0);
    let mut listening = JoinSet::new();
    listen(&service, few, &mut listening).await;
    let by_few = commands(redis.url()).await;
    listen(&service, more, &mut listening).await;
    let by_all = commands(redis.url()).await;
    let left = listening.len();
    eprintln!(
        "{} listen: {by_few} commands of Redis in {COUNTED:?}; {left} listen: {by_all}, {:.2} times as many",
        people.div_ceil(10),
        as_f64(by_all) / as_f64(by_few),
    );
    let ended = listening.try_join_next();
    assert!(ended.is_none(), "a stream has ended: {ended:?}");
    assert!(as_f64(by_all) <= 1.2 * as_f64(by_few), "each who listens costs Redis something");
    listening.shutdown().await;
    redis.stop().await.unwrap();
}

/// Opens a stream for each, and reads on.
async fn listen(service: &TestService, tokens: Vec<(usize, String)>, listening: &mut JoinSet<()>) {
    let (client, url) = (Client::new(), format!("{}/queue/events", service.url));
    let opening = stream::iter(tokens).map(|(_, token)| client.get(&url).bearer_auth(token).send());
    let streams: Vec<_> = opening.buffer_unordered(AT_ONCE).collect().await;
    for stream in streams {
        let mut stream = stream.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        listening.spawn(async move { while stream.chunk().await.unwrap().is_some() {} });
    }
}

/// How many commands Redis runs in a while, those in scripts included.
async fn commands(url: &str) -> u64 {
    let before = processed(url);
    sleep(COUNTED).await;
    processed(url) - before
}

fn processed(url: &str) -> u64 {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let told: String = redis::cmd("INFO").arg("stats").query(&mut connection).unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().parse().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "counts of one test")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
