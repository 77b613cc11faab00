//! Overtaking is counted while it happens: here it is made to happen, behind the service's back.

use deadpool_redis::redis;
use reqwest::Method;
use serde_json::json;

use crate::support::TestService;
use crate::support::contract::until;

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_before_one_who_is_there_is_counted() {
    let service = TestService::start(&[("login_wait_ms", "15000")]).await;
    service.set_room(&json!({ "capacity": 1, "claimSeconds": 3_600 })).await;
    let inside = service.visitor(1).await;
    let (first, second) = (service.token(2).await, service.token(3).await);
    assert_eq!(service.get("/queue/position", &first).await.body["position"], 1);
    let number = |user: &str| match service.redis(&["ZSCORE", "anteroom:{main}:waiting", user]) {
        redis::Value::BulkString(number) => String::from_utf8(number).unwrap(),
        other => panic!("{other:?}"),
    };
    let (overtaker, ends) = (number("user00003"), "99999999999999");
    // A look at the line as it is must come before, so this is repeated until one did.
    until(async || {
        for command in [
            &["HSET", "anteroom:{main}:visits", "user00003", &format!("{overtaker} offered")],
            &["ZADD", "anteroom:{main}:idle", ends, "user00003"],
            &["ZADD", "anteroom:{main}:active", ends, "user00003"],
        ] {
            service.redis(command);
        }
        service.redis(&["ZREM", "anteroom:{main}:waiting", "user00003"]);
        service.get("/queue/position", &first).await;
        let metrics = service.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let counted = |line: &str| line.starts_with("anteroom_order_inversions_total") && !line.ends_with(" 0");
        metrics.lines().any(counted).then_some(())
    })
    .await;
    for token in [inside, second] {
        assert_eq!(service.get("/queue/position", &token).await.body["status"], "active");
    }
}
