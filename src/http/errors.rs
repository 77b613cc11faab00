//! The pages that the `type` of a problem points to: one per code, and their list.

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::problem::{CODES, Code, Entry, Problem};

/// `/errors` and `/errors/{code}`.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/errors", get(list)).route("/errors/{code}", get(page))
}

async fn list() -> Response {
    let rows: String = CODES.iter().map(row).collect();
    html("Errors", &format!("<h1>Errors</h1>\n<ul>\n{rows}</ul>\n"))
}

fn row(entry: &Entry) -> String {
    let Entry { name, status, title, .. } = entry;
    format!("<li>{} <a href=\"/errors/{name}\"><code>{name}</code></a>: {title}</li>\n", status.as_u16())
}

async fn page(name: Result<Path<String>, PathRejection>) -> Response {
    let known = name.ok().and_then(|Path(name)| CODES.iter().find(|entry| entry.name == name));
    let Some(entry) = known else {
        return Problem::new(Code::NotFound).into_response();
    };
    let Entry { name, status, title, explanation } = entry;
    let facts = format!("<p><code>{name}</code>, HTTP status {status}</p>\n<p>{explanation}</p>\n");
    html(title, &format!("<h1>{title}</h1>\n{facts}<p><a href=\"/errors\">All errors</a></p>\n"))
}

fn html(title: &str, body: &str) -> Response {
    let headers = [
        (CACHE_CONTROL, "public, max-age=3600"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · Anteroom</title>\n\
         <style>:root{{color-scheme:light dark}}body{{max-width:42rem;margin:3rem auto;padding:0 1rem;\
         font:1rem/1.6 system-ui,sans-serif}}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    );
    (headers, Html(page)).into_response()
}
