//! `Idempotency-Key` for requests that move no points: their answers are kept in Redis. Those that do keep theirs in
//! Postgres, in the transaction that decided them.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

use super::problem::{Code, Problem};
use crate::app::App;
use crate::booking::{self, Claimed, Key};

/// Runs a request's work once for a key, and gives its first answer again.
pub(super) async fn once(
    app: &App,
    key: Option<Key>,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let Some(key) = key else { return work.await };
    match booking::claim_key(&app.booking, &key).await? {
        Claimed::Reused => Err(Problem::new(Code::IdempotencyKeyReused)),
        Claimed::Limited { retry_after_seconds } => {
            let problem = Problem::new(Code::RateLimited).retry_after(retry_after_seconds.max(1));
            Err(problem.detail("So many Idempotency-Keys in a day are more than a visitor needs."))
        }
        Claimed::InFlight => Err(Problem::busy(Code::IdempotencyKeyInFlight)),
        Claimed::Answered(status, body) => Ok(replayed(again(status, body))),
        Claimed::First => {
            let done = work.await;
            let kept = done.as_ref().map_or_else(|problem| is_final(problem.code()), |_| true);
            let response = done.unwrap_or_else(IntoResponse::into_response);
            if !kept {
                booking::give_up_key(&app.booking, &key).await?;
                return Ok(response);
            }
            keep(app, &key, response).await
        }
    }
}

/// Whether a refusal stays what it is when asked again: 402, 409 but for what is under way, and 410.
fn is_final(code: Code) -> bool {
    let under_way = [Code::PaymentInFlight, Code::IdempotencyKeyInFlight];
    let kept = [StatusCode::PAYMENT_REQUIRED, StatusCode::CONFLICT, StatusCode::GONE];
    kept.contains(&code.entry().status) && !under_way.contains(&code)
}

async fn keep(app: &App, key: &Key, response: Response) -> Result<Response, Problem> {
    let (head, body) = response.into_parts();
    let read = body.collect().await.map_err(|e| Problem::new(Code::InternalError).cause(e.to_string()))?;
    let bytes = read.to_bytes();
    booking::keep_answer(&app.booking, key, head.status.as_u16(), &String::from_utf8_lossy(&bytes)).await?;
    Ok(Response::from_parts(head, Body::from(bytes)))
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
