//! How long requests take, by method, route and status: handles made once and found by position, never by name.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Histogram, histogram};

/// The methods with a label of their own; all others share one, as a client can invent as many as it likes.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];
/// The statuses with a label of their own: every one that the interface answers with.
const STATUSES: [u16; 24] = [
    200, 403, 409, 201, 204, 303, 304, 307, 400, 401, 402, 404, 405, 408, 410, 412, 413, 415, 422, 428, 429, 500, 503,
    0,
];

type Statuses = [OnceLock<Histogram>; STATUSES.len()];

/// The meters of one route.
#[derive(Default)]
pub(super) struct Meters {
    methods: [OnceLock<Box<Statuses>>; METHODS.len()],
}

impl Meters {
    /// Notes one answered request.
    pub(super) fn record(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let slot = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        let statuses = self.methods[method].get_or_init(Box::default);
        statuses[slot].get_or_init(|| meter(route, METHODS[method], STATUSES[slot])).record(took);
    }
}

fn meter(route: &str, method: &'static str, status: u16) -> Histogram {
    let status = if status == 0 { "other".to_owned() } else { status.to_string() };
    histogram!("http_request_duration_seconds", "method" => method, "route" => route.to_owned(), "status" => status)
}
