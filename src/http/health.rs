//! Whether the service is there, and whether it can serve.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Shared;
use crate::app::App;
use crate::clock;
use crate::error::Fault;
use crate::store::pulse::Seen;

/// A room that nobody looked at for this long does not move, ms.
const OLDEST_LOOK_MS: u64 = 5_000;

/// What is said of admission while payments could not be recorded.
const PAUSED: &str = "paused while Postgres does not answer";

/// The process is there.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// One thing that the service needs.
#[derive(Serialize, ToSchema)]
pub(super) struct Need {
    name: &'static str,
    ok: bool,
    detail: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    checks: Vec<Need>,
}

/// Redis, Postgres and a fresh look at every room: 503 with a reason each.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub(super) async fn ready(State(app): State<Shared>) -> Response {
    let [redis, postgres] = stores(&app.pulse.feel().await);
    let checks = vec![redis, postgres, admission(&app), stopping(&app)];
    let ready = checks.iter().all(|need| need.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, axum::Json(Readiness { ready, checks })).into_response();
    if !ready {
        response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
    }
    response
}

fn stores(felt: &Result<Arc<Seen>, Fault>) -> [Need; 2] {
    let need = |name, told: Option<String>| match told {
        Some(detail) => Need { name, ok: true, detail },
        None => Need { name, ok: false, detail: "does not answer".into() },
    };
    let felt = felt.as_ref().ok();
    let answers = || "answers".to_owned();
    let redis = felt.and_then(|seen| seen.redis.as_ref());
    let redis = redis.map(|told| if told.dangers.is_empty() { answers() } else { told.dangers.join("; ") });
    let postgres = felt.filter(|seen| seen.postgres).map(|_| answers());
    [need("redis", redis), need("postgres", postgres)]
}

fn admission(app: &App) -> Need {
    let old = |seen_at_ms: u64| seen_at_ms == 0 || seen_at_ms + OLDEST_LOOK_MS < clock::uptime_ms();
    let rooms = app.queue.rooms();
    let stale: Vec<_> = rooms.iter().filter(|room| old(room.view().seen_at_ms)).map(|r| r.name.to_string()).collect();
    let detail = match (rooms.is_empty(), stale.is_empty()) {
        (true, _) => "there is no room".to_owned(),
        (_, true) if !app.queue.postgres_serves() => PAUSED.to_owned(),
        (_, true) => "every room was looked at".to_owned(),
        (_, false) => format!("nobody looked at {} for {} s", stale.join(", "), OLDEST_LOOK_MS / 1_000),
    };
    Need { name: "admission", ok: stale.is_empty() && !rooms.is_empty(), detail }
}

fn stopping(app: &App) -> Need {
    let stopping = app.stopping.is_cancelled();
    let detail = if stopping { "is stopping" } else { "serves" };
    Need { name: "process", ok: !stopping, detail: detail.into() }
}
