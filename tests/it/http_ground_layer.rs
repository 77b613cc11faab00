//! The layer around all routes: ids, panics, limits by class, meters, and answers where there is no route.

use std::time::Duration;

use anteroom::config::InFlight;
use anteroom::http::metrics::{METRICS, recorder};
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::http_ground::{Server, Signals, limits, serve, started};

async fn fetch(server: &Server, path: &str) -> Response {
    Client::new().get(format!("http://{}{path}", server.address)).send().await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_answer_has_an_id_and_a_good_one_of_the_caller_is_kept() {
    let server = started().await;
    let first = fetch(&server, "/hello").await;
    let second = fetch(&server, "/nowhere").await;
    assert_eq!(header(&first, "x-request-id").len(), 32);
    assert_ne!(header(&first, "x-request-id"), header(&second, "x-request-id"));
    let long = "a".repeat(129);
    for (own, kept) in [("abc-1_2.Z", true), ("with space", false), (long.as_str(), false), ("", false)] {
        let asked = Client::new().get(format!("http://{}/hello", server.address)).header("x-request-id", own);
        let answer = asked.send().await.unwrap();
        assert_eq!(header(&answer, "x-request-id") == own, kept, "{own:?}");
    }
}

#[tokio::test]
async fn answers_are_neither_stored_nor_guessed_at() {
    let server = started().await;
    let answer = fetch(&server, "/hello").await;
    assert_eq!(header(&answer, "cache-control"), "no-store");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_connection_stays() {
    let server = started().await;
    let client = Client::builder().pool_max_idle_per_host(1).build().unwrap();
    let answer = client.get(format!("http://{}/panic", server.address)).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(header(&answer, "content-type"), "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "internal-error");
    assert!(!body.to_string().contains("on purpose"), "{body}");
    assert_eq!(client.get(format!("http://{}/hello", server.address)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let server = started().await;
    let unknown = fetch(&server, "/nowhere").await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<Value>().await.unwrap()["code"], "not-found");
    let wrong = Client::new().delete(format!("http://{}/numbers", server.address)).send().await.unwrap();
    assert_eq!(wrong.status(), 405);
    let allowed = header(&wrong, "allow").to_owned();
    assert!(allowed.contains("POST") && allowed.contains("GET"), "{allowed}");
    assert_eq!(wrong.json::<Value>().await.unwrap()["code"], "method-not-allowed");
}

/// Red when a request whose body does not come holds its place in the class meanwhile.
#[tokio::test]
async fn bodies_that_come_slowly_keep_nobody_out() {
    let server = serve(limits(), InFlight { booking: 2, ..InFlight::default() }, &Signals::default()).await;
    let head = "POST /numbers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let began = Instant::now();
    while fetch(&server, "/things/1").await.status() != 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "they keep all others out");
    }
    // They are answered all the same once they are done.
    for mut stream in slow {
        stream.write_all(br#"{"amount":1,"name":"ab"}"#).await.unwrap();
        let mut answer = [0; 64];
        assert!(timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap().unwrap() > 0);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_full_class_refuses_at_once_and_leaves_the_others_alone() {
    let signals = Signals::default();
    let server = serve(limits(), InFlight { booking: 1, ..InFlight::default() }, &signals).await;
    let url = format!("http://{}/wait", server.address);
    let waiting = tokio::spawn(Client::new().get(&url).send());
    signals.arrived.notified().await;
    let refused = fetch(&server, "/things/1").await;
    assert_eq!(refused.status(), 503);
    assert!((1..=3).contains(&header(&refused, "retry-after").parse::<u64>().unwrap()));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "overloaded");
    assert_eq!(fetch(&server, "/hello").await.status(), 200, "another class");
    signals.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    assert_eq!(fetch(&server, "/things/1").await.status(), 200, "the slot is free again");
}

#[tokio::test]
async fn a_client_that_hangs_up_gives_its_slot_back() {
    let signals = Signals::default();
    let server = serve(limits(), InFlight { booking: 1, ..InFlight::default() }, &signals).await;
    let waiting = tokio::spawn(Client::new().get(format!("http://{}/wait", server.address)).send());
    signals.arrived.notified().await;
    waiting.abort();
    let freed = async {
        while fetch(&server, "/things/1").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.expect("the slot stayed taken");
}

#[tokio::test]
async fn labels_are_bounded_whatever_is_asked() {
    let server = started().await;
    for path in ["/things/4711", "/things/4712", "/made-up-4711", "/made-up-4712"] {
        fetch(&server, path).await;
    }
    let made_up = http::Method::from_bytes(b"MADEUP").unwrap();
    Client::new().request(made_up, format!("http://{}/hello", server.address)).send().await.unwrap();
    let text = recorder().render();
    let ours =
        |needle: &str| text.lines().any(|line| line.starts_with("http_request_duration") && line.contains(needle));
    assert!(ours(r#"route="/things/{id}""#) && ours(r#"route="unmatched""#) && ours(r#"method="other""#));
    assert!(ours(r#"le="0.5""#), "the goal is an edge");
    // Values may have any digits in them.
    let mut labels = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(labels, _)| labels);
    assert!(!labels.any(|labels| labels.contains("4711") || labels.contains("MADEUP")));
}

#[tokio::test]
async fn metrics_of_the_process_and_of_the_runtime_are_there() {
    recorder();
    let text = recorder().render();
    for name in ["anteroom_build_info{", "process_resident_memory_bytes", "tokio_alive_tasks"] {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
}

#[test]
fn the_table_of_metrics_in_the_docs_is_the_one_in_the_code() {
    let documented = include_str!("../../docs/metrics.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<&str> = rows.filter_map(|row| row.split(['`', '{']).next()).collect();
    let known: Vec<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(rows, known);
    for (_, _, _, help) in METRICS {
        assert!(documented.contains(help), "docs/metrics.md does not say: {help}");
    }
}
