//! A store that is frozen or gone: everyone is told after about one time-out, not one after another.

use std::time::{Duration, Instant};

use anteroom::cli::stores::{PostgresServer, RedisServer};
use anteroom::clock;
use futures_util::future::join_all;
use reqwest::StatusCode;
use tempfile::TempDir;

use crate::support::contract::until;
use crate::support::service::PASSWORD;
use crate::support::{TestService, database, redis_database};

/// How many ask at once.
const CROWD: usize = 200;

/// One after another they would take minutes, together a second or two: this lies between, also on a busy machine.
const TOGETHER: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_is_found_out_once_for_all_who_ask() {
    let dir = TempDir::new().unwrap();
    let mut redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let settings = [("redis_timeout_ms", "1000"), ("login_wait_ms", "15000")];
    let service = TestService::fresh(redis.url(), &database().await, &settings).await;
    service.token(1).await;

    redis.signal("STOP").await.unwrap();
    for _ in 0..2 {
        all_refused(&service).await;
    }
    redis.signal("CONT").await.unwrap();
    let again =
        until(async || Some(service.log_in("user00001", PASSWORD).await).filter(|a| a.status == StatusCode::OK));
    assert_eq!(again.await.body["epoch"], 1, "nothing was lost");
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_while_postgres_is_gone_is_looked_at_once_for_all_who_ask() {
    let dir = TempDir::new().unwrap();
    let postgres = PostgresServer::start(dir.path(), &[]).await.unwrap();
    let settings = [("database_wait_ms", "1000"), ("login_wait_ms", "15000")];
    let service = TestService::fresh(&redis_database(), postgres.url(), &settings).await;
    service.token(1).await;

    let url = postgres.url().to_owned();
    postgres.stop().await.unwrap();
    service.redis(&["FLUSHDB"]);
    for _ in 0..2 {
        all_refused(&service).await;
    }
    let postgres = PostgresServer::start(dir.path(), &[]).await.unwrap();
    assert_eq!(postgres.url(), url, "the port is free still");
    let again =
        until(async || Some(service.log_in("user00001", PASSWORD).await).filter(|a| a.status == StatusCode::OK));
    assert_eq!(again.await.body["epoch"], 2);
    postgres.stop().await.unwrap();
}

/// A crowd asks for a place, whose password is known already.
async fn all_refused(service: &TestService) {
    let began: Instant = clock::now();
    for answer in join_all((0..CROWD).map(|_| service.log_in("user00001", PASSWORD))).await {
        answer.refused(503, "unavailable");
    }
    eprintln!("{CROWD} requests refused in {:?}", began.elapsed());
    assert!(began.elapsed() < TOGETHER, "{:?}", began.elapsed());
}
