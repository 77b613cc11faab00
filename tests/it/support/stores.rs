//! One private Redis and Postgres for all tests of this process, started by the first test that asks.
//!
//! They end with the process. Their folder is one of a few below `target/tmp` that the next run takes and wipes, so that
//! runs side by side do not meet and nothing is left in `/tmp`.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anteroom::cli::stores::{Setting, Stores, wipe};
use anteroom::store::Db;
use anteroom::store::db::Limits;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Mutex;

/// Test processes that may run side by side.
const FOLDERS: u32 = 64;

/// Tests end before a crash of the machine could matter, and many run at once.
const POSTGRES: [Setting<'static>; 4] =
    [("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"), ("max_connections", "400")];

/// Redis has a numbered database for each service that a test starts.
const REDIS: [Setting<'static>; 2] = [("appendfsync", "no"), ("databases", "4096")];

/// Where the tests' stores are.
pub(crate) struct TestStores {
    /// Redis, shared by all tests: each has rooms and schedules of its own.
    pub(crate) redis_url: String,
    /// A database from which others can be made.
    pub(crate) admin_database_url: String,
}

/// The URL of a numbered database of the tests' Redis that no other test of this process has.
pub(crate) fn redis_database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    format!("{}/{}", stores().redis_url, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The stores, started by the first call.
pub(crate) fn stores() -> &'static TestStores {
    static STORES: OnceLock<TestStores> = OnceLock::new();
    STORES.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        // Each test has a runtime that ends with it; the stores need one that does not.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut stores = start().await;
                let (redis_url, admin_database_url) = (stores.redis_url().into(), stores.database_url().into());
                tell.send(TestStores { redis_url, admin_database_url }).unwrap();
                eprintln!("the tests' stores are broken: {}", stores.broken().await);
            });
        });
        told.recv().expect("the stores for the tests start")
    })
}

/// The URL of a new database with all tables, for one test alone.
pub(crate) async fn database() -> String {
    static TEMPLATE: Mutex<bool> = Mutex::const_new(false);
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let admin_url = tokio::task::spawn_blocking(|| &stores().admin_database_url).await.unwrap();
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut admin = PgConnection::connect(admin_url).await.unwrap();
    // Postgres copies a template for one at a time, and refuses others meanwhile.
    let mut template_made = TEMPLATE.lock().await;
    if !*template_made {
        admin.execute("create database template_anteroom").await.unwrap();
        migrate(&named(admin_url, "template_anteroom")).await;
        *template_made = true;
    }
    let copy = format!("create database {name} template template_anteroom strategy file_copy");
    admin.execute(sqlx::AssertSqlSafe(copy)).await.unwrap();
    drop(template_made);
    admin.close().await.unwrap();
    named(admin_url, &name)
}

/// Where a database of the tests' Postgres is.
fn named(admin_url: &str, database: &str) -> String {
    let (server, _) = admin_url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

async fn start() -> Stores {
    for number in 0..FOLDERS {
        let folder = format!("{}/stores-{number}", env!("CARGO_TARGET_TMPDIR"));
        match start_in(Path::new(&folder)).await {
            Err(e) if e.to_string().contains("is in use") => {}
            started => return started.unwrap(),
        }
    }
    panic!("too many test processes run at once");
}

async fn start_in(folder: &Path) -> anyhow::Result<Stores> {
    wipe(folder).await?;
    Stores::start_with(folder, &REDIS, &POSTGRES).await
}

async fn migrate(url: &str) {
    let limits = Limits { connections: 1, wait: Duration::from_secs(10), statement: Duration::from_mins(1) };
    let db = Db::new(url, limits).unwrap();
    db.migrate().await.unwrap();
    db.close().await;
}
