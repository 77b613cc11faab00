//! The report after a sale: what all processes saw, kept when they are gone.

use anteroom::clock;
use anteroom::queue::{self, note_fairness};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::contract::until;

async fn report(service: &TestService) -> Value {
    service.send(service.admin(Method::GET, "/admin/rooms/main/report")).await.is(200).body.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_leaves_a_report_of_its_order_and_its_waits() {
    let service = TestService::start(&[]).await;
    let other = service.another().await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let tokens = join_all((1..=6).map(|number| service.token(number))).await;
    let before = report(&service).await;
    assert_eq!(
        (&before["fair"], &before["waits"]["p50Seconds"]),
        (&json!(false), &Value::Null),
        "nothing was seen yet"
    );
    service.set_room(&json!({ "capacity": 6 })).await;
    join_all(tokens.iter().map(|token| service.until(token, "active"))).await;

    let told = until(async || {
        for process in [&service, &other] {
            note_fairness(&process.service.app.queue).await.unwrap();
        }
        Some(report(&service).await).filter(|told| told["people"]["admitted"] == 6 && told["order"]["judged"] != 0)
    });
    let told = told.await;
    assert_eq!((&told["fair"], &told["order"]["overtaken"]), (&json!(true), &json!(0)), "{told:#}");
    assert_eq!(
        (&told["people"]["joined"], &told["waits"]["measured"], &told["epochs"]),
        (&json!(6), &json!(6), &json!([1]))
    );
    assert!(told["waits"]["p90Seconds"].as_f64().unwrap() >= told["waits"]["p50Seconds"].as_f64().unwrap());

    // A later process tells the same: it is in Postgres. And what comes later is added.
    let later = service.another().await;
    assert_eq!(report(&later).await["people"], told["people"]);
    service.delete("/queue/position", &tokens[0]).await.is(204);
    until(async || {
        note_fairness(&later.service.app.queue).await.unwrap();
        (report(&later).await["people"]["ended"] == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overtaking_that_was_seen_is_told_whoever_saw_it_and_after_a_loss() {
    let service = TestService::start(&[]).await;
    let insert = "insert into fairness values \
        ('main', 1, date_trunc('hour', now()) - interval '3 days', 5, 50, 7, 7, 100, 90, 0, 40, 0, '{}', 0, 0), \
        ('main', 1, date_trunc('hour', now()), 3, 30, 2, 1, 130, 110, 4, 60, 0, array[0,0,5]::bigint[], 4, 3), \
        ('main', 2, date_trunc('hour', now()), 2, 20, 1, 1, 10, 9, 1, 2, 1, array[5]::bigint[], 0, 0)";
    service.sql(insert).await;
    let told = report(&service).await;
    assert_eq!(
        (&told["fair"], &told["order"], &told["epochs"]),
        (&json!(false), &json!({ "looks": 5, "judged": 50, "overtaken": 3, "overtakenMost": 1 }), &json!([1, 2]))
    );
    let people = json!({ "joined": 40, "admitted": 29, "passedOver": 5, "ended": 22, "overAdmitted": 1 });
    assert_eq!(told["people"], people, "what was before the period does not count");
    assert_eq!((&told["waits"]["measured"], &told["waits"]["withinToldP90"]), (&json!(10), &json!(0.75)));
    let now = clock::utc();
    let (main, long_ago) = ("main".parse().unwrap(), now - chrono::TimeDelta::days(9));
    let all = queue::report(&service.service.app.queue, &main, long_ago, now).await.unwrap();
    assert_eq!(all.order.overtaken, 10);
    for (query, status) in [("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422), ("?from=yesterday", 422)] {
        let refused = service.send(service.admin(Method::GET, &format!("/admin/rooms/main/report{query}"))).await;
        assert_eq!(refused.status, status, "{query}");
    }
    service.send(service.admin(Method::GET, "/admin/rooms/nowhere/report")).await.refused(404, "unknown-room");
}
