//! Three processes on one Redis: what one is told all do, what one finds out is found out once, and limits are everyone's.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::crowd::{Doors, accounts};
use crate::support::contract::until;
use crate::support::{Program, database, redis_database};

/// Settings of processes in front of a crowd from one address.
pub(super) const SETTINGS: [&str; 3] =
    ["login_wait_ms=15000", "login_pending_per_address=20000", "redis_timeout_ms=5000"];

const CAPACITY: usize = 5;
const CROWD: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_are_one_service() {
    let (dir, redis_url, database_url) = (TempDir::new().unwrap(), redis_database(), database().await);
    accounts(&database_url, CROWD).await;
    let start = || Program::serve(dir.path(), (&redis_url, &database_url), &SETTINGS);
    let (one, two, three) = tokio::join!(start(), start(), start());
    let programs = [one, two, three];
    let doors = Doors::new(programs.iter().map(|program| program.url.clone()).collect());

    let change = json!({ "capacity": CAPACITY, "admitPerSecond": 1_000, "message": "one for all" });
    programs[1].admin(Method::PATCH, "/admin/rooms/main", Some(&change)).await;
    for door in 0..doors.count() {
        until(async || doors.status(door).await.filter(|told| told.to_string().contains("one for all"))).await;
    }

    let joined = join_all((1..=CROWD).map(|number| doors.join(number, number))).await;
    let places: Vec<Value> = joined.into_iter().map(|answer| answer.unwrap().1).collect();
    let tokens: Vec<String> = places.iter().map(|place| place["token"].as_str().unwrap().to_owned()).collect();
    // However many doors it has, the room has one capacity: full, and not more than full.
    until(async || {
        let asked = tokens.iter().enumerate().map(|(at, token)| doors.poll(at, token));
        let places: Vec<_> = join_all(asked).await.into_iter().flatten().map(|(_, place)| place).collect();
        assert!(inside(&places) <= CAPACITY);
        (inside(&places) == CAPACITY).then_some(())
    })
    .await;

    flush(&redis_url);
    let all_know = async |door: usize| {
        let asked = tokens.iter().map(|token| doors.poll(door, token));
        let told: Vec<_> = join_all(asked).await.into_iter().flatten().map(|(_, place)| place).collect();
        let knows = |place: &Value| place["epoch"] == 2 && place.get("stale").is_none();
        Some(told).filter(|told| told.len() == CROWD && told.iter().all(knows))
    };
    for door in 0..doors.count() {
        let places = until(async || all_know(door).await).await;
        assert!(inside(&places) <= CAPACITY);
    }
    for program in &programs {
        let told = program.admin(Method::GET, "/admin/rooms/main", None).await;
        assert_eq!(told["epoch"], 2, "three found the loss, one raised the epoch: {told}");
        let told = program.admin(Method::GET, "/admin/invariants", None).await;
        assert_eq!(told["ok"], true, "{told:#}");
    }
}

fn inside(places: &[Value]) -> usize {
    places.iter().filter(|place| place["status"] == "active").count()
}

fn flush(redis_url: &str) {
    let mut connection = deadpool_redis::redis::Client::open(redis_url).unwrap().get_connection().unwrap();
    deadpool_redis::redis::cmd("FLUSHDB").exec(&mut connection).unwrap();
}
