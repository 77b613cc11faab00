//! A browser's session: the visitor's own token, in a cookie that no script can read.

use std::sync::Arc;

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use super::super::request::{TOKEN_COOKIE, bearer};
use crate::app::App;
use crate::config::Config;
use crate::ids::RoomName;
use crate::queue::Session;
use crate::token::Opened;

const FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A year, in seconds: how long a choice of language is kept.
const YEAR: u64 = 31_536_000;

/// Who the browser is signed in as, where that leads to this room.
pub(super) fn session(app: &App, room: &RoomName, headers: &HeaderMap) -> Option<Arc<Opened<Session>>> {
    let opened = app.queue.open(bearer(headers)?).ok()?;
    (opened.value.claims.room == *room).then_some(opened)
}

/// Gives the browser a token to keep.
pub(super) fn keep(response: &mut Response, config: &Config, headers: &HeaderMap, token: &str) {
    let domain = match config.cookie_domain.as_str() {
        "" => String::new(),
        domain => format!("; Domain={domain}"),
    };
    let secure = if is_https(config, headers) { "; Secure" } else { "" };
    let seconds = config.token_seconds;
    add(
        response,
        &format!("{TOKEN_COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}{domain}"),
    );
}

/// Keeps a choice of language.
pub(super) fn keep_language(response: &mut Response, tag: &str) {
    let name = super::language::COOKIE_NAME;
    add(response, &format!("{name}={tag}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax"));
}

/// Whether the browser speaks TLS to whoever is in front. A browser that claims so itself only binds its own cookie.
fn is_https(config: &Config, headers: &HeaderMap) -> bool {
    config.public_url.starts_with("https://") || headers.get(FORWARDED_SCHEME).is_some_and(|scheme| scheme == "https")
}

fn add(response: &mut Response, cookie: &str) {
    // What is written here is made of names, tokens and settings that were checked: it always fits.
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
