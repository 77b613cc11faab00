//! The published contract: its document (`OpenAPI` 3.1) and the pages to browse it.
//!
//! Handlers describe themselves with `#[utoipa::path]` and name their errors by code, as `refusals!` collects them.
//! What every operation shares is added here, once.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{self, Content, OpenApi, Ref, RefOr};
use utoipa::{Modify, OpenApi as _, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::Code;

/// The interface of a visitor, without its paths: those come from the handlers.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Anteroom",
        description = "A virtual waiting room, and a seat-holding, point-paying booking service behind it.\n\n\
            Take a place with `POST /auth/token`, poll `GET /queue/position` as often as `pollAfterMs` says, and once \
            the place is `active`, hold seats and pay. Errors are `application/problem+json` (RFC 9457); their stable \
            names are listed at [/errors](/errors). Every answer has an `x-request-id`.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    tags(
        (name = "accounts", description = "Making an account and logging in."),
        (name = "queue", description = "The line: one's place, and the state of a room."),
        (name = "gate", description = "For proxies in front of any site: whether a visitor is inside."),
        (name = "booking", description = "Dates, seats, holds and payments; for admitted visitors."),
        (name = "points", description = "The currency: charging and the balance."),
        (name = "health", description = "Whether the service is there."),
    ),
    components(schemas(ProblemBody, FieldError)),
    modifiers(&Security),
)]
struct Visitors;

/// The interface of operators, without its paths.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Anteroom for operators",
        description = "Rooms, concerts and checks, on the admin listener only.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    tags(
        (name = "rooms", description = "The settings and the state of rooms."),
        (name = "programme", description = "Concerts, schedules and seat plans."),
        (name = "checks", description = "Audit, invariants, metrics and health."),
    ),
    components(schemas(ProblemBody, FieldError)),
    modifiers(&Security),
)]
struct Operators;

/// The name of the security scheme, for `security(("bearer" = []))`.
const BEARER: &str = "bearer";

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = openapi::security::HttpBuilder::new()
            .scheme(openapi::security::HttpAuthScheme::Bearer)
            .description(Some("The token of `POST /auth/token`; for operators, the admin token."))
            .build();
        let scheme = openapi::security::SecurityScheme::Http(scheme);
        document.components.get_or_insert_default().add_security_scheme(BEARER, scheme);
    }
}

/// The body of every error (RFC 9457). Some codes add members, such as `balance` or `alternatives`.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    /// The error's page: a reference relative to the service's address.
    #[schema(example = "/errors/seat-taken")]
    r#type: String,
    /// What this kind of error is, in a few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time, for people.
    detail: String,
    /// The stable name of this kind of error.
    #[schema(example = "seat-taken")]
    code: String,
    /// With `validation-failed`: what was wrong where.
    #[schema(nullable = false)]
    errors: Option<Vec<FieldError>>,
}

/// What is wrong with one value of a request.
#[derive(Serialize, ToSchema)]
pub struct FieldError {
    /// The field, as a path within the body, or the name of a parameter or header.
    #[schema(example = "amount")]
    field: String,
    /// What it must be.
    message: String,
}

/// Where the document of visitors begins.
pub fn visitors() -> OpenApi {
    Visitors::openapi()
}

/// Where the document of operators begins.
pub fn operators() -> OpenApi {
    Operators::openapi()
}

/// The responses of these codes, one for each status, as [`refusals!`](crate::refusals) needs them.
pub fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<openapi::Response>> {
    by_status(codes).into_iter().map(|(status, says)| (status, RefOr::T(response(&says)))).collect()
}

/// What each status means, a paragraph for each code.
fn by_status(codes: &[Code]) -> BTreeMap<String, String> {
    let mut statuses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for code in codes {
        let entry = code.entry();
        let line = format!("[`{name}`](/errors/{name}): {}", entry.title, name = entry.name);
        statuses.entry(entry.status.as_str().to_owned()).or_default().push(line);
    }
    statuses.into_iter().map(|(status, lines)| (status, lines.join("\n\n"))).collect()
}

fn response(description: &str) -> openapi::Response {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    openapi::ResponseBuilder::new().description(description).content("application/problem+json", problem).build()
}

/// Declares a type that stands for the errors of an operation in `responses(…)` of `#[utoipa::path]`.
#[macro_export]
macro_rules! refusals {
    ($name:ident: $($code:ident),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                $crate::http::openapi::responses(&[$($crate::http::problem::Code::$code),+])
            }
        }
    };
}

/// Adds what every operation may answer: what is wrong with any request, and what is wrong with us.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let known = &mut operation.responses.responses;
        for (status, says) in by_status(&[Code::InternalError, Code::Unavailable, Code::Overloaded]) {
            match known.get_mut(&status) {
                Some(RefOr::T(own)) => own.description = format!("{}\n\n{says}", own.description),
                Some(RefOr::Ref(_)) => {}
                None => drop(known.insert(status, RefOr::T(response(&says)))),
            }
        }
        let other = || RefOr::T(response("Any other error."));
        known.entry("default".to_owned()).or_insert_with(other);
    }
    document
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// `/openapi.json`, and `/docs` to browse it. Everything is served from here; the policy keeps it so.
pub fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let config = Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true);
    let pages: Router<S> = SwaggerUi::new("/docs").config(config).into();
    Router::new()
        .route("/openapi.json", get(move || async move { ([(CONTENT_TYPE, "application/json")], json) }))
        .merge(pages.layer(axum::middleware::map_response(confined)))
}

async fn confined(mut response: Response) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}
