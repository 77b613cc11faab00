//! Answers that a client or a cache may keep, and ask about again by their tag.

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::reply::json;

/// JSON with its tag; 304 to who has it already.
pub(super) fn tagged(headers: &HeaderMap, etag: &str, policy: &'static str, body: impl FnOnce() -> Bytes) -> Response {
    let told = headers.get_all(IF_NONE_MATCH).iter().filter_map(|told| told.to_str().ok());
    let same = told.flat_map(|told| told.split(',')).any(|told| matches(told.trim(), etag));
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { json(body()) };
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(policy));
    response
}

/// Whether the client reads gzip (RFC 9110, 12.5.3).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| {
        line.split(',').map(|coding| coding.trim().replace(' ', "")).any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding.as_str(), "q=1"));
            name.eq_ignore_ascii_case("gzip") && !matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    })
}

/// The same for JSON that is its own tag.
pub(super) fn tagged_by_content(headers: &HeaderMap, policy: &'static str, body: Bytes) -> Response {
    // 96 of the 256 bits: nobody gains by making two bodies of one tag.
    let digest = Sha256::digest(&body).iter().take(12).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    tagged(headers, &format!("\"{digest:024x}\""), policy, || body)
}

/// Whether a tag of `If-None-Match` is this one (RFC 9110, 13.1.2: compared weakly).
fn matches(told: &str, etag: &str) -> bool {
    told == "*" || told.trim_start_matches("W/") == etag
}
