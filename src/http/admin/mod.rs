//! Operators: rooms, the programme, the audit and checks. On the admin listener only.

pub(super) mod checks;
pub(super) mod hand;
pub(super) mod programme;
pub(super) mod report;
pub(super) mod rooms;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Operator, Shared};
use super::idempotency;
use super::problem::{Code, Problem};
use super::request::{IdempotencyKey, Query};
use crate::app::App;
use crate::booking::{Key, OPERATORS};
use crate::ids::RoomName;
use crate::queue::Room;

fn known(app: &App, name: &RoomName) -> Result<Arc<Room>, Problem> {
    app.queue.room(name).ok_or_else(|| Problem::new(Code::UnknownRoom))
}

/// On which terms an operator changes something. Who is no operator gets no terms.
pub(super) struct Terms {
    /// The version that is to be changed; none for whatever is there.
    version: Option<i64>,
    key: Option<String>,
    dry_run: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct TermsQuery {
    /// Change nothing: answer what the change would mean, above all for the last in line (`Foresight`).
    #[serde(default)]
    dry_run: bool,
}

impl FromRequestParts<Shared> for Terms {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        Operator::from_request_parts(parts, app).await?;
        let Query(TermsQuery { dry_run }) = Query::from_request_parts(parts, app).await?;
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, app).await?;
        Ok(Self { version: version(&parts.headers), key, dry_run })
    }
}

/// What `If-Match` says where it names no version of ours: a version that no room ever has, they count from 1.
const NO_VERSION: i64 = 0;

/// The version in `If-Match`: none, or `*`, for whatever is there.
fn version(headers: &HeaderMap) -> Option<i64> {
    let told = headers.get(IF_MATCH)?.to_str().unwrap_or_default();
    let told = told.trim().trim_start_matches("W/").trim_matches('"');
    if told == "*" { None } else { Some(told.parse().unwrap_or(NO_VERSION)) }
}

/// Does something once for an `Idempotency-Key`; `what` names it and what it is done to.
async fn once<W>(
    app: Shared,
    what: &str,
    key: (Option<String>, [u8; 32]),
    work: impl FnOnce(Shared) -> W + Send + 'static,
) -> Result<Response, Problem>
where
    W: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let (key, body_hash) = key;
    // Boxed: a change goes through both stores, and its future is large.
    Box::pin(idempotency::once(app, key.map(|key| Key::new(OPERATORS, what, &key, &body_hash)), work)).await
}
