//! Logins whose password is yet to be checked: what becomes of their place, whatever comes between.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anteroom::accounts::{self, Login, Password};
use anteroom::cli::seed::user_name;
use anteroom::cli::stores::RedisServer;
use anteroom::ids::UserId;
use deadpool_redis::redis;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::contract::until;
use crate::support::service::{Answer, PASSWORD, claims_of};
use crate::support::{TestService, database};

/// No login waits for its check, and checks are decided one after another.
const SETTINGS: [(&str, &str); 3] =
    [("login_wait_ms", "0"), ("login_verifiers", "1"), ("database_statement_ms", "60000")];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_while_redis_refuses_is_told_to_it_later() {
    let dir = TempDir::new().unwrap();
    let redis = RedisServer::start(dir.path(), &[]).await.unwrap();
    let service = TestService::fresh(redis.url(), &database().await, &SETTINGS).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    for (number, forgets) in [(7, false), (8, true)] {
        let held = hold_checks(&service).await;
        let wrong = service.log_in("user00009", &format!("not this one {number}")).await;
        let right = service.log_in(&user_name(number), PASSWORD).await;
        let epoch = right.is(200).body["epoch"].as_u64().unwrap();
        service.redis(&["ACL", "SETUSER", "default", "-evalsha"]);
        held.close().await.unwrap();
        decided(&service, number).await;
        // What was decided is told at once, and refused.
        sleep(Duration::from_millis(300)).await;
        if forgets {
            service.redis(&["FLUSHDB"]);
        }
        service.redis(&["ACL", "SETUSER", "default", "+evalsha"]);
        let place = verified(&service, &right).await;
        assert_eq!((place.text("status"), place.text("userId")), ("waiting", &*user_name(number)));
        assert_eq!(place.body["epoch"], epoch + u64::from(forgets));
        if !forgets {
            until(async || Some(service.get("/queue/position", wrong.text("token")).await).filter(|a| a.status == 401))
                .await;
        }
    }
    service.assert_invariants().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_has_its_number_once_its_password_is_found_right() {
    let service = TestService::start(&SETTINGS).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let known = service.token(1).await;
    service.delete("/queue/position", &known).await.is(204);
    let before = service.token(2).await;
    let held = hold_checks(&service).await;
    let attempt = service.log_in("user00007", PASSWORD).await;
    let leaving = service.log_in("user00008", PASSWORD).await;
    let behind = service.log_in("user00001", PASSWORD).await.is(200).text("token").to_owned();
    position(&service, &behind, 4).await;

    // As if Redis had been frozen for longer than an attempt is kept.
    for attempt in [&attempt, &leaving] {
        let id = claims_of(attempt.text("token")).sub;
        service.redis(&["ZADD", "anteroom:{main}:grace", "XX", "1", &id]);
    }
    position(&service, &behind, 2).await;
    service.delete("/queue/position", leaving.text("token")).await.is(204);
    let place = service.get("/queue/position", attempt.text("token")).await;
    assert_eq!((place.is(200).text("status"), &place.body["position"]), ("verifying", &Value::Null));

    held.close().await.unwrap();
    let place = verified(&service, &attempt).await;
    assert_eq!((place.text("status"), &place.body["position"]), ("waiting", &json!(2)), "{:?}", place.body);
    decided(&service, 8).await;
    service.until(leaving.text("token"), "left").await;
    position(&service, &behind, 2).await;
    position(&service, &before, 1).await;
    service.set_room(&json!({ "capacity": 1 })).await;
    service.until(&before, "active").await;
    service.set_room(&json!({ "capacity": 2 })).await;
    service.until(place.text("token"), "active").await;
    assert_eq!(service.get("/queue/position", &behind).await.is(200).text("status"), "waiting");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_place_is_told_it_also_where_nobody_is_taken_in_and_nothing_is_remembered() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 1 })).await;
    let inside = service.visitor(1).await;
    service.hold(&inside, 12345, "B1").await.is(200);
    for number in 2..=6 {
        service.token(number).await;
    }
    for state in ["draining", "closed"] {
        service.set_room(&json!({ "state": state })).await;
        let elsewhere = service.another().await;
        let active = elsewhere.log_in("user00001", PASSWORD).await;
        assert_eq!(active.is(200).text("status"), "active");
        let waiting = elsewhere.log_in("user00002", PASSWORD).await;
        assert_eq!((waiting.is(200).text("status"), &waiting.body["position"]), ("waiting", &json!(1)));
        elsewhere.log_in("user00009", PASSWORD).await.refused(409, "room-closed");
        let wrong = elsewhere.log_in("user00003", "not this one").await;
        let unknown = elsewhere.log_in("nobody-at-all", "not this one").await;
        assert_eq!(wrong.refused(401, "bad-credentials").body, unknown.refused(401, "bad-credentials").body);
        hasty(&service).await.log_in("user00003", PASSWORD).await.refused(409, "room-closed");
    }
    service.set_room(&json!({ "state": "open" })).await;
    let elsewhere = service.another().await;
    for number in 2..=6 {
        // Within seconds the limit is derived from the memory again.
        service.redis(&["HSET", "anteroom:{main}:room", "queueLimit", "0"]);
        let waiting = elsewhere.log_in(&user_name(number), PASSWORD).await;
        assert_eq!((waiting.is(200).text("status"), &waiting.body["position"]), ("waiting", &json!(number - 1)));
    }
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_by_a_login_that_was_found_right_gives_up_the_accounts_place_and_holds() {
    let service = TestService::start(&SETTINGS).await;
    let inside = service.visitor(1).await;
    service.hold(&inside, 12345, "B1").await.is(200);
    let other = service.visitor(2).await;
    service.set_room(&json!({ "capacity": 2 })).await;
    let elsewhere = service.another().await;
    for user in ["user00003", "user00001"] {
        let attempt = found_right(&elsewhere, user).await;
        let account = elsewhere.log_in(user, PASSWORD).await.is(200).text("token").to_owned();
        elsewhere.get("/queue/position", &account).await.is(200);
        elsewhere.post_openly("/queue/leave", &json!({ "token": attempt })).await.is(204);
        for token in [&account, &attempt] {
            let place = elsewhere.get("/queue/position", token).await;
            assert_eq!(place.is(200).text("status"), "left", "it is forgotten what was told before");
        }
    }
    service.until(&inside, "left").await;
    service.hold(&other, 12345, "B1").await.is(200);
    service.assert_invariants().await;
}

/// The token of a login whose password was found right, and that was not asked about since.
async fn found_right(service: &TestService, user: &str) -> String {
    let attempt = service.log_in(user, PASSWORD).await;
    assert_eq!(attempt.is(200).text("status"), "verifying");
    let fate = format!("anteroom:{{main}}:attempt:{}", claims_of(attempt.text("token")).sub);
    let unknown = redis::Value::BulkString(b"?".to_vec());
    until(async || (service.redis(&["GET", &fate]) != unknown).then_some(())).await;
    attempt.text("token").to_owned()
}

/// No password is checked until what is returned is closed.
async fn hold_checks(service: &TestService) -> PgConnection {
    let mut postgres = PgConnection::connect(&service.database_url).await.unwrap();
    postgres.execute("begin").await.unwrap();
    postgres.execute("lock table users in access exclusive mode").await.unwrap();
    postgres
}

/// Waits until the right password of an account was checked.
async fn decided(service: &TestService, number: u32) {
    let (user, password) = (UserId::parse(&user_name(number)).unwrap(), Password::parse(PASSWORD).unwrap());
    let begin =
        || accounts::begin_login(&service.service.app.accounts, &user, &password, IpAddr::V4(Ipv4Addr::LOCALHOST));
    until(async || matches!(begin(), Login::Remembered).then_some(())).await;
}

/// The place of an attempt once its password was found right: it carries the account's token.
async fn verified(service: &TestService, attempt: &Answer) -> Answer {
    let look = async || service.get("/queue/position", attempt.text("token")).await;
    until(async || Some(look().await).filter(|place| place.body["token"].is_string())).await
}

/// Looks until someone stands there.
async fn position(service: &TestService, token: &str, expected: u64) {
    until(async || {
        let place = service.get("/queue/position", token).await;
        (place.is(200).body["position"] == expected).then_some(())
    })
    .await;
}

/// Another process on the same stores, where no login waits for its check.
async fn hasty(service: &TestService) -> TestService {
    TestService::on(&service.redis_url, &service.database_url, &[("login_wait_ms", "0")]).await
}
