//! `anteroom doctor`: what it says of stores that are as they should be, and of others.

use std::path::Path;
use std::process::Output;

use anteroom::cli::secrets;
use anteroom::cli::stores::RedisServer;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support;

/// Runs it on these stores, with secrets of its own. Answers whether it was content, and what it said.
async fn examine(folder: &Path, redis_url: &str, database_url: &str) -> (bool, String) {
    let made = secrets::load(folder).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command
        .arg("doctor")
        .env("ANTEROOM_TOKEN_KEY_FILE", &made.token_key_file)
        // Few, so that any machine allows as many descriptors.
        .env("ANTEROOM_CONNECTIONS", "100")
        .env("ANTEROOM_ADMIN_TOKEN", made.admin_token.expose_secret())
        .env("ANTEROOM_REDIS_URL", redis_url)
        .env("ANTEROOM_DATABASE_URL", database_url);
    let Output { status, stdout, .. } = command.output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap())
}

#[tokio::test]
async fn stores_that_are_as_they_should_be_are_fine() {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(&folder.path().join("redis"), &[]).await.unwrap();
    let (content, said) = examine(folder.path(), redis.url(), &support::database().await).await;
    assert!(content, "{said}");
    for line in [
        "ok    settings: complete",
        "ok    token key: an Ed25519 key",
        "ok    system: as many file descriptors as serve needs: 300",
        "ok    redis: answers, keeps an append-only file, evicts nothing",
        "ok    postgres: answers, within the limits that were asked for",
    ] {
        assert!(said.lines().any(|told| told == line), "{line} is not in: {said}");
    }
    let shared = std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|on| on.trim() == "1");
    assert_eq!(said.contains("kernel.sched_autogroup_enabled=0"), shared, "{said}");
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn each_danger_is_told_and_fails_it() {
    let folder = TempDir::new().unwrap();
    let careless = [("appendonly", "no"), ("maxmemory-policy", "allkeys-lru")];
    let redis = RedisServer::start(&folder.path().join("redis"), &careless).await.unwrap();
    let nobody = "postgres://anteroom@127.0.0.1:1/anteroom";
    let (content, said) = examine(folder.path(), redis.url(), nobody).await;
    assert!(!content, "{said}");
    for danger in ["FAIL  redis: Redis keeps no append-only file", "FAIL  redis: Redis may evict", "FAIL  postgres: "] {
        assert!(said.lines().any(|told| told.starts_with(danger)), "{danger} is not in: {said}");
    }
    redis.stop().await.unwrap();
}
