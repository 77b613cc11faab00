//! `GET /queue/events`: a visitor is told where they stand, instead of asking.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::caller::{Caller, Shared};
use super::problem::Problem;
use crate::queue::{self, Listened, Listening};
use crate::refusals;

refusals!(EventsRefusals: InvalidToken, TokenExpired, UserMismatch, RateLimited, Overloaded);

/// Where the caller stands, as it changes: a stream of events, as a browser's `EventSource` reads it.
///
/// `position`, `admitted`, `expired` (the place or the visit is over; the stream ends) and `notice` (the operators opened,
/// paused or said something); the data of each is a place. The first one comes at once. `id` says what was told: who
/// comes back with it as `Last-Event-ID` is told only what is new, and 204 when the place is over, so that an
/// `EventSource` does not come again. `retry` and a comment every 15 s come too. The stream ends with the token that
/// it was asked with; a `token` in a place replaces it before. Who listens counts as present, as one who polls does.
#[utoipa::path(
    get, path = "/queue/events", tag = "queue", security(("bearer" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that the caller knows")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 204, description = "The place is over, and the caller knows it."),
        EventsRefusals,
    )
)]
pub(super) async fn events(
    State(app): State<Shared>,
    Caller(opened): Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let listening = match queue::listen(&app.queue, opened, last).await? {
        Listened::Over => return Ok(StatusCode::NO_CONTENT.into_response()),
        Listened::Stream(listening) => listening,
    };
    let events = Events { listening, stopping: Box::pin(app.stopping.clone().cancelled_owned()) };
    // The last is for nginx, which else keeps events back until it has enough of them.
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// The body of the answer. It ends when the listener is let go, and when the process stops.
struct Events {
    listening: Listening,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        self.listening.poll_next(context).map(|event| event.map(Ok))
    }
}
