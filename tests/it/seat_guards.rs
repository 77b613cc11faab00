//! Guards of looking at seats and choosing them, each red when it is taken out.

use std::time::Duration;

use anteroom::cli::stores::RedisServer;
use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::{TestService, database};

/// Commands of a kind that a Redis of our own has run.
fn calls(service: &TestService, command: &str) -> u64 {
    let stats: String = deadpool_redis::redis::from_redis_value(service.redis(&["INFO", "commandstats"])).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()).map_or(0, |count| count.parse().unwrap())
}

/// Red when a choice of seats together is not made again after others were faster: all choose the same best ones.
#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_race_for_the_best_seats_is_given_the_next() {
    let service = TestService::start(&[]).await;
    let visitors = join_all((1..=24).map(|number| service.visitor(number))).await;
    let best = json!({ "scheduleId": 12_345, "best": 2 });
    let held = join_all(visitors.iter().map(|visitor| service.post("/reservations", visitor, &best))).await;
    let mut seats: Vec<_> = held.iter().flat_map(|held| held.is(200).body["seatIds"].as_array().unwrap()).collect();
    seats.sort_by_key(|seat| seat.as_str());
    let all = seats.len();
    seats.dedup();
    assert_eq!((seats.len(), all), (48, 48), "two each, and none twice");
}

/// Red when each who looks at seats asks Redis: a crowd that looks at once is one question.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_looks_at_the_seats_asks_redis_once() {
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let service = TestService::fresh(redis.url(), &database().await, &[]).await;
    let visitor = service.visitor(1).await;
    let path = "/reservations/available/seat?scheduleId=12345";
    service.get(path, &visitor).await.is(200);
    let before = calls(&service, "evalsha");
    for answer in join_all((0..400).map(|_| service.get(path, &visitor))).await {
        answer.is(200);
    }
    let asked = calls(&service, "evalsha") - before;
    // The jobs of some seconds on a busy machine are among these.
    assert!(asked < 200, "400 looks made Redis work {asked} times");
    redis.stop().await.unwrap();
}

/// Red when a list of seats is shown that is older than it says.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_sells_is_seen_in_a_quarter_of_a_second() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    let (one, two) = (service.visitor(1).await, service.visitor(2).await);
    let path = "/reservations/available/seat?scheduleId=12345&all=true";
    let status = async || {
        let list = service.get(path, &one).await;
        let seats = list.is(200).body["seats"].as_array().unwrap().clone();
        seats.iter().find(|seat| seat["seatId"] == "C7").unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status().await, "available");
    let held = other.hold(&two, 12_345, "C7").await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(status().await, "held");
    other.delete(&format!("/reservations/{}", held.text("reservationId")), &two).await.is(204);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(status().await, "available");
}
