//! The accept loop: connections within limits, and a stop that lets requests end.
//!
//! `axum::serve` leaves open what a public listener needs: slow and large heads, how many connections there are,
//! requests that are ambiguous (RFC 9112, 3.2 and 6.1), and how long a stop may take.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Version};
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::{Builder, Connection};
use metrics::counter;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Noted, Notes};
use super::layer::{Answering, Ground, fresh_request_id};
use super::problem::{Code, Problem};
use super::request::PeerAddr;
use crate::config::Config;

/// The largest head of a request: more is 431.
pub(super) const HEAD_BYTES: usize = 16 * 1024;
/// The most header fields of a request: more is 431.
const HEAD_FIELDS: usize = 64;
/// Connections that the kernel keeps until they are accepted: those of a crowd that comes within one moment.
const BACKLOG: u32 = 4_096;
/// Requests under way at once on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// A pause when no connection can be accepted for want of file descriptors, instead of trying without end.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What the server takes on, and how long it waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections at most; those beyond are answered 503 and closed.
    pub connections: usize,
    /// How long connections may take.
    pub patience: Patience,
    /// How long a stop waits for requests under way.
    pub drain: Duration,
}

/// Proxies and clients keep idle connections for 60 to 120 s (nginx, AWS, Go, Caddy). Whoever of the two keeps them for longer
/// ends none that the other is writing to at that moment, and that must be us: a POST is not sent again. Each connection gets up
/// to half as much again: those of a crowd idle since the same moment, and would all end in another.
const IDLE: Duration = Duration::from_secs(130);
const IDLE_SPREAD: f64 = 0.5;

/// How long a connection may take over what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A request's head, from its first byte, or from the connection's beginning. The shortest of the three.
    pub head: Duration,
    /// Nothing at all, between requests. Longer than the longest poll interval.
    pub idle: Duration,
    /// Reading nothing of what is written to it.
    pub blocked: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        let seconds = Duration::from_secs;
        let patience = Patience { head: seconds(10), idle: IDLE, blocked: seconds(30) };
        Self { connections: config.connections, patience, drain: seconds(config.drain_seconds) }
    }
}

/// Begins to listen.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, and then until the requests under way have ended or the time to drain is over.
pub async fn serve(listener: TcpListener, ground: Ground, limits: Limits, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let deadline = CancellationToken::new();
    let desk = Arc::new(Desk { builder: builder(), patience: limits.patience, stop, deadline });
    while let Some((stream, peer)) = accept(&listener, &desk.stop).await {
        if connections.len() >= limits.connections {
            turn_away(&stream);
        } else {
            connections.spawn(Arc::clone(&desk).attend(stream, peer, ground.apart()));
        }
    }
    drop(listener);
    connections.close();
    if timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "The time to drain is over; connections are cut");
        desk.deadline.cancel();
        connections.wait().await;
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Answers are small: copying one behind its head costs less than a write of two pieces.
    builder.http1().max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS).header_read_timeout(None).writev(false);
    builder.http2().max_concurrent_streams(STREAMS).max_header_list_size(16 * 1024);
    builder
}

/// The next connection, or none once the server stops.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            // The client gave up before it was its turn: its own affair.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!("No connection can be accepted: {error}");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// Answers 503 without reading, as far as the socket takes it at once.
fn turn_away(stream: &TcpStream) {
    counter!("anteroom_shed_total", "class" => "connections").increment(1);
    let id = fresh_request_id();
    let body = r#"{"type":"/errors/overloaded","title":"Too many requests are under way","status":503,"detail":"Too many connections are open.","code":"overloaded"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: {}\r\n\
         x-request-id: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        rand::random_range(1..=3),
        id.to_str().unwrap_or_default(),
        body.len(),
    );
    // A client that cannot even take this is closed all the same.
    let _ = stream.try_write(answer.as_bytes());
}

/// What all connections share.
struct Desk {
    builder: Builder<TokioExecutor>,
    patience: Patience,
    stop: CancellationToken,
    deadline: CancellationToken,
}

type Conversation<'a> = Connection<'a, TokioIo<Noted>, Door, TokioExecutor>;

impl Desk {
    async fn attend(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, ground: Ground) {
        // Answers are small and whole: nothing is gained by waiting for more of them.
        let _ = stream.set_nodelay(true);
        let notes = Arc::new(Notes::new());
        let door = Door { ground: Mutex::new(ground), peer: PeerAddr(peer), notes: Arc::clone(&notes) };
        let io = TokioIo::new(Noted { stream, notes: Arc::clone(&notes) });
        let mut conversation = pin!(self.builder.serve_connection(io, door));
        let idle = self.patience.idle.mul_f64(1.0 + rand::random_range(0.0..IDLE_SPREAD));
        let patience = Patience { idle, ..self.patience };
        tokio::select! {
            biased;
            () = self.converse(conversation.as_mut(), &notes, &patience) => return,
            () = self.stop.cancelled() => conversation.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            biased;
            () = self.converse(conversation.as_mut(), &notes, &patience) => {}
            () = self.deadline.cancelled() => {}
        }
    }

    /// Serves a connection until it ends or its time is up. Broken connections are no news.
    async fn converse(&self, mut conversation: Pin<&mut Conversation<'_>>, notes: &Notes, allowed: &Patience) {
        while let Some(patience) = notes.patience(allowed) {
            let talk = poll_fn(|context| {
                let ended = conversation.as_mut().poll(context);
                notes.pause();
                ended
            });
            tokio::select! {
                biased;
                _ = talk => return,
                () = sleep(patience) => {}
            }
        }
    }
}

/// What answers the requests of one connection.
struct Door {
    /// This connection's own: to share one among all would make every request wait for its counters.
    ground: Mutex<Ground>,
    peer: PeerAddr,
    notes: Arc<Notes>,
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = AtDoor;

    fn call(&self, mut request: Request<Incoming>) -> AtDoor {
        let multiplexed = request.version() == Version::HTTP_2;
        let both = self.notes.begin(multiplexed, request.headers().contains_key(TRANSFER_ENCODING));
        let flaw = flaw(&request, both);
        let closes = flaw.is_some() && !multiplexed;
        request.extensions_mut().insert(self.peer);
        // Most requests have no body, and an empty one need not be boxed.
        let request = request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        let answering = self.ground.lock().unwrap_or_else(PoisonError::into_inner).answer(request, flaw);
        AtDoor { answering, closes, notes: Arc::clone(&self.notes) }
    }
}

/// What makes a request ambiguous although hyper takes it.
fn flaw(request: &Request<Incoming>, both_lengths: bool) -> Option<Problem> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let needed = usize::from(request.version() == Version::HTTP_11);
    let refusal = if both_lengths {
        "The request has both Content-Length and Transfer-Encoding."
    } else if hosts < needed {
        "The request has no Host."
    } else if hosts > 1 {
        "The request has more than one Host."
    } else {
        return None;
    };
    Some(Problem::new(Code::MalformedRequest).detail(refusal))
}

/// A request under way on its connection.
struct AtDoor {
    answering: Answering,
    closes: bool,
    notes: Arc<Notes>,
}

impl Future for AtDoor {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = ready!(Pin::new(&mut this.answering).poll(context));
        let closes = this.closes;
        Poll::Ready(answer.map(|response| if closes { closing(response) } else { response }))
    }
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Drop for AtDoor {
    fn drop(&mut self) {
        self.notes.end();
    }
}
