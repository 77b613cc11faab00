//! The contract that is committed is the one that is served.

use std::path::Path;

use utoipa::openapi::OpenApi;

/// Set to write the documents anew: `UPDATE_DOCS=1 cargo test openapi`.
const UPDATE: &str = "UPDATE_DOCS";

fn compare(path: &str, served: &OpenApi) {
    let served = format!("{}\n", served.to_pretty_json().unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &served).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = served.lines().zip(committed.lines()).position(|(now, then)| now != then);
    assert!(
        served == committed,
        "{path} is not what is served (from line {:?}): {UPDATE}=1 cargo test openapi",
        differs.map(|line| line + 1)
    );
}

#[test]
fn the_committed_openapi_of_visitors_is_the_served_one() {
    compare("docs/openapi.json", &anteroom::http::visitor_document());
}

#[test]
fn the_committed_openapi_of_operators_is_the_served_one() {
    compare("docs/openapi-admin.json", &anteroom::http::operator_document());
}
