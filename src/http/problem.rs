//! The one shape of an error's answer: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use super::codes::{CODES, Code, Entry};
use crate::error::Fault;

/// An error's answer. Made of a code, and of what is special to this occurrence.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
    members: Map<String, Value>,
    ready: Option<Box<(&'static str, Bytes)>>,
    cause: Option<String>,
}

/// Why a problem is a fault. It travels as an extension of the response to the layer around all requests, which logs
/// it once, with the request's id; it is never part of the body.
#[derive(Debug, Clone)]
pub struct Cause(pub String);

impl Problem {
    /// A problem explained by its code alone.
    pub fn new(code: Code) -> Self {
        let detail = Cow::Borrowed(code.entry().explanation);
        Self { code, detail, retry_after: None, members: Map::new(), ready: None, cause: None }
    }

    /// A problem that a little patience may solve: with a `Retry-After` of 1 to 3 s, spread so that those who were
    /// refused together do not come back together.
    pub fn busy(code: Code) -> Self {
        Self::new(code).retry_after(rand::random_range(1..=3))
    }

    /// A 422 that names one field and says what it must be.
    pub fn invalid(field: &str, message: &str) -> Self {
        let detail = if field.is_empty() { message.to_owned() } else { format!("{field}: {message}") };
        Self::new(Code::ValidationFailed).detail(detail).with("errors", json!([{ "field": field, "message": message }]))
    }

    /// Says what is special to this occurrence, in a sentence for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// When to try again, in seconds from now.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member to the body, such as `balance`. What cannot be written as JSON becomes null.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.members.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Adds a member whose JSON is there already, such as a place: it is not read again.
    #[must_use]
    pub fn with_json(mut self, name: &'static str, json: Bytes) -> Self {
        self.ready = Some(Box::new((name, json)));
        self
    }

    /// What is behind it, for the log only.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.code.entry().status
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let cause = fault.to_string();
        match fault {
            Fault::Redis(_) | Fault::Postgres(_) | Fault::Lost | Fault::Overload(_) => {
                Self::busy(Code::Unavailable).cause(cause)
            }
            Fault::Defect(_) => Self::new(Code::InternalError).cause(cause),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let entry = self.code.entry();
        let body = Body {
            r#type: format!("/errors/{}", entry.name),
            title: entry.title,
            status: entry.status.as_u16(),
            detail: &self.detail,
            code: entry.name,
            members: &self.members,
        };
        // Strings and JSON values always serialize; an empty body would still carry the status.
        let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
        if let Some((name, json)) = self.ready.as_deref() {
            // The object is reopened at its closing brace; names are ours and need no escape.
            bytes.pop();
            bytes.extend([b",\"", name.as_bytes(), b"\":", json, b"}"].concat());
        }
        let mut response = (entry.status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = challenge(self.code) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

/// What a 401 must say about how to authenticate (RFC 9110, 11.6.1; RFC 6750, 3).
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::TokenExpired => Some(r#"Bearer error="invalid_token", error_description="The token expired""#),
        _ if code.entry().status == StatusCode::UNAUTHORIZED => Some("Bearer"),
        _ => None,
    }
}
