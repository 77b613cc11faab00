//! The invariants are looked at without anyone asking, and each way to break the seats in Redis is seen.

use std::time::Duration;

use anteroom::booking::{self, Watch};
use anteroom::clock;
use deadpool_redis::redis::{self, Value};
use reqwest::Method;

use crate::support::TestService;
use crate::support::contract::until;

const ROOM: &str = "anteroom:{main}:room";
const LOOKED: &str = "anteroom:{invariants}:looked";

/// What a look finds that nobody asked for, by name.
async fn watched(service: &TestService, turn_ms: u64, again_after: Duration) -> Vec<String> {
    let watch = Watch { turn_ms, again_after };
    let found = booking::watch(&service.service.app.booking, watch).await.unwrap();
    found.into_iter().map(|check| check.name).collect()
}

/// Red when one look is enough to be counted: here one thing is broken all the time, and another for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_broken_is_counted_unasked_and_what_passes_is_not() {
    let service = TestService::start(&[]).await;
    assert_eq!(watched(&service, 1, Duration::ZERO).await, [""; 0], "all is as it must be");
    service.redis(&["HSET", ROOM, "overAdmitted", "1"]);
    service.redis(&["HINCRBY", ROOM, "joined", "1"]);
    let passing = async {
        until(async || (service.redis(&["EXISTS", LOOKED]) == Value::Int(1)).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        service.redis(&["HINCRBY", ROOM, "joined", "-1"])
    };
    let (found, _) = tokio::join!(watched(&service, 60_000, Duration::from_secs(3)), passing);
    assert_eq!(found, ["Q4-nobody-over-capacity"]);
    let metrics = service.send(service.admin(Method::GET, "/metrics"));
    assert_eq!(metrics.await.status, 200);
    let metrics = anteroom::http::metrics::recorder().render();
    assert!(metrics.contains("anteroom_invariant_violations_total{name=\"Q4-nobody-over-capacity\"}"), "{metrics}");
}

/// Red when each process looks by itself.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_of_many_looks_in_each_interval() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    service.redis(&["HSET", ROOM, "overAdmitted", "1"]);
    assert_eq!(watched(&service, 60_000, Duration::ZERO).await.len(), 1);
    assert_eq!(watched(&other, 60_000, Duration::ZERO).await, [""; 0], "the other has looked");
    let left_ms: i64 = redis::from_redis_value(service.redis(&["PTTL", LOOKED])).unwrap();
    assert!((1..=60_000).contains(&left_ms), "{left_ms}");
    service.redis(&["DEL", LOOKED]);
    assert_eq!(watched(&other, 60_000, Duration::ZERO).await.len(), 1);
}

/// Red when no job looks, or one does as soon as the service starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_looks_by_itself_after_the_first_interval() {
    let started = clock::now();
    let service = TestService::start(&[("invariants_every_seconds", "10")]).await;
    until(async || (service.redis(&["EXISTS", LOOKED]) == Value::Int(1)).then_some(())).await;
    assert!(started.elapsed() > Duration::from_secs(8), "{:?}", started.elapsed());
}

/// The detail of a check that is broken; nothing where it holds.
async fn broken(service: &TestService, name: &str) -> Option<String> {
    let told = service.send(service.admin(Method::GET, "/admin/invariants")).await;
    let checks = told.is(200).body["checks"].as_array().unwrap().iter();
    let check = checks.clone().find(|check| check["name"] == name).unwrap_or_else(|| panic!("there is no {name}"));
    (check["ok"] == false).then(|| check["detail"].as_str().unwrap().to_owned())
}

/// A command, and what follows the schedule in its key's name, and its arguments.
type Command = &'static [&'static str];

/// Each way to break the seats in Redis by hand, how to mend it, and what must be told: B1 is sold, and C1 is held.
const BROKEN: &[(Command, Command, &str, &str)] = &[
    (&["ZADD", "held", "9e12", "B1"], &["ZREM", "held", "B1"], "I8-every-seat-counted-once", "B1: held and sold"),
    (
        &["ZADD", "held", "9e12", "X99"],
        &["ZREM", "held", "X99"],
        "I8-every-seat-counted-once",
        "X99: held, and in no plan",
    ),
    (
        &["HSET", "sold", "X99", "r"],
        &["HDEL", "sold", "X99"],
        "I8-every-seat-counted-once",
        "X99: sold, and in no plan",
    ),
    (&["ZADD", "held", "9e12", "D1"], &["ZREM", "held", "D1"], "I8-every-seat-counted-once", "2 held and 2 sold of"),
    (&["HSET", "sold", "D1", "r"], &["HDEL", "sold", "D1"], "I8-every-seat-counted-once", "1 held and 3 sold of"),
    (&["SET", "hold:D1", "r u 1"], &["DEL", "hold:D1"], "I8-every-hold-is-listed-and-ends", "D1: its hold has no end"),
    (
        &["SET", "hold:D1", "r u 1", "PX", "90000"],
        &["DEL", "hold:D1"],
        "I8-every-hold-is-listed-and-ends",
        "D1: held, and shown as free",
    ),
    (
        &["PERSIST", "hold:C1"],
        &["PEXPIRE", "hold:C1", "300000"],
        "I8-every-hold-is-listed-and-ends",
        "C1: its hold has no end",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_break_the_seats_is_seen() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let bought = service.hold(&visitor, 12345, "B1").await;
    service.pay(&visitor, bought.is(200)).await.is(200);
    service.hold(&visitor, 12345, "C1").await.is(200);
    let run = |command: &[&str]| {
        let key = format!("anteroom:{{s:12345}}:{}", command[1]);
        service.redis(&[&[command[0], &key], &command[2..]].concat())
    };
    service.assert_invariants().await;
    for (break_it, mend_it, name, detail) in BROKEN {
        run(break_it);
        let told = broken(&service, name).await;
        assert!(told.as_ref().is_some_and(|told| told.contains(detail)), "{break_it:?}: {told:?}");
        run(mend_it);
        service.assert_invariants().await;
    }
}

/// Red when what is late is looked for after it was swept. The service's own job may sweep it first.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_swept_is_seen() {
    const HELD: &str = "anteroom:{s:12345}:held";
    let service = TestService::start(&[]).await;
    let late = until(async || {
        let long_ago_ms = (clock::unix_ms() - 10_000).to_string();
        service.redis(&["ZADD", HELD, &long_ago_ms, "D1"]);
        broken(&service, "I8-no-hold-past-its-end").await
    });
    assert!(late.await.contains("12345 D1"));
    until(async || (service.redis(&["ZCARD", HELD]) == Value::Int(0)).then_some(())).await;
    service.assert_invariants().await;
    let passed_ms = (clock::unix_ms() - 1_000).to_string();
    service.redis(&["ZADD", HELD, &passed_ms, "D1"]);
    assert_eq!(broken(&service, "I8-no-hold-past-its-end").await, None, "the next sweep is on its way");
}
