//! The doors for HTTP: the whole route table, for visitors and for operators.

mod admin;
mod auth;
mod body;
mod cached;
mod caller;
mod codes;
mod connection;
mod draw;
pub mod errors;
mod events;
mod fault_log;
mod gate;
mod health;
mod idempotency;
mod keys;
pub mod layer;
mod meters;
pub mod metrics;
pub mod openapi;
mod origin;
mod pages;
mod pieces;
mod points;
pub mod problem;
mod queue;
mod reply;
pub mod request;
mod reservations;
pub mod server;
mod verify;
mod way_back;

use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use layer::{Class, Ground};

/// Everything that visitors may ask.
fn visitor_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::visitors())
        .routes(routes!(auth::sign_up))
        .routes(routes!(auth::token))
        .routes(routes!(queue::position, queue::leave))
        .routes(routes!(queue::leave_by_beacon))
        .routes(routes!(queue::room))
        .routes(routes!(events::events))
        .routes(routes!(verify::verify))
        .routes(routes!(keys::published))
        .routes(routes!(draw::list))
        .routes(routes!(draw::lot))
        .routes(routes!(reservations::dates))
        .routes(routes!(reservations::seats))
        .routes(routes!(reservations::reserve, reservations::list))
        .routes(routes!(reservations::find, reservations::cancel))
        .routes(routes!(points::charge))
        .routes(routes!(points::balance))
        .routes(routes!(points::pay))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

/// Everything that operators may ask, on their own listener.
fn operator_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::operators())
        .routes(routes!(admin::rooms::list))
        .routes(routes!(admin::rooms::show, admin::rooms::change, admin::rooms::replace))
        .routes(routes!(admin::rooms::say))
        .routes(routes!(admin::hand::admit))
        .routes(routes!(admin::hand::place, admin::hand::remove))
        .routes(routes!(admin::report::fairness))
        .routes(routes!(draw::list_for_operators))
        .routes(routes!(admin::programme::concerts, admin::programme::add_concert, admin::programme::put_concert))
        .routes(routes!(admin::programme::schedules, admin::programme::add_schedule, admin::programme::put_schedule))
        .routes(routes!(admin::checks::audit))
        .routes(routes!(admin::checks::invariants))
        .routes(routes!(admin::checks::scrape))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

/// What a path asks for, as far as limits are concerned.
fn class(path: &str) -> Class {
    match path {
        "/auth/users" => Class::Signup,
        "/auth/token" => Class::Joining,
        "/queue/verify" => Class::Gate,
        "/queue/position" | "/queue/events" | "/queue/leave" | "/queue/draw" => Class::Polling,
        path if path.starts_with("/queue/rooms/") => Class::Polling,
        path if path.starts_with("/reservations") || path.starts_with("/points") => Class::Booking,
        path if path.starts_with("/admin") => Class::Admin,
        _ => Class::Open,
    }
}

/// The published contract of visitors.
pub fn visitor_document() -> OpenApi {
    openapi::complete(visitor_routes().split_for_parts().1)
}

/// The published contract of operators.
pub fn operator_document() -> OpenApi {
    openapi::complete(operator_routes().split_for_parts().1)
}

/// What the public listener serves.
pub fn public(app: &Arc<App>) -> Ground {
    let routes = visitor_routes().route("/queue/verify", verify::other_methods());
    ground(app, routes, (pages::routes(), &pages::PATHS))
}

/// What the operators' listener serves.
pub fn admin(app: &Arc<App>) -> Ground {
    ground(app, operator_routes(), (Router::new(), &[]))
}

/// Pages for people, which stand in no document, and their paths.
type Pages<'a> = (Router<Arc<App>>, &'a [(&'a str, Class)]);

fn ground(app: &Arc<App>, routes: OpenApiRouter<Arc<App>>, pages: Pages<'_>) -> Ground {
    let (served, document) = routes.split_for_parts();
    let document = openapi::complete(document);
    let (pages, known) = pages;
    let documented = document.paths.paths.keys().map(|path| (path.clone(), class(path)));
    let paths: Vec<_> = documented.chain(known.iter().map(|(path, class)| ((*path).to_owned(), *class))).collect();
    let documents: Router<Arc<App>> = openapi::routes(&document).merge(errors::routes()).merge(pages);
    let served = served.merge(documents).with_state(Arc::clone(app));
    Ground::new(served, paths, &app.config.in_flight, Arc::clone(&app.booking_latency))
}
