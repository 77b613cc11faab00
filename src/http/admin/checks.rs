//! The audit, the invariants and the metrics.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::booking;
use crate::http::caller::{Operator, Shared};
use crate::http::metrics;
use crate::http::problem::Problem;
use crate::http::request::Query;
use crate::ledger::Check;
use crate::refusals;
use crate::store::audit::{self, Done};

/// Entries of the audit that one answer has at most.
const MOST: i64 = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AuditQuery {
    /// Only what was done to this room.
    room: Option<String>,
    /// Only what was done before this entry: `next` of the answer before.
    before: Option<i64>,
    /// Entries at most, 1 to 500; 50 where it is not given.
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Audit {
    /// The latest first.
    entries: Vec<Done>,
    /// For `before` of the next request; null where there is nothing more.
    next: Option<i64>,
}

refusals!(AuditRefusals: AdminUnauthorized, ValidationFailed);

/// What operators did, when and why.
#[utoipa::path(
    get, path = "/admin/audit", tag = "checks", security(("bearer" = [])), params(AuditQuery),
    responses((status = 200, body = Audit), AuditRefusals)
)]
pub(in crate::http) async fn audit(
    State(app): State<Shared>,
    _: Operator,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid("limit", "is 1 to 500"));
    }
    let room = query.room.filter(|room| !room.contains('\0'));
    let mut entries = audit::list(&app.db, room.as_deref(), query.before, limit + 1).await?;
    let more = i64::try_from(entries.len()).is_ok_and(|found| found > limit);
    entries.truncate(usize::try_from(limit).unwrap_or_default());
    let next = entries.last().filter(|_| more).map(|last| last.id);
    Ok(axum::Json(Audit { entries, next }).into_response())
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Invariants {
    ok: bool,
    #[schema(value_type = Vec<serde_json::Value>)]
    checks: Vec<Check>,
}

refusals!(CheckRefusals: AdminUnauthorized);

/// The invariants, looked at in the stores themselves.
#[utoipa::path(
    get, path = "/admin/invariants", tag = "checks", security(("bearer" = [])),
    responses((status = 200, body = Invariants), CheckRefusals)
)]
pub(in crate::http) async fn invariants(State(app): State<Shared>, _: Operator) -> Result<Response, Problem> {
    let checks = booking::check(&app.booking).await?;
    Ok(axum::Json(Invariants { ok: checks.iter().all(|check| check.ok), checks }).into_response())
}

/// What Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "checks", responses((status = 200, content_type = "text/plain")))]
pub(in crate::http) async fn scrape() -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::recorder().render()).into_response()
}
