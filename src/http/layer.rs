//! The one layer around all routes: request ids, limits by class, panics, meters, and the headers of every answer.
//!
//! It stands around the router instead of inside it, where each layer would cost every request two allocations and a
//! dynamic call. So it looks a route up by itself, in a table made from the same list.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use tower::Service;
use tracing::Span;

pub use super::gate::Class;
use super::gate::{Gates, Turn};
use super::meters::Meters;
use super::problem::{Cause, Code, Problem};
use super::{fault_log, metrics};
use crate::clock;
use crate::config::InFlight;
use crate::latency::Latency;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The label that all unknown routes share.
const UNMATCHED: &str = "unmatched";

/// A router with the layer around it: what the server serves.
#[derive(Clone)]
pub struct Ground {
    router: Router,
    shared: Arc<Handle>,
}

/// A way to what all share. Each connection has its own, as all cores counting on one counter slow each other down.
type Handle = Arc<Shared>;

struct Shared {
    table: matchit::Router<usize>,
    /// The first is that of all unknown routes.
    routes: Vec<Route>,
    gates: Gates,
    /// How long requests behind the gate take.
    booking: Arc<Latency>,
}

struct Route {
    path: String,
    class: Class,
    meters: Meters,
}

impl Ground {
    /// Puts the layer around a router. `paths` are the router's own, as they were given to it, each with its class;
    /// a path that is not among them is served all the same, as one of the unknown. `booking` is told how long requests
    /// behind the gate take.
    pub fn new(
        router: Router,
        paths: impl IntoIterator<Item = (String, Class)>,
        limits: &InFlight,
        booking: Arc<Latency>,
    ) -> Self {
        metrics::recorder();
        let unmatched = (UNMATCHED.to_owned(), Class::Open);
        let all = std::iter::once(unmatched).chain(paths);
        let known: Vec<Route> = all.map(|(path, class)| Route { path, class, meters: Meters::default() }).collect();
        let mut table = matchit::Router::new();
        for (at, route) in known.iter().enumerate().skip(1) {
            if let Err(error) = table.insert(&route.path, at) {
                tracing::error!(path = route.path, "A route cannot be measured: {error}");
            }
        }
        let router = router.fallback(unknown_route).method_not_allowed_fallback(wrong_method);
        let shared = Shared { table, routes: known, gates: Gates::new(limits), booking };
        Self { router, shared: Arc::new(Arc::new(shared)) }
    }

    /// The same, with a handle of its own.
    pub(super) fn apart(&self) -> Self {
        Self { router: self.router.clone(), shared: Arc::new(Arc::clone(&self.shared)) }
    }

    /// Answers a request: with what the router says, unless it was found wanting before or its class is full.
    pub(super) fn answer(&mut self, mut request: Request, flaw: Option<Problem>) -> Answering {
        let began = clock::now();
        let method = request.method().clone();
        let id = request_id(request.headers().get(&X_REQUEST_ID));
        let shared = Arc::clone(&self.shared);
        let route = shared.table.at(request.uri().path()).map_or(0, |found| *found.value);
        let Route { path, class, .. } = &shared.routes[route];
        let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default(), %method, route = path);
        let entered = flaw.is_none() && shared.gates.enter(*class);
        let place = match (entered, request.body().is_end_stream()) {
            (false, _) => Place::None,
            (true, true) => Place::Inside,
            (true, false) => Place::Turn(Turn::taken(&shared.gates, *class)),
        };
        if let Place::Turn(turn) = &place {
            request.extensions_mut().insert(turn.clone());
        }
        let work = match flaw {
            Some(problem) => Work::Refused(problem.into_response()),
            None if entered => Work::Running(self.router.call(request)),
            None => Work::Refused(Problem::busy(Code::Overloaded).into_response()),
        };
        Answering { work, began, method, id, shared, route, place, span }
    }
}

impl Service<Request> for Ground {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answering {
        self.answer(request, None)
    }
}

/// A request under way. Dropping it, as when the client hangs up, gives its slot back.
pub struct Answering {
    work: Work,
    began: Instant,
    method: Method,
    id: HeaderValue,
    shared: Arc<Handle>,
    route: usize,
    place: Place,
    span: Span,
}

/// What a request has of its class.
enum Place {
    None,
    Inside,
    Turn(Turn),
}

enum Work {
    Running(RouteFuture<Infallible>),
    Refused(Response),
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let entered = this.span.enter();
        let response = ready!(this.work.poll(context));
        drop(entered);
        Poll::Ready(Ok(this.finish(response)))
    }
}

impl Work {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response> {
        let route = match self {
            Self::Running(route) => route,
            Self::Refused(response) => return Poll::Ready(std::mem::take(response)),
        };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(route).poll(context))) {
            Ok(answer) => answer.map(|answer| answer.unwrap_or_else(|never| match never {})),
            Err(panic) => {
                // What panicked is not to be touched again, but to be dropped.
                *self = Self::Refused(Response::default());
                Poll::Ready(panicked(&*panic).into_response())
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::new(Code::InternalError).cause(format!("panicked: {}", said.unwrap_or("without a message")))
}

impl Answering {
    fn finish(&mut self, mut response: Response) -> Response {
        let Route { path, class, meters } = &self.shared.routes[self.route];
        let took = clock::now() - self.began;
        meters.record(path, &self.method, response.status(), took);
        if *class == Class::Booking {
            self.shared.booking.note(took);
        }
        if let Some(Cause(cause)) = response.extensions_mut().remove() {
            fault_log::fault(self.id.to_str().unwrap_or_default(), path, response.status().as_u16(), &cause);
        }
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_REQUEST_ID.clone(), self.id.clone());
        response
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        match &self.place {
            Place::None => {}
            Place::Inside => self.shared.gates.leave(self.shared.routes[self.route].class),
            Place::Turn(turn) => turn.step_out(),
        }
    }
}

/// The caller's own id where it is short and plain enough to be repeated in headers and logs, else a fresh one.
fn request_id(given: Option<&HeaderValue>) -> HeaderValue {
    given.filter(|id| is_plain(id.as_bytes())).cloned().unwrap_or_else(fresh_request_id)
}

fn is_plain(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

/// 128 random bits in hexadecimal.
pub(super) fn fresh_request_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(rand::random::<[u8; 16]>()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}

/// What is said at an address that no route has.
pub async fn unknown_route() -> Problem {
    Problem::new(Code::NotFound)
}

/// What is said to a method that the route does not have. The router adds `Allow`.
pub async fn wrong_method() -> Problem {
    Problem::new(Code::MethodNotAllowed)
}
