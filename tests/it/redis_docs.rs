//! What `docs/redis.md` says of Redis is so, and what it says to type answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anteroom::{booking, clock};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, Client, Value};
use regex::Regex;
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::docs::{document, quoted, table};
use crate::support::TestService;
use crate::support::service::PASSWORD;

const HEAD: &str = "| Key | Type | Content | TTL | Written by |";
const PATIENCE: Duration = Duration::from_secs(20);
const HOUR_MS: i64 = 3_600_000;

/// A row of the table.
struct Row {
    pattern: String,
    names: Regex,
    kind: String,
    ttl: String,
    scripts: Vec<String>,
}

fn rows() -> Vec<Row> {
    let part = Regex::new("<[^>]+>").unwrap();
    let read = |cells: Vec<String>| {
        let pattern = quoted(&cells[0]).to_owned();
        let names = part.replace_all(&pattern, "PART").into_owned();
        let names = format!("^{}$", regex::escape(&names).replace("PART", "[^:{}]+"));
        let scripts = cells[4].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let (kind, ttl) = (cells[1].clone(), cells[3].clone());
        Row { pattern, names: Regex::new(&names).unwrap(), kind, ttl, scripts }
    };
    table(&document("docs/redis.md"), HEAD).into_iter().map(read).collect()
}

/// Whether a key with so many milliseconds to live (-1: for ever) is of this class.
fn lives_as_told(class: &str, ttl_ms: i64) -> bool {
    let within = |most_ms: i64| (1..=most_ms).contains(&ttl_ms);
    match class {
        "none" => ttl_ms == -1,
        "10 min" => within(HOUR_MS / 6),
        "1 h" | "until the hold ends" | "until the next look" => within(HOUR_MS),
        "24 h" | "24 h; 10 min once cancelled" => within(24 * HOUR_MS),
        "24 h or none" => ttl_ms == -1 || within(24 * HOUR_MS),
        other => panic!("the table has an unknown TTL: {other}"),
    }
}

/// What an operator would type, line by line.
fn questions() -> Vec<String> {
    let text = document("docs/redis.md");
    let blocks = text.split("```redis\n").skip(1).map(|after| after.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

struct Typed(MultiplexedConnection);

impl Typed {
    async fn at(url: &str) -> Self {
        Self(Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap())
    }

    async fn run(&mut self, line: &str) -> Value {
        let mut words = line.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut self.0).await.unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    async fn number(&mut self, line: &str) -> i64 {
        redis::from_redis_value(self.run(line).await).unwrap()
    }

    /// Types a line until it answers something.
    async fn until(&mut self, line: &str) {
        let began = clock::now();
        while is_empty(&self.run(line).await) {
            assert!(began.elapsed() < PATIENCE, "{line} never answers anything");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Compares every key with the table. Gives the patterns that were met.
    async fn compare(&mut self, rows: &[Row]) -> BTreeSet<String> {
        let keys: Vec<String> = redis::from_redis_value(self.run("KEYS *").await).unwrap();
        let mut met = BTreeSet::new();
        for key in keys {
            let kind: String = redis::from_redis_value(self.run(&format!("TYPE {key}")).await).unwrap();
            let ttl_ms = self.number(&format!("PTTL {key}")).await;
            if kind == "none" || ttl_ms == -2 {
                continue;
            }
            let row = rows.iter().find(|row| row.names.is_match(&key));
            let row = row.unwrap_or_else(|| panic!("{key} is in no row"));
            assert_eq!(kind, row.kind, "{key}");
            assert!(lives_as_told(&row.ttl, ttl_ms), "{key} lives {ttl_ms} ms, the table says: {}", row.ttl);
            met.insert(row.pattern.clone());
        }
        met
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Int(0) => true,
        Value::Array(list) => list.is_empty() || list.iter().any(is_empty),
        _ => false,
    }
}

/// Someone drew a place, someone holds seats, someone has paid, someone left, one was absent, one missed a visit, and one waits.
async fn make_traffic(service: &TestService, typed: &mut Typed) -> (String, String) {
    service.set_room(&json!({ "draw": true, "opensAt": "2099-01-01T00:00:00Z" })).await;
    service.token(9).await;
    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    let first = service.visitor(1).await;
    let held = service.post_once("/reservations", &first, "k", &json!({ "scheduleId": 12345, "seatId": "A2" })).await;
    assert_eq!(held.body["status"], "held", "{:?}", held.body);
    let second = service.visitor(2).await;
    let order = service.post("/reservations", &second, &json!({ "scheduleId": 12345, "seatId": "B1" })).await.body;
    let order = json!({ "reservationId": order["reservationId"], "amount": order["amount"] });
    assert_eq!(service.post("/reservations/pay", &second, &order).await.body["status"], "confirmed");
    let leaver = service.visitor(5).await;
    service.delete("/queue/position", &leaver).await;

    service.set_room(&json!({ "capacity": 0 })).await;
    service.token(6).await;
    typed.run("ZADD anteroom:{main}:present XX 1 user00006").await;
    service.set_room(&json!({ "capacity": 100, "claimSeconds": 3 })).await;
    typed.until("ZRANGE anteroom:{main}:aside 0 -1").await;
    let misser = service.visitor(3).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    service.until(&misser, "waiting").await;
    service.token(8).await;
    let waiter = service.token(4).await;
    let again = service.request(Method::POST, "/auth/token", "").header("sec-ch-ua-mobile", "?1");
    let again = service.send(again.json(&json!({ "username": "user00004", "password": PASSWORD }))).await;
    assert_eq!(again.body["status"], "waiting", "{:?}", again.body);
    (first, waiter)
}

/// Postgres as it is while it decides neither payments nor logins.
async fn hold_postgres(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("begin").await.unwrap();
    connection.execute("lock table users in access exclusive mode").await.unwrap();
    connection.execute("lock table payments in exclusive mode").await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_holds_what_the_table_says_and_answers_what_is_typed() {
    // What is held back waits for its locks for as long as all this takes on a busy machine.
    let service = TestService::start(&[("login_wait_ms", "150"), ("database_statement_ms", "60000")]).await;
    let (rows, mut typed) = (rows(), Typed::at(&service.redis_url).await);
    let (first, waiter) = make_traffic(&service, &mut typed).await;
    let order = service.post("/reservations", &first, &json!({ "scheduleId": 12345, "seatId": "A3" })).await.body;
    let order = json!({ "reservationId": order["reservationId"], "amount": order["amount"] });

    let postgres = hold_postgres(&service.database_url).await;
    let paying = tokio::spawn(service.request(Method::POST, "/reservations/pay", &first).json(&order).send());
    let verifying = service.log_in("user00007", PASSWORD).await;
    assert_eq!(verifying.body["status"], "verifying", "{:?}", verifying.body);
    typed.until("ZCARD anteroom:{s:12345}:paying").await;
    for line in questions() {
        assert!(!is_empty(&typed.run(&line).await), "{line} answers nothing");
    }
    let mut met = typed.compare(&rows).await;
    postgres.close().await.unwrap();
    assert_eq!(paying.await.unwrap().unwrap().status(), 200);

    let watch = booking::Watch { turn_ms: 600_000, again_after: Duration::ZERO };
    booking::watch(&service.service.app.booking, watch).await.unwrap();

    // The last row is there after a loss only, when someone shows a number of the epoch before.
    let keys: Vec<String> = redis::from_redis_value(typed.run("KEYS anteroom:{main}:*").await).unwrap();
    typed.run(&format!("DEL {}", keys.join(" "))).await;
    let began = clock::now();
    while is_empty(&typed.run("ZRANGE anteroom:{main}:returned 0 -1").await) {
        assert!(began.elapsed() < PATIENCE, "nobody came back");
        service.get("/queue/position", &waiter).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    met.extend(typed.compare(&rows).await);
    let all: BTreeSet<_> = rows.iter().map(|row| row.pattern.clone()).collect();
    assert_eq!(met, all, "the table has rows that no traffic made");
    service.assert_invariants().await;
}

#[test]
fn every_writer_in_the_table_is_a_script_and_every_script_that_writes_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("lua");
    let named: BTreeSet<String> = rows().into_iter().flat_map(|row| row.scripts).collect();
    for name in &named {
        assert!(folder.join(name).with_extension("lua").exists(), "there is no lua/{name}.lua");
    }
    let adds = Regex::new(r"redis\.call\('(?:SET|HSET|ZADD)'").unwrap();
    for script in anteroom::store::scripts::ALL {
        let body = document(&format!("lua/{}.lua", script.name));
        assert!(!adds.is_match(&body) || named.contains(script.name), "{} writes, and no row names it", script.name);
    }
}
