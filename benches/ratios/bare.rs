//! The baseline: one axum route under `axum::serve`, in a process of its own, that answers as many bytes as a place has.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

/// As which this program serves the bare route; the next argument is where.
pub(crate) const ROLE: &str = "serve-bare-route";

/// A place, as a waiting visitor is told it.
const PLACE: &str = r#"{"userId":"waiter0000001","room":"crowd","status":"waiting","position":50000,"epoch":1,"waiting":100000,"eta":null,"pollAfterMs":10000,"activeUntil":null,"opensAt":null,"message":null,"serverTime":"2026-01-01T00:00:00.000Z"}"#;

/// Serves until it is killed.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let address = std::env::args().next_back().unwrap_or_default();
    let routes =
        Router::new().route("/queue/position", get(|| async { ([(CONTENT_TYPE, "application/json")], PLACE) }));
    Ok(axum::serve(TcpListener::bind(address).await?, routes).await?)
}
