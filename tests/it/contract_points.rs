//! The contract of points.

use serde_json::json;

use crate::support::TestService;

#[tokio::test(flavor = "multi_thread")]
async fn points_are_charged_once_for_a_key_and_the_balance_says_so() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    assert_eq!(
        service.get("/points/balance?userId=user00001", &visitor).await.is(200).body,
        json!({ "userId": "user00001", "balance": 1_000_000 })
    );
    let charge = json!({ "userId": "user00001", "amount": 500 });
    let first = service.post_once("/points/charge", &visitor, "key", &charge).await;
    first.is(200).has(&["userId", "balance", "chargedAmount", "entryId"]);
    assert_eq!((&first.body["balance"], &first.body["chargedAmount"]), (&json!(1_000_500), &json!(500)));
    let more = service.post("/points/charge", &visitor, &json!({ "amount": 10_000_000 })).await;
    assert_eq!(more.is(200).body["balance"], 11_000_500);
    let again = service.post_once("/points/charge", &visitor, "key", &charge).await;
    assert_eq!((again.is(200).replayed(), &again.body), (true, &first.body), "the first answer, not the last balance");
    let other = service.post_once("/points/charge", &visitor, "key", &json!({ "amount": 501 })).await;
    other.refused(422, "idempotency-key-reused");
    let at_once = (0..50).map(|_| service.post_once("/points/charge", &visitor, "at-once", &charge));
    let answers = futures_util::future::join_all(at_once).await;
    assert!(answers.iter().all(|answer| answer.is(200).body == answers[0].body));
    assert_eq!(service.balance(&visitor).await, 11_001_000);

    for (query, status, code) in [("userId=user00002", 403, "user-mismatch"), ("userId=", 403, "user-mismatch")] {
        service.get(&format!("/points/balance?{query}"), &visitor).await.refused(status, code);
    }
    let others = json!({ "userId": "user00002", "amount": 500 });
    service.post("/points/charge", &visitor, &others).await.refused(403, "user-mismatch");
    for amount in [0, -1, 10_000_001, i64::MAX, i64::MIN] {
        let refused = service.post("/points/charge", &visitor, &json!({ "amount": amount })).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], "amount", "{amount}");
    }
    assert_eq!(service.balance(&visitor).await, 11_001_000);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_has_a_limit_and_the_refusal_is_kept_under_its_key() {
    let service = TestService::start(&[("balance_limit", "1000600")]).await;
    let visitor = service.visitor(1).await;
    for replayed in [false, true] {
        let refused = service.post_once("/points/charge", &visitor, "much", &json!({ "amount": 601 })).await;
        assert_eq!(refused.refused(409, "balance-limit").replayed(), replayed);
        assert_eq!(refused.body["balance"], 1_000_000);
    }
    let just = service.post("/points/charge", &visitor, &json!({ "amount": 600 })).await;
    assert_eq!(just.is(200).body["balance"], 1_000_600);
    let refused = service.post("/points/charge", &visitor, &json!({ "amount": 1 })).await;
    assert!(!refused.refused(409, "balance-limit").replayed());
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_at_the_gate_is_not_kept_under_the_key() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let token = service.token(1).await;
    let charge = json!({ "amount": 500 });
    let refused = service.post_once("/points/charge", &token, "key", &charge).await;
    assert!(!refused.refused(403, "not-admitted").replayed());
    service.set_room(&json!({ "capacity": 1 })).await;
    service.until(&token, "active").await;
    let charged = service.post_once("/points/charge", &token, "key", &charge).await;
    assert!(!charged.is(200).replayed());
    assert_eq!(service.balance(&token).await, 1_000_500);
}
