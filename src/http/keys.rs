//! The public keys of tokens, for whoever wants to read a token without asking.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jsonwebtoken::jwk::Jwk;
use serde::Serialize;
use utoipa::ToSchema;

use super::cached::tagged_by_content;
use super::caller::Shared;
use super::problem::Problem;
use crate::error::Fault;

/// How long others may go on without looking for new keys. A key that is to sign is published for longer before.
const POLICY: &str = "public, max-age=60";

/// A set of keys (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(super) struct KeySet {
    /// Ed25519 keys (RFC 8037): `kty` `OKP`, `crv` `Ed25519`, `alg` `EdDSA`, `use` `sig`, `kid` and `x`. The first one
    /// signs.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Jwk>,
}

/// The public keys that open tokens, by `kid`. A token says who has which number; whether they are inside, only
/// `GET /queue/verify` knows.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "gate",
    responses((status = 200, body = KeySet), (status = 304, description = "Nothing changed since."))
)]
pub(super) async fn published(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let keys = KeySet { keys: app.queue.published_keys().keys };
    let body = serde_json::to_vec(&keys).map_err(|e| Fault::Defect(e.to_string()))?;
    Ok(tagged_by_content(&headers, POLICY, body.into()))
}
