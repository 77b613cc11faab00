//! How a handler describes itself, and what the document makes of it.

use anteroom::error::Fault;
use anteroom::http::openapi;
use anteroom::http::problem::{Code, Problem};
use anteroom::http::request::{Json, Path};
use anteroom::ids::ReservationId;
use anteroom::refusals;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(Deserialize, ToSchema)]
struct Wish {
    amount: i64,
}

#[derive(Serialize, ToSchema)]
struct Receipt {
    amount: i64,
}

refusals!(PayRefusals: InsufficientPoints, UnknownReservation, SeatSold, PaymentInFlight, QueueFull);

/// Pays a reservation.
///
/// The points are taken once, however often it is asked.
#[utoipa::path(
    post, path = "/things/{id}/pay", tag = "booking",
    params(("id" = String, Path, description = "The reservation.")),
    request_body = Wish,
    responses((status = 200, body = Receipt), PayRefusals),
    security(("bearer" = [])),
)]
async fn pay(Path(id): Path<ReservationId>, wish: Json<Wish>) -> Result<axum::Json<Receipt>, Problem> {
    match wish.value.amount {
        0 => Err(Problem::new(Code::InsufficientPoints).detail(id.to_string())),
        amount => Ok(axum::Json(Receipt { amount })),
    }
}

fn document() -> Value {
    let described: OpenApiRouter = OpenApiRouter::with_openapi(openapi::visitors()).routes(routes!(pay));
    let (_, document) = described.split_for_parts();
    serde_json::to_value(openapi::complete(document)).unwrap()
}

#[test]
fn an_operation_lists_its_refusals_by_status_and_those_that_all_have() {
    let document = document();
    let operation = &document["paths"]["/things/{id}/pay"]["post"];
    let responses = operation["responses"].as_object().unwrap();
    let statuses: Vec<&str> = responses.keys().map(String::as_str).collect();
    assert_eq!(statuses, ["200", "402", "404", "409", "500", "503", "default"]);
    let conflict = &responses["409"];
    for code in ["seat-sold", "payment-in-flight"] {
        assert!(conflict["description"].as_str().unwrap().contains(code), "{conflict}");
    }
    let busy = responses["503"]["description"].as_str().unwrap();
    assert!(busy.contains("queue-full") && busy.contains("unavailable") && busy.contains("overloaded"), "{busy}");
    let schema = &conflict["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Problem");
    assert_eq!(operation["summary"], "Pays a reservation.");
    assert_eq!(operation["security"][0]["bearer"], Value::Array(vec![]));
}

#[test]
fn what_an_operation_takes_and_gives_is_among_the_schemas() {
    let document = document();
    for name in ["Wish", "Receipt", "Problem", "FieldError"] {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn a_store_that_fails_is_unavailable_and_a_defect_is_internal() {
    for (fault, code) in [
        (Fault::Redis("gone".into()), Code::Unavailable),
        (Fault::Postgres("gone".into()), Code::Unavailable),
        (Fault::Lost, Code::Unavailable),
        (Fault::Overload("verifiers"), Code::Unavailable),
        (Fault::Defect("an answer that cannot be".into()), Code::InternalError),
    ] {
        assert_eq!(Problem::from(fault).code(), code);
    }
}
