//! Redis forgets, or another takes over, in the middle of a long line: who asks again stands where they stood.
//!
//! `LOSS_VISITORS` says how long the line is, by default 120.

use std::fs;
use std::time::Instant;

use anteroom::cli::stores::RedisServer;
use anteroom::clock;
use anteroom::store::redis_safety;
use serde_json::json;
use tempfile::TempDir;

use super::crowd::{Doors, Line, accounts, size};
use super::nodes::{Sixfold, Watched};
use crate::support::{TestService, database, redis_database};

const SETTINGS: [(&str, &str); 3] =
    [("login_wait_ms", "15000"), ("redis_timeout_ms", "1000"), ("login_pending_per_address", "20000")];

/// A line that is long enough to have an order.
const SMALL: usize = 120;

/// So many are inside, and come first when all is lost.
const INSIDE: u64 = 10;

/// A line in front of three processes.
struct Scene {
    services: Vec<TestService>,
    doors: Doors,
    count: usize,
}

impl Scene {
    async fn set(redis_url: &str) -> Self {
        let (database_url, count) = (database().await, size("LOSS_VISITORS", SMALL));
        accounts(&database_url, count).await;
        let first = TestService::on(redis_url, &database_url, &SETTINGS).await;
        first.set_room(&json!({ "capacity": INSIDE, "admitPerSecond": 100, "claimSeconds": 3_600 })).await;
        let services = vec![first.another().await, first.another().await, first];
        let doors = Doors::new(services.iter().map(|service| service.url.clone()).collect());
        Self { services, doors, count }
    }

    /// Something befalls a line; everyone is back in the old order.
    async fn outlives(&self, what: &str, befalls: impl AsyncFnOnce() -> Instant) {
        let mut line = Line::form(&self.doors, self.count).await;
        let lost = befalls().await;
        let (places, let_in) = line.comes_back(lost).await;
        let all_back = lost.elapsed();
        let epochs: Vec<_> = places.iter().map(|place| place["epoch"].as_i64().unwrap()).collect();
        assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "one epoch, seen by all");
        let waiting = places.iter().filter(|place| place["status"] == "waiting").count();
        eprintln!(
            "{what}: {} in line, 0 inversions, 0 places lost, epoch {} seen by all, {waiting} wait; let in again after \
             {let_in:?}, all knew where they stand after {all_back:?}",
            self.count, epochs[0],
        );
        self.services[0].assert_invariants().await;
    }
}

/// All at once, because each mostly waits: a room that was lost admits nobody for 13 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_stands_in_the_old_order_whatever_befalls_redis() {
    if size("LOSS_VISITORS", SMALL) > SMALL {
        // Long lines are a load of their own, and would only measure each other.
        restarted_without_data().await;
        flushed().await;
        failed_over_by_sentinels().await;
        failed_over_in_a_cluster().await;
        return;
    }
    tokio::join!(flushed(), restarted_without_data(), failed_over_by_sentinels(), failed_over_in_a_cluster());
}

async fn flushed() {
    let url = redis_database();
    let scene = Scene::set(&url).await;
    scene
        .outlives("FLUSHDB", async || {
            scene.services[0].redis(&["FLUSHDB"]);
            clock::now()
        })
        .await;
}

async fn restarted_without_data() {
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let scene = Scene::set(redis.url()).await;
    let mut again = None;
    scene
        .outlives("restart without data", async || {
            redis.kill().await.unwrap();
            fs::remove_dir_all(dir.path().join("appendonlydir")).unwrap();
            again = Some(RedisServer::start(dir.path(), &[]).await.unwrap());
            clock::now()
        })
        .await;
    again.unwrap().stop().await.unwrap();
}

async fn failed_over_by_sentinels() {
    let dir = TempDir::new().unwrap();
    let watched = Watched::start(dir.path()).await;
    let scene = Scene::set(&watched.url()).await;
    scene
        .outlives("Sentinel failover", async || {
            watched.master.kill();
            clock::now()
        })
        .await;
    let told: String = watched.replica.ask(&["INFO", "replication"]);
    assert!(told.contains("role:master"), "{told}");
}

async fn failed_over_in_a_cluster() {
    let dir = TempDir::new().unwrap();
    let cluster = Sixfold::start(dir.path()).await;
    let scene = Scene::set(&cluster.url()).await;
    buy(&scene.services[0]).await;
    let safety = redis_safety(&scene.services[0].service.app.redis).await.unwrap();
    assert!(safety.dangers.is_empty() && safety.hints[0].contains("min-replicas-to-write"), "{safety:?}");
    let (master, replica) = cluster.pair_of("anteroom:{main}:room");
    // The old master lives on, and says of every key that it moved.
    scene
        .outlives("a planned failover in a cluster", async || {
            replica.ask::<()>(&["CLUSTER", "FAILOVER"]);
            clock::now()
        })
        .await;
    replica.until_replicated().await;
    scene
        .outlives("a master of a cluster killed", async || {
            replica.kill();
            clock::now()
        })
        .await;
    let told: String = master.ask(&["INFO", "replication"]);
    assert!(told.contains("role:master"), "{told}");
}

/// The whole way of a visitor: room, schedule and account are in slots of three servers.
async fn buy(service: &TestService) {
    let token = service.token_of("testuser", "testpass").await;
    service.until(&token, "active").await;
    let held = service.hold(&token, 12_345, "B1").await;
    held.is(200);
    service.pay(&token, &held).await.is(200);
    service.post("/queue/leave", &token, &json!({})).await.is(204);
}
