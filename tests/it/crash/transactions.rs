//! Postgres' work does not grow with the number of visitors who queue, look and hold.
//!
//! Two services run side by side for the same time, one with 10 visitors and one with as many as there are demo accounts
//! (`TEST_USERS=1000` for the whole crowd).

use std::time::{Duration, Instant};

use anteroom::clock;
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::service::users;
use crate::support::{TestService, stores};

const FEW: u32 = 10;

/// For how long the visitors come back.
const VISIT: Duration = Duration::from_secs(6);

/// Visitors who log in together: more would only wait for each other's passwords.
const AT_ONCE: usize = 30;

/// How many transactions more or less are chance.
const CHANCE: i64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_has_no_more_to_do_for_a_crowd_than_for_ten() {
    let crowd = users();
    let ((few, some), (many, most)) = tokio::join!(measure(FEW), measure(crowd));
    assert!(most > 5 * some, "{crowd} visitors asked {most} times, {FEW} {some} times: nothing is proven");
    // Its jobs ask each second: a service that asked nothing had no connection.
    assert!(few > 0 && many > 0, "{FEW} visitors: {few} transactions; {crowd} visitors: {many}");
    eprintln!("transactions for {FEW} visitors: {few} ({some} requests), for {crowd}: {many} ({most} requests)");
    assert!((many - few).abs() <= CHANCE, "{FEW} visitors: {few} transactions; {crowd} visitors: {many}");
}

/// Transactions of a service with so many visitors, and the visitors' requests.
async fn measure(visitors: u32) -> (i64, usize) {
    // A login waits for its password's check, so that nobody polls meanwhile.
    let service = TestService::start(&[("login_wait_ms", "15000")]).await;
    let capacity = json!({ "capacity": visitors / 2, "holdSeconds": 2 });
    service.set_room(&capacity).await;
    let mut tokens = Vec::new();
    for number in (1..=visitors).step_by(AT_ONCE) {
        tokens.extend(join_all((number..=visitors).take(AT_ONCE).map(|number| service.token(number))).await);
    }
    let before = transactions(&service).await;
    let ends = clock::now() + VISIT;
    let asked = join_all(tokens.iter().map(|token| visit(&service, token, ends))).await;
    let after = transactions(&service).await;
    (after - before, asked.iter().sum())
}

/// Polls; whoever is inside looks around, holds, and mostly gives back. Gives how often it asked.
async fn visit(service: &TestService, token: &str, ends: Instant) -> usize {
    let mut asked = 0;
    while clock::now() < ends {
        tokio::time::sleep(Duration::from_millis(rand::random_range(500..1_500))).await;
        let place = service.get("/queue/position", token).await;
        asked += 1;
        if place.body["status"] != "active" {
            continue;
        }
        asked += 6;
        service.get("/reservations/available/dates", token).await;
        service.get("/reservations/available/seat?scheduleId=12346", token).await;
        service.get("/points/balance", token).await;
        service.get("/reservations", token).await;
        service.get(&format!("/reservations/guess-{}", rand::random::<u64>()), token).await;
        let held = service.post("/reservations", token, &json!({ "scheduleId": 12_346, "best": 1 })).await;
        if let (StatusCode::OK, Some(id)) = (held.status, held.body["reservationId"].as_str())
            && rand::random_bool(0.8)
        {
            asked += 1;
            service.send(service.request(Method::DELETE, &format!("/reservations/{id}"), token)).await;
        }
    }
    asked
}

/// Transactions that the service's database has seen. Its connections are cut first: only an ended one has told all.
async fn transactions(service: &TestService) -> i64 {
    let database = service.database_url.rsplit('/').next().unwrap();
    let mut admin = PgConnection::connect(&stores().admin_database_url).await.unwrap();
    sqlx::query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1")
        .bind(database)
        .execute(&mut admin)
        .await
        .unwrap();
    let counted = "select xact_commit + xact_rollback from pg_stat_database where datname = $1";
    let counted = sqlx::query_scalar(counted).bind(database).fetch_one(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    counted
}
