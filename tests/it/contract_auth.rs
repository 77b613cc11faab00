//! The contract of accounts and tokens.

use std::time::Duration;

use anteroom::clock;
use anteroom::ids::UserId;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::sleep;

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::{Answer, PASSWORD, claims_of};

/// The members of every place.
pub(crate) const PLACE: [&str; 12] = [
    "userId",
    "room",
    "status",
    "position",
    "epoch",
    "waiting",
    "eta",
    "pollAfterMs",
    "activeUntil",
    "opensAt",
    "message",
    "serverTime",
];

fn account(username: &str, password: &str) -> Value {
    json!({ "username": username, "password": password })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_once_also_when_the_request_is_repeated() {
    let service = TestService::start(&[]).await;
    let made = service.post_once("/auth/users", "", "k1", &account("new.user", "long enough")).await;
    assert_eq!(made.is(201).body, json!({ "userId": "new.user" }));
    assert!(!made.replayed());
    let again = service.post_once("/auth/users", "", "k1", &account("new.user", "long enough")).await;
    assert_eq!((again.is(201).replayed(), &again.body), (true, &made.body));
    let other = service.post_once("/auth/users", "", "k1", &account("newer.user", "long enough")).await;
    other.refused(422, "idempotency-key-reused");
    for replayed in [false, true] {
        let taken = service.post_once("/auth/users", "", "k2", &account("new.user", "other words")).await;
        assert_eq!(taken.refused(409, "username-taken").replayed(), replayed);
    }
    service.post_openly("/auth/users", &account("new.user", "long enough")).await.refused(409, "username-taken");
    service.log_in("new.user", "long enough").await.is(200).has(&PLACE);
    service.log_in("new.user", "other words").await.refused(401, "bad-credentials");

    let refused = [
        (json!({ "username": "", "password": "long enough" }), "username"),
        (json!({ "username": "a b", "password": "long enough" }), "username"),
        (json!({ "username": "x".repeat(65), "password": "long enough" }), "username"),
        (json!({ "username": "someone", "password": "short" }), "password"),
        (json!({ "username": "someone", "password": "x".repeat(257) }), "password"),
        (json!({ "username": "someone" }), "password"),
        (json!({ "password": "long enough" }), "username"),
    ];
    for (body, field) in refused {
        let answer = service.post_openly("/auth/users", &body).await;
        assert_eq!(answer.refused(422, "validation-failed").body["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(service.number("select count(*) from users where username = 'someone'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_is_limited_and_may_be_closed() {
    let few = TestService::start(&[("signups_per_minute", "1")]).await;
    few.post_openly("/auth/users", &account("one", "long enough")).await.is(201);
    few.post_openly("/auth/users", &account("two", "long enough")).await.refused(429, "rate-limited");
    let closed = TestService::on(&few.redis_url, &few.database_url, &[("signup_open", "false")]).await;
    closed.post_openly("/auth/users", &account("three", "long enough")).await.refused(403, "signup-closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_with_a_place_and_wrong_ones_learn_nothing() {
    let service = TestService::start(&[("login_failures_per_account", "2")]).await;
    let entered = service.log_in("user00001", PASSWORD).await;
    entered.is(200).has(&PLACE).has(&["token", "tokenType", "expiresIn"]);
    assert_eq!((&entered.body["tokenType"], &entered.body["expiresIn"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!((entered.text("userId"), entered.text("room")), ("user00001", "main"));
    service.visitor(1).await;

    let wrong = service.log_in("user00001", "not this one").await;
    let unknown = service.log_in("nobody-at-all", "not this one").await;
    assert_eq!(wrong.refused(401, "bad-credentials").body, unknown.refused(401, "bad-credentials").body);
    service.log_in("user00001", "nor this one").await.refused(401, "bad-credentials");
    service.log_in("user00001", "nor that one").await.refused(429, "rate-limited");
    let owner = service.log_in("user00001", PASSWORD).await;
    assert_eq!(owner.is(200).body["status"], "active", "who is known is not locked out by guesses");

    let invalid = [
        json!({ "username": "user00001" }),
        json!({ "username": "user00001", "password": "" }),
        json!({ "username": "\u{202e}user", "password": PASSWORD }),
    ];
    for body in invalid {
        service.post_openly("/auth/token", &body).await.refused(422, "validation-failed");
    }
    for room in ["nowhere", "UPPER", "", "main\u{0}"] {
        service.token_for("user00001", PASSWORD, room).await.refused(404, "unknown-room");
    }
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_takes_nobody_in_once_it_is_closed_draining_or_full() {
    let service = TestService::start(&[]).await;
    let inside = service.visitor(1).await;
    service.token(2).await;
    for state in ["closed", "draining"] {
        service.set_room(&json!({ "state": state })).await;
        service.log_in("user00002", PASSWORD).await.is(200);
        service.log_in("user00003", PASSWORD).await.refused(409, "room-closed");
    }
    assert_eq!(service.get("/points/balance", &inside).await.is(200).body["userId"], "user00001");
    service.set_room(&json!({ "state": "open", "capacity": 2 })).await;
    // Within seconds the limit is derived from the memory again, so more than one may get in.
    let mut full = None;
    for number in 3..30 {
        service.redis(&["HSET", "anteroom:{main}:room", "queueLimit", "0"]);
        let answer = service.log_in(&anteroom::cli::seed::user_name(number), PASSWORD).await;
        if answer.status == 503 {
            full = Some(answer);
            break;
        }
    }
    full.expect("a full line").refused(503, "queue-full");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_token_again_keeps_the_place_on_every_device() {
    let service = TestService::start(&[("login_wait_ms", "10000")]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let first = service.token(1).await;
    for number in 2..=4 {
        service.token(number).await;
    }
    let again = service.log_in("user00001", PASSWORD).await;
    assert_eq!((again.is(200).text("status"), &again.body["position"]), ("waiting", &json!(1)), "{:?}", again.body);
    assert_eq!(again.body["waiting"], 4);
    let logins = (0..20).map(|_| service.log_in("user00002", PASSWORD));
    for place in futures_util::future::join_all(logins).await {
        assert_eq!((place.is(200).text("status"), &place.body["position"]), ("waiting", &json!(2)));
    }
    let elsewhere = service.another().await;
    let place = elsewhere.log_in("user00003", PASSWORD).await;
    assert_eq!((place.is(200).text("status"), &place.body["position"]), ("waiting", &json!(3)), "another process");
    for token in [first.as_str(), again.text("token")] {
        assert_eq!(service.get("/queue/position", token).await.is(200).body["position"], 1);
    }
    service.send(service.request(reqwest::Method::POST, "/queue/leave", again.text("token"))).await.is(204);
    assert_eq!(service.get("/queue/position", &first).await.is(200).text("status"), "left");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_under_way_opens_its_position_and_nothing_else() {
    let service = TestService::start(&[("login_wait_ms", "0"), ("login_verifiers", "1")]).await;
    service.set_room(&json!({ "capacity": 1 })).await;
    let attempts = crowd(&service, 1..=30, PASSWORD).await;
    let mut opened = 0;
    for attempt in &attempts {
        assert_eq!(attempt.is(200).text("status"), "verifying", "{:?}", attempt.body);
        attempt.has(&PLACE);
        assert!(UserId::parse(&claims_of(attempt.text("token")).sub).is_err(), "nobody can sign up under that name");
        assert!(attempt.body["position"].as_u64().unwrap() >= 1);
        let held = service.hold(attempt.text("token"), 12345, "B1").await;
        assert!([401, 403].contains(&held.status.as_u16()), "{:?}", held.body);
        let balance = service.get("/points/balance", attempt.text("token")).await;
        assert!([401, 403].contains(&balance.status.as_u16()), "{:?}", balance.body);
        opened += u32::from(held.status.is_success());
    }
    assert_eq!(opened, 0);
    for attempt in &attempts {
        let place = verified(&service, attempt).await;
        assert_eq!(place.text("userId"), attempt.text("userId"));
        assert!(["waiting", "active"].contains(&place.text("status")), "{:?}", place.body);
        service.get("/queue/position", place.text("token")).await.is(200);
    }
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_leaves_nothing_in_line_and_its_owners_place_untouched() {
    let service = TestService::start(&[("login_wait_ms", "0"), ("login_failures_per_account", "100")]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let owner = service.token(1).await;
    let before = service.get("/queue/position", &owner).await;
    assert_eq!(before.is(200).body["position"], 1);
    let wrong = service.log_in("user00001", "not this one").await;
    let stranger = service.log_in("nobody-at-all", "not this one").await;
    for attempt in [&wrong, &stranger] {
        assert_eq!(attempt.is(200).text("status"), "verifying");
        let refused = until(async || {
            Some(service.get("/queue/position", attempt.text("token")).await).filter(|answer| answer.status != 200)
        })
        .await;
        refused.refused(401, "invalid-token");
        let held = service.hold(attempt.text("token"), 12345, "B1").await;
        held.refused(401, "invalid-token");
    }
    let after = service.log_in("user00001", PASSWORD).await;
    assert_eq!((&after.is(200).body["position"], &after.body["waiting"]), (&json!(1), &json!(1)));
    assert_eq!(service.get("/queue/position", &owner).await.is(200).text("status"), "waiting");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longer_a_check_lasts_the_later_one_is_to_ask_for_it() {
    let service = TestService::start(&[("login_wait_ms", "0"), ("database_statement_ms", "60000")]).await;
    let mut postgres = PgConnection::connect(&service.database_url).await.unwrap();
    postgres.execute("begin").await.unwrap();
    postgres.execute("lock table users in access exclusive mode").await.unwrap();
    let attempt = service.log_in("user00007", PASSWORD).await;
    let (token, began) = (attempt.text("token"), clock::now());
    let told = |place: &Answer| Duration::from_millis(place.body["pollAfterMs"].as_u64().unwrap());
    let mut after = told(&attempt);
    assert!(after <= Duration::from_millis(1_150), "the first poll comes soon: {after:?}");
    while began.elapsed() < Duration::from_secs(5) {
        sleep(after).await;
        let place = service.get("/queue/position", token).await;
        assert_eq!(place.is(200).text("status"), "verifying", "{:?}", place.body);
        let (least, most) = (began.elapsed().mul_f64(0.4), began.elapsed().mul_f64(0.6) + Duration::from_secs(1));
        after = told(&place);
        assert!(least <= after && after <= most, "{after:?} after {:?}", began.elapsed());
    }
    postgres.close().await.unwrap();
    assert_eq!(verified(&service, &attempt).await.text("userId"), "user00007");
}

/// These accounts log in all at once.
async fn crowd(service: &TestService, numbers: std::ops::RangeInclusive<u32>, password: &str) -> Vec<Answer> {
    let names: Vec<_> = numbers.map(anteroom::cli::seed::user_name).collect();
    futures_util::future::join_all(names.iter().map(|name| service.log_in(name, password))).await
}

/// The place of an attempt once its password was checked: it carries the account's token.
async fn verified(service: &TestService, attempt: &Answer) -> Answer {
    until(async || {
        let place = service.get("/queue/position", attempt.text("token")).await;
        Some(place).filter(|place| place.is(200).text("status") != "verifying")
    })
    .await
}
