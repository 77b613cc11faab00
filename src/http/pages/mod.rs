//! The pages for visitors, served by the service itself: no other host is asked for anything.

mod book;
mod guest;
mod language;
mod now;
mod reply;
mod seat_map;
mod session;
mod visitor;
mod wait;
mod words;

use axum::Router;
use axum::routing::{get, post};

use super::caller::Shared;
use super::layer::Class;

/// The pages' paths, each with its class. They are for people, and not part of the published contract.
pub(super) const PATHS: [(&str, Class); 10] = [
    ("/book", Class::Booking),
    ("/book/points", Class::Booking),
    ("/book/reservations/{id}", Class::Booking),
    ("/book/reservations/{id}/cancel", Class::Booking),
    ("/book/reservations/{id}/pay", Class::Booking),
    ("/book/seats/{schedule}", Class::Booking),
    ("/wait/{room}", Class::Joining),
    ("/wait/{room}/again", Class::Joining),
    ("/wait/{room}/leave", Class::Polling),
    ("/wait/{room}/now", Class::Polling),
];

/// The pages.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/book", get(book::dates))
        .route("/book/points", post(book::charge))
        .route("/book/reservations/{id}", get(book::reservation))
        .route("/book/reservations/{id}/cancel", post(book::cancel))
        .route("/book/reservations/{id}/pay", post(book::pay))
        .route("/book/seats/{schedule}", get(seat_map::show).post(seat_map::hold))
        .route("/wait/{room}", get(wait::show).post(wait::join))
        .route("/wait/{room}/again", post(wait::join_again))
        .route("/wait/{room}/leave", post(wait::leave))
        .route("/wait/{room}/now", get(wait::now))
}
