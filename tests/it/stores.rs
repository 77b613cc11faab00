//! The stores of `anteroom dev`: they keep what they were given, and never outlive the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anteroom::cli::secrets;
use anteroom::cli::stores::{PostgresServer, RedisServer, Stores, wipe};
use anteroom::clock;
use deadpool_redis::redis;
use secrecy::ExposeSecret;
use sqlx::{Connection, Executor, PgConnection, Row};
use tempfile::TempDir;

use crate::support;
use crate::support::processes::{descendants, processes, signal};

/// The data folder of a program that is to be killed: this one, started once more for `the_program_that_is_killed`.
const VICTIM: &str = "STORES_OF_THE_VICTIM";

/// Far beyond the two seconds that it takes, for machines that do much else.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn redis_started_again_goes_on_with_what_it_had() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path(), &[]).await.unwrap();
    let url = server.url().to_owned();
    assert_eq!(redis_says(&url, &["SET", "a", "1"]), "OK");
    assert!(redis_says(&url, &["INFO", "server"]).contains(&format!("process_id:{}\r", server.pid())));
    server.stop().await.unwrap();

    let server = RedisServer::start(dir.path(), &[("maxmemory", "64mb")]).await.unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(redis_says(&url, &["SET", "b", "2"]), "OK");
    assert!(redis_says(&url, &["INFO", "memory"]).contains("maxmemory_human:64.00M"));
    server.kill().await.unwrap();

    let server = RedisServer::start(dir.path(), &[]).await.unwrap();
    assert_eq!(redis_says(server.url(), &["GET", "a"]), "1");
    assert_eq!(redis_says(server.url(), &["GET", "b"]), "2");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_started_again_goes_on_with_what_it_had() {
    let dir = TempDir::new().unwrap();
    let server = PostgresServer::start(dir.path(), &[]).await.unwrap();
    let url = server.url().to_owned();
    postgres_does(&url, "create table kept (n bigint); insert into kept values (1)").await;
    server.stop().await.unwrap();

    let server = PostgresServer::start(dir.path(), &[]).await.unwrap();
    assert_eq!(server.url(), url);
    postgres_does(&url, "insert into kept values (2)").await;
    server.kill().await.unwrap();

    let mut server = PostgresServer::start(dir.path(), &[("max_connections", "20")]).await.unwrap();
    let kept = "select sum(n)::bigint + current_setting('max_connections')::bigint from kept";
    assert_eq!(postgres_number(server.url(), kept).await, 23);
    signal(server.pid(), "KILL");
    let said = server.broken().await;
    assert!(said.contains("Postgres ended (signal 9)"), "{said}");
    // The data may be elsewhere, where the temporary folder does not take them along.
    if let Ok(elsewhere) = fs::read_to_string(dir.path().join("elsewhere")) {
        fs::remove_dir_all(elsewhere).unwrap();
    }
}

#[tokio::test]
async fn a_killed_program_leaves_none_of_its_processes() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("data");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stores::the_program_that_is_killed", "--nocapture"])
        .env(VICTIM, &data_dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let url = eventually(|| fs::read_to_string(data_dir.join("ready")).ok()).await;
    assert_eq!(redis_says(&url, &["SET", "a", "1"]), "OK");
    let family = descendants(victim.id());
    assert!(family.len() > 6, "two shells with a keeper each, two stores, and Postgres' own: {family:?}");

    signal(victim.id(), "KILL");
    victim.wait().unwrap();
    let killed = clock::now();
    eventually(|| processes().iter().all(|(pid, _)| !family.contains(pid)).then_some(())).await;
    assert!(killed.elapsed() < Duration::from_secs(10));

    let stores = Stores::start(&data_dir).await.unwrap();
    assert_eq!(redis_says(stores.redis_url(), &["GET", "a"]), "1");
    stores.stop().await.unwrap();
    wipe(&data_dir).await.unwrap();
}

/// Not a test of its own: what the test above starts in order to kill it.
#[tokio::test]
async fn the_program_that_is_killed() {
    let Some(data_dir) = std::env::var_os(VICTIM) else { return };
    let data_dir = Path::new(&data_dir);
    let mut stores = Stores::start(data_dir).await.unwrap();
    fs::write(data_dir.join("writing"), stores.redis_url()).unwrap();
    fs::rename(data_dir.join("writing"), data_dir.join("ready")).unwrap();
    panic!("{}", stores.broken().await);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_a_wiped_one_begins_anew() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("data");
    let stores = Stores::start(&data_dir).await.unwrap();
    let before = secrets::load(&data_dir).unwrap();
    postgres_does(stores.database_url(), "create table kept ()").await;
    fs::write(data_dir.join("notes.txt"), "not ours").unwrap();
    for refused in [Stores::start(&data_dir).await.map(|_| ()), wipe(&data_dir).await] {
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("is in use by another `anteroom dev`") && !said.contains('\n'), "{said}");
    }
    stores.stop().await.unwrap();

    wipe(&data_dir).await.unwrap();
    assert_eq!(fs::read_to_string(data_dir.join("notes.txt")).unwrap(), "not ours");
    let stores = Stores::start(&data_dir).await.unwrap();
    let tables = "select count(*) from pg_tables where tablename = 'kept'";
    assert_eq!(postgres_number(stores.database_url(), tables).await, 0);
    let after = secrets::load(&data_dir).unwrap();
    assert_ne!(before.admin_token.expose_secret(), after.admin_token.expose_secret());
    stores.stop().await.unwrap();
    wipe(&data_dir).await.unwrap();
}

#[tokio::test]
async fn a_folder_of_others_is_neither_used_nor_wiped() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("redis")).unwrap();
    let used = Stores::start(dir.path()).await.map(|_| ()).unwrap_err().to_string();
    assert!(used.contains("is not empty and was not made by `anteroom dev`"), "{used}");
    let wiped = wipe(dir.path()).await.unwrap_err().to_string();
    assert!(wiped.contains("nothing is removed"), "{wiped}");
    assert!(dir.path().join("redis").is_dir());
    assert!(wipe(&dir.path().join("none")).await.is_ok());
}

#[tokio::test]
async fn a_store_that_cannot_start_shows_its_log() {
    let dir = TempDir::new().unwrap();
    let refused = RedisServer::start(dir.path(), &[("maxmemory-policy", "whatever")]).await;
    let said = refused.map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("Redis ended (status 1)") && said.contains("maxmemory-policy whatever"), "{said}");
}

#[test]
fn secrets_are_made_once_and_for_the_owner_alone() {
    let dir = TempDir::new().unwrap();
    let made = secrets::load(dir.path()).unwrap();
    let again = secrets::load(dir.path()).unwrap();
    assert_eq!(made.admin_token.expose_secret(), again.admin_token.expose_secret());
    assert_eq!(made.admin_token.expose_secret().len(), 64);
    let pem = fs::read(&made.token_key_file).unwrap();
    jsonwebtoken::EncodingKey::from_ed_pem(&pem).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = tokio::join!(support::database(), support::database());
    assert_ne!(one, other);
    postgres_does(&one, "create table mine ()").await;
    assert_eq!(postgres_number(&other, "select count(*) from pg_tables where tablename = 'mine'").await, 0);
    assert_eq!(redis_says(&support::stores().redis_url, &["PING"]), "PONG");
}

fn redis_says(url: &str, command: &[&str]) -> String {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    redis::cmd(command[0]).arg(&command[1..]).query(&mut connection).unwrap()
}

async fn postgres_does(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

async fn postgres_number(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = connection.fetch_one(sql).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

/// What `look` finds, as soon as it does.
async fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
    let started = clock::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
