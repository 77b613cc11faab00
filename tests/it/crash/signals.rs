//! Ctrl-C and SIGTERM end `anteroom dev` in order, and started again it goes on with what was there.

use std::time::Duration;

use anteroom::cli::stores;
use anteroom::clock;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Program;
use crate::support::program::data_dir;

/// How long until the first visitor is inside.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_ends_in_order_and_goes_on_later() {
    let dir = TempDir::new().unwrap();
    let program = Program::dev(dir.path(), &[]).await;
    let token = log_in(&program).await;
    let seats = json!({ "scheduleId": 12_346, "seatIds": ["A1", "A2"] });
    let (_, held) = ask(&program, Method::POST, "/reservations", (&token, &seats)).await;
    let order = json!({ "reservationId": held["reservationId"], "amount": held["amount"] });
    let (status, paid) = ask(&program, Method::POST, "/reservations/pay", (&token, &order)).await;
    assert_eq!((status, &paid["status"]), (StatusCode::OK, &json!("confirmed")), "{held} {paid}");
    ends_in_order(program, "INT").await;

    let program = Program::dev(dir.path(), &[]).await;
    let token = log_in(&program).await;
    let (_, balance) = ask(&program, Method::GET, "/points/balance", (&token, &Value::Null)).await;
    assert_eq!(balance["balance"], paid["balance"]);
    let (_, again) = ask(&program, Method::POST, "/reservations/pay", (&token, &order)).await;
    assert_eq!(again["paymentId"], paid["paymentId"], "{again}");
    let plan = "/reservations/available/seat?scheduleId=12346&all=true";
    let (_, seen) = ask(&program, Method::GET, plan, (&token, &Value::Null)).await;
    let sold = seen["seats"].as_array().unwrap().iter().filter(|seat| seat["status"] == "sold");
    assert_eq!(sold.map(|seat| seat["seatId"].as_str().unwrap()).collect::<Vec<_>>(), ["A1", "A2"]);
    ends_in_order(program, "TERM").await;
    stores::wipe(&data_dir(dir.path())).await.unwrap();
}

async fn ends_in_order(program: Program, signal: &str) {
    let (status, left) = program.stop(signal).await;
    assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
    assert!(left.is_empty(), "SIG{signal} leaves processes: {left:?}");
}

/// Logs the first demo account in, whose visit outlives a start.
async fn log_in(program: &Program) -> String {
    let began = clock::now();
    let account = json!({ "username": "user00001", "password": "anteroom-demo" });
    let (status, mut place) = ask(program, Method::POST, "/auth/token", ("", &account)).await;
    assert_eq!(status, StatusCode::OK, "{place}");
    let mut token = place["token"].as_str().unwrap().to_owned();
    while place["status"] != "active" {
        assert!(began.elapsed() < PATIENCE, "never inside: {place}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        place = ask(program, Method::GET, "/queue/position", (&token, &Value::Null)).await.1;
        if let Some(replaced) = place["token"].as_str() {
            replaced.clone_into(&mut token);
        }
    }
    token
}

async fn ask(program: &Program, method: Method, path: &str, with: (&str, &Value)) -> (StatusCode, Value) {
    let (token, body) = with;
    let request = Client::new().request(method, format!("{}{path}", program.url)).bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(body) };
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}
