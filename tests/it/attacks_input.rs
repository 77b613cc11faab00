//! Attacks by input: what cannot be is answered with a 4xx, never with a 5xx, and changes nothing.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::service::PASSWORD;

/// Texts of JSON values that no field of ours takes, whatever its type.
const NO_VALUES: [&str; 21] = [
    "-1",
    "0",
    "9007199254740992",
    "9223372036854775808",
    "-9223372036854775809",
    "1e3",
    "1.5",
    "1e400",
    "true",
    "[1]",
    "[]",
    "[[[]]]",
    "{}",
    r#"{"amount":1}"#,
    r#""""#,
    r#""\u0000""#,
    r#""a\u0007b""#,
    r#""\u202euser00001""#,
    r#""\ud800""#,
    r#""a\r\nb: c""#,
    r#""'; drop table users --""#,
];

/// Texts that are not JSON.
const NO_JSON: [&str; 5] = ["NaN", "Infinity", "", "'1'", "0x10"];

/// A request that is right in its form, and which of its fields to spoil.
struct Form<'a> {
    method: Method,
    url: String,
    token: &'a str,
    body: Value,
    fields: &'a [&'a str],
}

async fn state(service: &TestService) -> [i64; 5] {
    [
        service.number("select count(*) from ledger_entries").await,
        service.number("select sum(balance)::bigint from accounts").await,
        service.number("select count(*) from payments").await,
        service.number("select count(*) from users").await,
        service.number("select sum(version)::bigint from rooms").await,
    ]
}

/// Every form of the service that takes a body.
fn forms<'a>(service: &TestService, visitor: &'a str, reservation: &str) -> Vec<Form<'a>> {
    let post = |path: &str, body: Value, fields: &'a [&'a str]| Form {
        method: Method::POST,
        url: format!("{}{path}", service.url),
        token: visitor,
        body,
        fields,
    };
    vec![
        post("/auth/users", json!({ "username": "user00001", "password": "long enough" }), &["username", "password"]),
        post("/auth/token", json!({ "username": "user00009", "password": "no" }), &["username", "password", "room"]),
        post("/points/charge", json!({ "amount": 5 }), &["amount", "userId"]),
        post(
            "/reservations/pay",
            json!({ "reservationId": reservation, "amount": 4900 }),
            &["reservationId", "amount", "userId"],
        ),
        post(
            "/reservations",
            json!({ "scheduleId": 12345, "seatId": "C1" }),
            &["scheduleId", "seatId", "seatIds", "best", "userId"],
        ),
        Form {
            method: Method::PATCH,
            url: format!("{}/admin/rooms/main", service.admin_url),
            token: "the-operators-of-the-tests",
            body: json!({}),
            fields: &["state", "opensAt", "closesAt"],
        },
    ]
}

async fn send(form: &Form<'_>, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = Client::new().request(form.method.clone(), &form.url).bearer_auth(form.token);
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// The form's body with one field's text replaced.
fn spoilt(form: &Form<'_>, field: &str, text: &str) -> String {
    let mut body = form.body.clone();
    body[field] = json!("SPOILT");
    body.to_string().replace("\"SPOILT\"", text)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_takes_what_it_is_not_for() {
    let service =
        TestService::start(&[("login_failures_per_address", "100000"), ("signups_per_minute", "100000")]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    let before = state(&service).await;
    let long = format!("\"{}\"", "x".repeat(5_000));
    for form in forms(&service, &visitor, held.text("reservationId")) {
        for field in form.fields {
            for text in NO_VALUES.iter().copied().chain([long.as_str()]) {
                let (status, body) = send(&form, spoilt(&form, field, text)).await;
                let at = format!("{} {field} = {text:.40}: {body}", form.url);
                assert!((400..500).contains(&status), "{status} {at}");
                assert!(body["code"].is_string() && body["detail"].is_string(), "{at}");
                assert!(!body.to_string().to_lowercase().contains("select"), "{at}");
            }
            for text in NO_JSON {
                let (status, body) = send(&form, spoilt(&form, field, text)).await;
                let at = format!("{} {field} = {text}: {body}", form.url);
                assert_eq!((status, &body["code"]), (400, &json!("malformed-body")), "{at}");
            }
        }
    }
    assert_eq!(state(&service).await, before);
    let place = service.until(&visitor, "active").await;
    assert_eq!(place["userId"], "user00001");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_but_a_small_json_object_is_read() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    let before = state(&service).await;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(8_000), "]".repeat(8_000));
    let bodies: [(&str, &[u8], u16); 11] = [
        ("nothing", b"", 400),
        ("half", b"{\"amount\":", 400),
        ("two", b"{} {}", 400),
        ("no UTF-8", b"{\"amount\": \"\xff\"}", 400),
        ("a byte order mark", b"\xef\xbb\xbf{}", 400),
        ("UTF-16", b"{\0}\0", 400),
        ("a comment", b"{/* */}", 400),
        ("an array", b"[]", 422),
        ("a number", b"5", 422),
        ("null", b"null", 422),
        ("a text", b"\"{}\"", 422),
    ];
    for form in forms(&service, &visitor, held.text("reservationId")) {
        for (what, body, expected) in bodies {
            let (status, answer) = send(&form, body.to_vec()).await;
            assert_eq!(status, expected, "{what} to {}: {answer}", form.url);
        }
        if form.method == Method::POST {
            assert_eq!(send(&form, deep.clone()).await.0, 422, "a deep body without what {} needs", form.url);
        }
        let (status, answer) = send(&form, format!("{{\"pad\":\"{}\"}}", "x".repeat(16 * 1024))).await;
        assert_eq!((status, &answer["code"]), (413, &json!("body-too-large")), "{}", form.url);
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
        {
            let request = Client::new().request(form.method.clone(), &form.url).bearer_auth(form.token);
            let request = request.header("content-type", content_type).body(form.body.to_string());
            service.send(request).await.refused(415, "unsupported-media-type");
        }
    }
    for (twice, field) in
        [(r#"{"amount":5,"amount":6}"#, "amount"), (r#"{"amount":5,"userId":"user00001","userId":"x"}"#, "userId")]
    {
        let request = service.request(Method::POST, "/points/charge", &visitor);
        let answer = service.send(request.header("content-type", "application/json").body(twice)).await;
        assert_eq!(answer.refused(422, "validation-failed").body["errors"][0]["field"], field);
    }
    assert_eq!(state(&service).await, before);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_or_header_does_harm() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let long = "x".repeat(4_000);
    for name in ["%00", "%E2%80%AE", "%0d%0aX-A:%20b", "%FF", "a%2Fb", "..%2F..%2Fetc", "'%20or%201=1", &long] {
        for path in [format!("/reservations/{name}"), format!("/queue/rooms/{name}"), format!("/errors/{name}")] {
            let answer = service.get(&path, &visitor).await;
            assert_eq!(answer.status, 404, "{path:.60}: {:?}", answer.body);
        }
        for query in ["scheduleId", "all", "userId"] {
            let path = format!("/reservations/available/seat?scheduleId=12345&{query}={name}");
            let answer = service.get(&path, &visitor).await;
            assert!(answer.status.is_client_error(), "{path:.60}: {}", answer.status);
        }
    }
    for (header, value) in [
        ("x-request-id", long.as_str()),
        ("x-request-id", "a\tb"),
        ("if-none-match", long.as_str()),
        ("x-forwarded-for", "not an address, 1.2.3.4"),
        ("cookie", "anteroom_token=garbage"),
    ] {
        let request = service.request(Method::GET, "/reservations/available/seat?scheduleId=12345", &visitor);
        let answer = service.send(request.header(header, value)).await;
        assert_ne!(answer.is(200).header("x-request-id"), value);
    }
    let forged = json!({ "username": "user00002", "password": PASSWORD, "number": -1, "iat": 0, "position": 1,
        "joinedAt": "1970-01-01T00:00:00Z", "status": "active" });
    service.set_room(&json!({ "capacity": 0 })).await;
    service.token(3).await;
    let place = service.post_openly("/auth/token", &forged).await;
    assert_eq!(place.is(200).body["position"], 2, "fields for time or number are ignored");
    service.assert_invariants().await;
}
