//! Bodies, JSON and forms: read within limits, and refused with a problem that says what was wrong where.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::gate::Turn;
use super::problem::{Code, Problem};

/// The largest body that is read: no request of the interface comes near it.
const MOST_BYTES: usize = 16 * 1024;
/// How long a body may take to arrive.
const LONGEST_READ: Duration = Duration::from_secs(10);
/// And how long as one of those whom its class counts.
const PROMPT: Duration = Duration::from_millis(50);
/// How much of a body that is too large is read and forgotten, so that the refusal reaches a client that is still
/// writing: closing a connection with unread bytes resets it, and the answer is lost on the way.
const MOST_FORGOTTEN: usize = 1024 * 1024;

/// A JSON object from the body.
#[derive(Debug)]
pub struct Json<T> {
    /// What it says.
    pub value: T,
    /// The SHA-256 of the bytes as they came, which tells two bodies under one `Idempotency-Key` apart.
    pub body_hash: [u8; 32],
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_plain_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        let bytes = read_in_time(request).await?;
        Ok(Self { value: parse(&bytes)?, body_hash: Sha256::digest(&bytes).into() })
    }
}

/// The fields of a form, as a browser posts them.
#[derive(Debug)]
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let told = request.headers().get(CONTENT_TYPE).and_then(|told| told.to_str().ok()).unwrap_or_default();
        if !told.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
            return Err(Problem::new(Code::UnsupportedMediaType).detail("A form is application/x-www-form-urlencoded."));
        }
        let bytes = read_in_time(request).await?;
        let pairs = form_urlencoded::parse(&bytes);
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
            .map(Self)
            .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// A JSON object from the body, or what stands for none where there is no body.
#[derive(Debug)]
pub struct MaybeJson<T> {
    /// What it says.
    pub value: T,
    /// The SHA-256 of the bytes as they came.
    pub body_hash: [u8; 32],
}

impl<T: DeserializeOwned + Default, S: Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self { value: T::default(), body_hash: [0; 32] });
        }
        let Json { value, body_hash } = Json::from_request(request, state).await?;
        Ok(Self { value, body_hash })
    }
}

/// Whether the body claims to be uncompressed JSON in UTF-8.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let encoded =
        headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    !encoded && only.to_str().is_ok_and(is_json)
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}

/// A body that does not come along with its head is waited for outside the class: it keeps nobody out meanwhile.
async fn read_in_time(request: Request) -> Result<Vec<u8>, Problem> {
    let turn = request.extensions().get::<Turn>().cloned();
    let mut reading = pin!(read(request));
    if let Ok(read) = timeout(PROMPT, &mut reading).await {
        return read;
    }
    if let Some(turn) = &turn {
        turn.step_out();
    }
    let late = timeout(LONGEST_READ.saturating_sub(PROMPT), reading).await;
    let read = late.unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout)))?;
    match turn {
        Some(turn) if !turn.step_in() => Err(Problem::busy(Code::Overloaded)),
        _ => Ok(read),
    }
}

async fn read(request: Request) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge);
    let announced = announced(request.headers());
    if announced > MOST_FORGOTTEN || (announced > MOST_BYTES && request.headers().contains_key(EXPECT)) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.min(MOST_BYTES));
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(data) = next(&mut body).await? {
        length += data.len();
        if length > MOST_FORGOTTEN {
            return Err(too_large());
        }
        if length <= MOST_BYTES {
            bytes.extend_from_slice(&data);
        }
    }
    if length > MOST_BYTES { Err(too_large()) } else { Ok(bytes) }
}

fn announced(headers: &HeaderMap) -> usize {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// The next bytes of a body; a body that breaks off is malformed.
async fn next(body: &mut Body) -> Result<Option<bytes::Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(Code::MalformedBody).detail("The body broke off."))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Reads in two passes, so that what is not JSON is malformed even when a wrong type comes before the mistake.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("The body is not UTF-8."))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| malformed(format!("Not JSON: {error}.")))?;
    if !text.trim_start().starts_with('{') {
        return Err(Problem::invalid("", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::MalformedBody).detail(detail)
}

/// Turns what serde says into a field and a message. The value itself is not repeated: it may be a password.
pub(super) fn invalid(path: &str, error: &str) -> Problem {
    let error = error.split(" at line ").next().unwrap_or_default();
    let parent = if path == "." { "" } else { path };
    if let Some((said, rest)) = error.split_once('`')
        && let Some(name) = rest.strip_suffix('`')
    {
        let field = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
        match said {
            "missing field " => return Problem::invalid(&field, "is missing"),
            "duplicate field " => return Problem::invalid(&field, "is given twice"),
            _ => {}
        }
    }
    match error.split_once(", expected ") {
        Some((said, expected)) if said.starts_with("invalid ") => {
            Problem::invalid(parent, &format!("must be {expected}"))
        }
        _ => Problem::invalid(parent, error),
    }
}
