//! `Idempotency-Key` for requests that move no points: their answers are kept in Redis. Those that do keep theirs in
//! Postgres, in the transaction that decided them.

use std::panic::resume_unwind;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::caller::Shared;
use super::problem::{Code, Problem};
use super::reply::too_many_keys;
use crate::booking::{self, Booking, Claimed, Key};
use crate::error::Fault;

/// Runs a request's work once for a key, and gives its first answer again. Under a key it runs in a task of its own, to
/// its end also when the client hangs up: who sends it again is to find its answer, neither a claim that nobody works
/// on, nor nothing at all although the work was done.
pub(super) async fn once<W>(
    app: Shared,
    key: Option<Key>,
    work: impl FnOnce(Shared) -> W + Send + 'static,
) -> Result<Response, Problem>
where
    W: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let Some(key) = key else { return work(app).await };
    apart(&app.under_way, claimed(Arc::clone(&app), key, work)).await?
}

/// Runs in a task of its own, which logs under the same request. Where it panics, so does this: the layer around all
/// requests answers then, as for any other.
async fn apart<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Fault> {
    tasks.spawn(work.in_current_span()).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cancelled) => Fault::Defect(cancelled.to_string()),
    })
}

async fn claimed<W>(app: Shared, key: Key, work: impl FnOnce(Shared) -> W) -> Result<Response, Problem>
where
    W: Future<Output = Result<Response, Problem>>,
{
    let booking = Arc::clone(&app.booking);
    match booking::claim_key(&booking, &key).await? {
        Claimed::Reused => Err(Problem::new(Code::IdempotencyKeyReused)),
        Claimed::Limited { retry_after_seconds } => Err(too_many_keys(retry_after_seconds)),
        Claimed::InFlight => Err(Problem::busy(Code::IdempotencyKeyInFlight)),
        Claimed::Answered(status, body) => Ok(replayed(again(status, body))),
        Claimed::First => keep(&booking, &key, work(app).await).await,
    }
}

/// Whether a refusal stays what it is when asked again: 402, 409 but for what is under way, and 410.
fn is_final(code: Code) -> bool {
    let under_way = [Code::PaymentInFlight, Code::IdempotencyKeyInFlight];
    let kept = [StatusCode::PAYMENT_REQUIRED, StatusCode::CONFLICT, StatusCode::GONE];
    kept.contains(&code.entry().status) && !under_way.contains(&code)
}

/// Keeps an answer, or gives the claim up for one that is none to keep. The answer is decided, so it is told also where
/// Redis does not take it. The claim stays there then: until it is void, the same request again is told that the first
/// one is in flight, and from then on it is a new one.
async fn keep(booking: &Booking, key: &Key, done: Result<Response, Problem>) -> Result<Response, Problem> {
    if done.as_ref().is_err_and(|problem| !is_final(problem.code())) {
        note(booking::give_up_key(booking, key).await);
        return done;
    }
    let (head, body) = done.unwrap_or_else(IntoResponse::into_response).into_parts();
    let read = body.collect().await.map_err(|e| Problem::new(Code::InternalError).cause(e.to_string()))?;
    let bytes = read.to_bytes();
    note(booking::keep_answer(booking, key, head.status.as_u16(), &String::from_utf8_lossy(&bytes)).await);
    Ok(Response::from_parts(head, Body::from(bytes)))
}

fn note(kept: Result<(), Fault>) {
    if let Err(fault) = kept {
        tracing::warn!(%fault, "an answer is not kept under its Idempotency-Key");
    }
}

fn again(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let content = if status.is_success() { "application/json" } else { "application/problem+json" };
    if body.is_empty() {
        return status.into_response();
    }
    (status, [(axum::http::header::CONTENT_TYPE, content)], body).into_response()
}

/// Marks an answer as one that was given before.
pub(super) fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    metrics::counter!("anteroom_idempotent_replays_total").increment(1);
    response
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_task_goes_on_in_who_waits_for_it() {
        let tasks = TaskTracker::new();
        let panicking = apart(&tasks, async {
            panic!("on purpose");
        });
        let panic = AssertUnwindSafe(panicking).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }

    /// Red when what the task logs cannot be found by its request.
    #[tokio::test]
    async fn a_task_logs_under_the_request_that_began_it() {
        let _logged = tracing::subscriber::set_default(tracing_subscriber::registry());
        let request = tracing::info_span!("request");
        let began = async { apart(&TaskTracker::new(), async { tracing::Span::current().id() }).await };
        assert_eq!(began.instrument(request.clone()).await.unwrap(), request.id());
        assert!(request.id().is_some());
    }
}
