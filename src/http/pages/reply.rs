//! A page as it leaves: its policy, and as few bytes as its browser understands.

use std::sync::LazyLock;

use askama::Template;
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use flate2::Compression;

use super::super::cached::accepts_gzip;
use super::super::layer::fresh_request_id;
use super::super::pieces;
use super::super::problem::Problem;
use crate::gzip::zipped;

/// The styles that all pages share.
static BASE_CSS: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("../../../web/base.css")));

/// What stands in a page besides its own words: made anew for each answer.
pub(super) struct Frame {
    /// Marks the scripts and styles that are ours; nobody can guess it.
    pub(super) nonce: String,
    /// The styles that all pages share.
    pub(super) base_css: &'static str,
}

impl Frame {
    pub(super) fn new() -> Self {
        // The same 128 random bits that make a request's id.
        let nonce = fresh_request_id().to_str().unwrap_or_default().to_owned();
        Self { nonce, base_css: &BASE_CSS }
    }
}

/// A page as an answer, with a policy under which nothing but this answer and its own service is touched.
pub(super) fn page(template: &impl Template, frame: &Frame, headers: &HeaderMap) -> Result<Response, Problem> {
    let defect = |e: String| Problem::new(super::super::problem::Code::InternalError).cause(e);
    let html = template.render().map_err(|e| defect(e.to_string()))?;
    let gzip = accepts_gzip(headers);
    let body = if gzip {
        zipped(html.as_bytes(), Compression::new(5)).map_err(|e| defect(e.to_string()))?
    } else {
        html.into_bytes()
    };
    let mut response = Response::new(pieces::body(body.into()));
    let told = response.headers_mut();
    told.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    told.insert(VARY, HeaderValue::from_static("accept-encoding, accept-language, cookie"));
    if gzip {
        told.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let nonce = &frame.nonce;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    );
    told.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).map_err(|e| defect(e.to_string()))?);
    // Not `no-referrer`: with it browsers send `Origin: null` with a form, and nobody could tell whose it is.
    told.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    told.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// A page in the place of a problem's body; status and headers of the problem stay.
pub(super) fn page_for(problem: Problem, page: Response) -> Response {
    let (mut parts, _) = problem.into_response().into_parts();
    let (told, body) = page.into_parts();
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}

/// A style or script without what only its readers in the repository need: indentation, and lines that are comments.
pub(super) fn squeezed(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let comment = |line: &str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
    let lines = lines.filter(|line| !comment(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// JSON that can stand inside a `<script>`: nothing in it ends that.
pub(super) fn embedded(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().replace('<', "\\u003c")
}
