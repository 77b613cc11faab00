//! What a request may bring: bodies, queries, keys, addresses and tokens.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anteroom::http::errors;
use anteroom::http::openapi;
use anteroom::http::problem::{CODES, Code, Problem};
use anteroom::http::request::{ClientAddr, IdempotencyKey, Path, PeerAddr, TrustedProxies, bearer};
use anteroom::ids::{ReservationId, RoomName, UserId};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::get;
use http_body_util::BodyExt;
use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::http_ground::{started, talk};

/// Posts a body of some type, and returns status, code and the field that was wrong.
async fn post(content_type: &str, body: impl Into<reqwest::Body>) -> (u16, String, String) {
    let server = started().await;
    let asked = Client::new().post(format!("http://{}/numbers", server.address)).body(body);
    let asked = if content_type.is_empty() { asked } else { asked.header("content-type", content_type) };
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (status, said(&problem["code"]), said(&problem["errors"][0]["field"]))
}

#[tokio::test]
async fn bodies_are_json_of_the_right_type_or_refused() {
    let json = "application/json";
    for (content_type, body, status, code, field) in [
        (json, r#"{"amount": 5, "name": "a"}"#, 200, "", ""),
        (json, r#"{"amount": 5, "name": "a", "more": [1]}"#, 200, "", ""),
        ("Application/JSON; charset=UTF-8", r#"{"amount": 5, "name": "a"}"#, 200, "", ""),
        ("application/vnd.a+json", r#"{"amount": 5, "name": "a"}"#, 200, "", ""),
        ("", "{}", 415, "unsupported-media-type", ""),
        ("text/plain", "{}", 415, "unsupported-media-type", ""),
        ("application/json; charset=latin1", "{}", 415, "unsupported-media-type", ""),
        (json, "", 400, "malformed-body", ""),
        (json, "{", 400, "malformed-body", ""),
        (json, r#"{"amount": NaN}"#, 400, "malformed-body", ""),
        (json, r#"{"amount": 5, "name": "a"} x"#, 400, "malformed-body", ""),
        (json, r#"{"amount": "5", "name": }"#, 400, "malformed-body", ""),
        (json, r"[5, 6]", 422, "validation-failed", ""),
        (json, r#"{"amount": "5", "name": "a"}"#, 422, "validation-failed", "amount"),
        (json, r#"{"amount": 1e3, "name": "a"}"#, 422, "validation-failed", "amount"),
        (json, r#"{"amount": 1e999, "name": "a"}"#, 422, "validation-failed", "amount"),
        (json, r#"{"amount": 99999999999999999999, "name": "a"}"#, 422, "validation-failed", "amount"),
        (json, r#"{"amount": 5}"#, 422, "validation-failed", "name"),
        (json, r#"{"amount": 5, "amount": 6, "name": "a"}"#, 422, "validation-failed", "amount"),
        (json, r#"{"amount": 5, "name": "\ud800"}"#, 422, "validation-failed", "name"),
    ] {
        let expected = (status, code.to_owned(), field.to_owned());
        assert_eq!(post(content_type, body).await, expected, "{content_type}: {body}");
    }
}

#[tokio::test]
async fn bodies_of_more_than_16_kib_are_refused_however_they_come() {
    let large = format!(r#"{{"amount": 5, "name": "{}"}}"#, "x".repeat(16 * 1024));
    assert_eq!(post("application/json", large).await.0, 413);
    let head = "POST /numbers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("1000\r\n{}\r\n", " ".repeat(0x1000)).repeat(5);
    let answer = talk(started().await.address, format!("{head}{chunks}0\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(post("application/json", vec![b' '; 900_000]).await.1, "body-too-large");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let head = "POST /numbers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let mut stream = TcpStream::connect(started().await.address).await.unwrap();
    stream.write_all(format!("{head}Content-Length: 30\r\n\r\n{{").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(Duration::from_secs(15), read).await.expect("it was waited for").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request-timeout"), "{answer}");
}

#[tokio::test]
async fn a_refusal_repeats_no_value() {
    let server = started().await;
    let asked = Client::new().post(format!("http://{}/numbers", server.address));
    let asked = asked.header("content-type", "application/json").body(r#"{"amount": "secret", "name": "a"}"#);
    let text = asked.send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#""message":"must be i64""#) && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_query_names_the_parameter_that_is_wrong() {
    let server = started().await;
    for (query, status) in [("?scheduleId=5", 200), ("?scheduleId=x", 422), ("", 422)] {
        let answer = Client::new().get(format!("http://{}/numbers{query}", server.address)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        if status == 422 {
            assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], "scheduleId", "{query}");
        }
    }
}

#[tokio::test]
async fn a_name_in_a_path_that_cannot_be_is_unknown() {
    let router: Router = Router::new()
        .route("/reservations/{id}", get(|Path(id): Path<ReservationId>| async move { id.to_string() }))
        .route(
            "/rooms/{room}/places/{userId}",
            get(|Path((room, user)): Path<(RoomName, UserId)>| async move { format!("{room} {user}") }),
        );
    for (path, said) in [
        ("/reservations/5-abc", "5-abc"),
        ("/reservations/a%00b", "unknown-reservation"),
        ("/reservations/%ff", "not-found"),
        ("/rooms/main/places/ann", "main ann"),
        ("/rooms/MAIN/places/ann", "unknown-room"),
        ("/rooms/main/places/a%20b", "unknown-place"),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(said), "{path}: {body:?}");
    }
}

#[tokio::test]
async fn idempotency_keys_are_visible_ascii() {
    let long = "k".repeat(256);
    for (keys, expected) in [
        (vec![], Some(None)),
        (vec!["k-1"], Some(Some("k-1"))),
        (vec![""], None),
        (vec!["a b"], None),
        (vec![long.as_str()], None),
        (vec!["a", "a"], None),
    ] {
        let request = keys.iter().fold(Request::get("/"), |request, key| request.header("idempotency-key", *key));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let taken = IdempotencyKey::from_request_parts(&mut parts, &()).await.ok();
        let expected = expected.map(|key| IdempotencyKey(key.map(str::to_owned)));
        assert_eq!(taken, expected, "{keys:?}");
    }
}

#[derive(Clone)]
struct Proxies(TrustedProxies);

impl FromRef<Proxies> for TrustedProxies {
    fn from_ref(state: &Proxies) -> Self {
        state.0.clone()
    }
}

#[tokio::test]
async fn only_trusted_proxies_are_believed_about_the_client() {
    let trusted: Vec<IpAddr> = ["10.0.0.1", "10.0.0.2"].map(|a| a.parse().unwrap()).into();
    let state = Proxies(TrustedProxies::from(trusted.as_slice()));
    for (peer, forwarded, client) in [
        ("10.0.0.9", "1.1.1.1", "10.0.0.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ] {
        let (mut parts, ()) = Request::get("/").header("x-forwarded-for", forwarded).body(()).unwrap().into_parts();
        parts.extensions.insert(PeerAddr(SocketAddr::new(peer.parse().unwrap(), 1)));
        let taken = ClientAddr::from_request_parts(&mut parts, &state).await.unwrap();
        assert_eq!(taken, ClientAddr(client.parse().unwrap()), "{peer} for {forwarded}");
    }
}

#[test]
fn a_token_comes_in_its_header_or_in_its_cookie() {
    for (name, value, token) in [
        ("authorization", "Bearer abc", Some("abc")),
        ("authorization", "bearer abc", Some("abc")),
        ("authorization", "Basic abc", None),
        ("authorization", "abc", None),
        ("cookie", "a=b; anteroom_token=abc; c=d", Some("abc")),
        ("cookie", "xanteroom_token=abc", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        assert_eq!(bearer(&headers), token, "{name}: {value}");
    }
}

#[tokio::test]
async fn the_type_of_every_problem_has_its_page() {
    let pages: Router = errors::routes();
    for entry in CODES {
        let request = Request::get(format!("/errors/{}", entry.name)).body(Body::empty()).unwrap();
        let answer = pages.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{}", entry.name);
    }
    let unknown = Request::get("/errors/made-up").body(Body::empty()).unwrap();
    assert_eq!(pages.oneshot(unknown).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_problem_says_what_the_standard_asks_for() {
    let problem = Problem::busy(Code::Unavailable).cause("postgres://user:secret@host").with("balance", 5);
    let answer = problem.into_response();
    assert!(answer.headers().contains_key("retry-after"));
    let body: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((&body["type"], &body["status"]), (&"/errors/unavailable".into(), &503.into()));
    assert_eq!((&body["code"], &body["balance"]), (&"unavailable".into(), &5.into()));
    assert!(body["title"].is_string() && body["detail"].is_string() && !body.to_string().contains("secret"));
    for code in [Code::InvalidToken, Code::TokenExpired, Code::BadCredentials, Code::AdminUnauthorized] {
        let answer = Problem::new(code).into_response();
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{code:?}");
    }
}

#[tokio::test]
async fn the_documentation_asks_no_other_host() {
    let document = openapi::complete(openapi::visitors());
    let pages: Router = openapi::routes(&document);
    for path in ["/docs/", "/docs/swagger-initializer.js", "/docs/index.css"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = pages.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).replace("http://www.w3.org/", "");
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("=\"//"), "{path}: {text}");
        if path.ends_with("initializer.js") {
            assert!(text.contains(r#""validatorUrl": "none""#) && text.contains("/openapi.json"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_document_is_openapi_3_1() {
    let document: Value = serde_json::from_str(&openapi::complete(openapi::visitors()).to_json().unwrap()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let schemas = &document["components"]["schemas"];
    assert!(schemas["Problem"]["properties"]["code"].is_object(), "{schemas}");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}
