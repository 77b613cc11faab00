//! The server under bad input and at its end, with tiny routers of its own and raw sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anteroom::config::InFlight;
use anteroom::http::layer::{Class, Ground};
use anteroom::http::problem::Problem;
use anteroom::http::request::{Json, PeerAddr, Query};
use anteroom::http::server::{self, Limits, Patience};
use axum::extract::Request;
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A server of a test's own; it ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

/// What a handler that waits can be told, and tells.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    pub(crate) arrived: Arc<Notify>,
    pub(crate) go_on: Arc<Notify>,
}

pub(crate) fn limits() -> Limits {
    let patience =
        Patience { head: Duration::from_millis(300), idle: Duration::from_mins(1), blocked: Duration::from_mins(1) };
    Limits { connections: 100, patience, drain: Duration::from_secs(5) }
}

pub(crate) async fn serve(limits: Limits, in_flight: InFlight, signals: &Signals) -> Server {
    let ground = Ground::new(router(signals.clone()), routes(), &in_flight, Arc::default());
    let listener = server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(server::serve(listener, ground, limits, stop.clone()));
    Server { address, stop, task }
}

pub(crate) async fn started() -> Server {
    serve(limits(), InFlight::default(), &Signals::default()).await
}

fn routes() -> Vec<(String, Class)> {
    let classes = [
        ("/hello", Class::Polling),
        ("/wait", Class::Booking),
        ("/panic", Class::Booking),
        ("/peer", Class::Open),
        ("/large", Class::Open),
        ("/numbers", Class::Booking),
        ("/things/{id}", Class::Booking),
    ];
    classes.map(|(path, class)| (path.to_owned(), class)).into()
}

#[derive(serde::Deserialize)]
struct Numbers {
    amount: i64,
    name: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    schedule_id: i64,
}

async fn add(Json { value, body_hash }: Json<Numbers>) -> String {
    format!("{} {} {}", value.name, value.amount, body_hash.len())
}

async fn wanted(Query(query): Query<Wanted>) -> Result<String, Problem> {
    Ok(query.schedule_id.to_string())
}

fn router(Signals { arrived, go_on }: Signals) -> Router {
    let wait = move || async move {
        arrived.notify_one();
        go_on.notified().await;
        "done"
    };
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route("/wait", get(wait))
        .route("/panic", get(|_: Request| async { panic!("on purpose") as &'static str }))
        .route("/peer", get(|Extension(PeerAddr(peer)): Extension<PeerAddr>| async move { peer.to_string() }))
        .route("/numbers", post(add).get(wanted))
        .route("/things/{id}", get(|| async { "thing" }))
}

/// Sends bytes and reads until the server closes the connection.
pub(crate) async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close before it has everything; what it answered until then is what counts.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("it was not closed");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_not_waited_for() {
    let server = started().await;
    let began = Instant::now();
    assert_eq!(talk(server.address, b"").await, "", "silent from the beginning");
    assert_eq!(talk(server.address, b"GET /hello HTT").await, "", "stopped in the first line");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_slow_head_on_a_connection_that_was_used_is_not_waited_for() {
    let server = started().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 1_024];
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    stream.write_all(b"GET /hello HTT").await.unwrap();
    let read = timeout(Duration::from_secs(5), stream.read(&mut answer)).await.expect("it was not closed");
    assert_eq!(read.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_connection_may_idle_longer_than_a_head_may_take() {
    let server = started().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 1_024];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        tokio::time::sleep(limits().patience.head * 2).await;
    }
}

#[tokio::test]
async fn a_connection_that_idles_too_long_is_closed() {
    let mut limits = limits();
    limits.patience.idle = Duration::from_millis(300);
    let server = serve(limits, InFlight::default(), &Signals::default()).await;
    assert!(talk(server.address, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with("HTTP/1.1 200"));
}

/// Red when each ends after the same time: a crowd that idles since one moment would lose its connections in another.
#[tokio::test]
async fn connections_idle_since_the_same_moment_do_not_end_in_the_same_moment() {
    let mut limits = limits();
    limits.patience.idle = Duration::from_secs(1);
    let server = serve(limits, InFlight::default(), &Signals::default()).await;
    let began = Instant::now();
    let ended = (0..20).map(|_| async {
        assert!(talk(server.address, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        began.elapsed()
    });
    let ended = join_all(ended).await;
    let (first, last) = (ended.iter().min().unwrap(), ended.iter().max().unwrap());
    assert!(*first >= limits.patience.idle, "{ended:?}");
    assert!(*last > *first + limits.patience.idle / 5, "{ended:?}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_answer_is_not_waited_for() {
    let mut limits = limits();
    limits.patience.blocked = Duration::from_millis(300);
    let server = serve(limits, InFlight::default(), &Signals::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // Only an ending connection lets the server end well before its time to drain is over.
    tokio::time::sleep(limits.patience.blocked * 3).await;
    server.stop.cancel();
    timeout(limits.drain / 2, server.task).await.expect("the answer is still being written").unwrap();
}

#[tokio::test]
async fn heads_beyond_their_size_are_refused() {
    let server = started().await;
    let large = format!("GET /hello HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n", "x".repeat(450_000));
    let answer = talk(server.address, large.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: 1\r\n".repeat(80));
    assert!(talk(server.address, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn requests_that_two_readers_could_understand_differently_are_refused() {
    let server = started().await;
    for (request, why) in [
        ("GET /hello HTTP/1.1\r\n\r\n", "no Host"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "more than one Host"),
        (
            "POST /numbers HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "both Content-Length and Transfer-Encoding",
        ),
        (
            "POST /numbers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            "both Content-Length and Transfer-Encoding",
        ),
    ] {
        let answer = talk(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
        assert!(answer.contains("malformed-request") && answer.contains(why), "{request}: {answer}");
        assert!(answer.contains("x-request-id: ") && answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn an_http_1_0_request_needs_no_host() {
    let server = started().await;
    assert!(talk(server.address, b"GET /hello HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
}

#[tokio::test]
async fn http_2_is_spoken_with_those_who_begin_with_it() {
    let server = started().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
    // HEADERS on stream 1, the last of the request: GET, http, /hello, authority a (RFC 7541, appendix A).
    stream.write_all(b"\x00\x00\x0d\x01\x05\x00\x00\x00\x01\x82\x86\x04\x06/hello\x01\x01a").await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(5).any(|bytes| bytes == b"hello") {
        let mut more = [0; 1_024];
        let read = timeout(Duration::from_secs(5), stream.read(&mut more)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.extend_from_slice(&more[..read]);
    }
}

#[tokio::test]
async fn handlers_see_the_other_end_of_the_connection() {
    let server = started().await;
    let answer = talk(server.address, b"GET /peer HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains("\r\n\r\n127.0.0.1:"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_answered_at_once() {
    let server = serve(Limits { connections: 1, ..limits() }, InFlight::default(), &Signals::default()).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    let second = talk(server.address, b"").await;
    assert!(second.starts_with("HTTP/1.1 503") && second.contains("retry-after: "), "{second}");
    let (_, body) = second.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["code"], "overloaded");
}

#[tokio::test]
async fn a_stop_lets_the_request_under_way_end_and_takes_no_more() {
    let signals = Signals::default();
    let server = serve(limits(), InFlight::default(), &signals).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let asking = tokio::spawn(talk_owned(server.address, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"));
    signals.arrived.notified().await;
    server.stop.cancel();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.task.is_finished());
    signals.go_on.notify_one();
    assert!(asking.await.unwrap().ends_with("done"));
    timeout(Duration::from_secs(2), server.task).await.expect("the server did not end").unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_stop_has_a_deadline() {
    let signals = Signals::default();
    let server = serve(Limits { drain: Duration::from_millis(100), ..limits() }, InFlight::default(), &signals).await;
    let asking = tokio::spawn(talk_owned(server.address, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"));
    signals.arrived.notified().await;
    server.stop.cancel();
    timeout(Duration::from_secs(2), server.task).await.expect("the server did not end").unwrap();
    assert_eq!(asking.await.unwrap(), "");
}

async fn talk_owned(address: SocketAddr, request: &'static str) -> String {
    talk(address, request.as_bytes()).await
}
