//! Requests whose client hangs up at a random moment: done whole or not at all, and no connection is left in between.

use std::time::Duration;

use anteroom::clock;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestService;

const VISITORS: u32 = 20;

/// Requests of each visitor: of 640 in all, about 510 are left alone.
const EACH: usize = 32;

/// The share of clients who wait for their answer.
const PATIENT: f64 = 0.2;

/// No connection may idle inside a transaction for longer.
const IDLE: Duration = Duration::from_secs(5);

/// Charges without both sides, payments without all of their seats or entries, balances that are not their entries' sum.
const HALVES: &str = "\
select (select count(*) from (select from ledger_entries group by kind, reference
            having count(*) <> 2 or sum(amount) <> 0) as halves)
    + (select count(*) from payments as p where amount <> (
            select coalesce(sum(price), 0) from payment_seats as s join seats on (seats.schedule_id, label) =
                (s.schedule_id, s.seat_id) where s.payment_id = p.id))
    + (select count(*) from payments full join (select * from ledger_entries where kind = 'payment' and side = 'user')
            as e on e.reference = reservation_id where e.amount is distinct from -payments.amount)
    + (select count(*) from accounts where balance <> (
            select sum(amount) from ledger_entries as e where e.user_id = accounts.user_id))";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_client_hangs_up_is_done_whole_or_not_at_all() {
    let service = TestService::start(&[("seats_per_user", "500")]).await;
    let told = join_all((1..=VISITORS).map(|number| hang_up_often(&service, number))).await;
    let told: Vec<_> = told.into_iter().flatten().collect();

    let mut database = PgConnection::connect(&service.database_url).await.unwrap();
    let idle = "select count(*) from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'";
    let began = clock::now();
    while number(&mut database, idle).await > 0 {
        assert!(began.elapsed() < IDLE, "a connection idles inside a transaction");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(number(&mut database, HALVES).await, 0, "something is done by half");
    for (table, id) in &told {
        let there = match *table {
            "charge" => {
                "select count(*) from ledger_entries where kind = 'charge' and side = 'user' and reference = $1"
            }
            _ => "select count(*) from payments where id::text = $1",
        };
        let there: i64 = sqlx::query_scalar(there).bind(id).fetch_one(&mut database).await.unwrap();
        assert_eq!(there, 1, "{table} {id} was acknowledged");
    }
    let done = number(&mut database, "select count(*) from ledger_entries where kind <> 'opening'").await / 2;
    assert!(told.len() > 10 && i64::try_from(told.len()).unwrap() < done, "{} of {done} saw their end", told.len());
    database.close().await.unwrap();
    service.assert_invariants().await;
}

/// Charges, holds and pays, and seldom waits for the answer. Gives what was acknowledged all the same.
async fn hang_up_often(service: &TestService, number: u32) -> Vec<(&'static str, String)> {
    let token = service.visitor(number).await;
    let mut told = Vec::new();
    for turn in 0..EACH {
        let seat = json!({ "scheduleId": 20_002, "best": 1 });
        let (path, body, id) = match turn % 3 {
            0 => ("/points/charge", json!({ "amount": 1_000 }), "entryId"),
            1 => ("/reservations", seat, "reservationId"),
            _ => {
                let held = service.post("/reservations", &token, &seat).await.body;
                let order = json!({ "reservationId": held["reservationId"], "amount": held["amount"] });
                ("/reservations/pay", order, "paymentId")
            }
        };
        let answer = hang_up(service, path, &token, &body).await;
        if let Some(id) = answer.as_ref().and_then(|answer| answer[id].as_str())
            && turn % 3 != 1
        {
            told.push((if turn % 3 == 0 { "charge" } else { "payment" }, id.to_owned()));
        }
    }
    told
}

/// Sends a request and mostly closes the connection within 30 ms; the answer, where it was there by then.
async fn hang_up(service: &TestService, path: &str, token: &str, body: &Value) -> Option<Value> {
    let (body, key) = (body.to_string(), rand::random::<u64>());
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: anteroom\r\nauthorization: Bearer {token}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(service.service.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16 << 10];
    let moment = Duration::from_millis(rand::random_range(0..=30));
    let patience = if rand::random_bool(PATIENT) { 2 * IDLE } else { moment };
    let length = tokio::time::timeout(patience, stream.read(&mut answer)).await.ok()?.ok()?;
    let answer = std::str::from_utf8(&answer[..length]).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

async fn number(database: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database).await.unwrap()
}
