//! The contract of dates, seats and reservations.

use std::time::Duration;

use anteroom::clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::TestService;
use crate::support::contract::{until, until_unix};
use crate::support::service::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_goes_on_for_a_hold_of_its_own_time_and_for_no_other() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "visitSeconds": 6, "holdSeconds": 20 })).await;
    // The process that holds seats knows of it after a tick.
    sleep(Duration::from_secs(1)).await;
    let visitor = service.visitor(1).await;
    let began = clock::now();
    let held = service.hold(&visitor, 12345, "B1").await;
    held.is(200);
    let own_end = began + Duration::from_secs(6);
    let ends = until(async || {
        let place = service.get("/queue/position", &visitor).await.body;
        let ends = place["activeUntil"].clone();
        (ends.is_string() && until_unix(&ends) - until_unix(&place["serverTime"]) > 7).then_some(ends)
    });
    let ends = ends.await;
    sleep(own_end.saturating_duration_since(clock::now()) + Duration::from_secs(1)).await;
    service.delete(&format!("/reservations/{}", held.text("reservationId")), &visitor).await.is(204);
    let another = service.hold(&visitor, 12345, "B2").await;
    assert!(until_unix(&another.is(200).body["expiresAt"]) > until_unix(&ends), "{:?}", another.body);
    // A tick of the scheduler, and longer than a poll is answered from memory.
    sleep(Duration::from_secs(3)).await;
    let place = service.get("/queue/position", &visitor).await.body;
    assert_eq!((&place["status"], &place["activeUntil"]), (&json!("active"), &ends), "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_seats_are_shown_with_prices_and_a_tag() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let dates = service.get("/reservations/available/dates?userId=user00001", &visitor).await;
    let first = &dates.is(200).body["dates"][0];
    assert_eq!(
        (&first["scheduleId"], &first["totalSeats"], &first["availableSeats"]),
        (&json!("12345"), &json!(1300), &json!(1299))
    );
    for member in ["concertId", "title", "venue", "startsAt", "priceFrom"] {
        assert!(first.get(member).is_some(), "{member}");
    }
    let one = service.get("/reservations/available/dates?concertId=2", &visitor).await;
    let ids: Vec<_> = one.is(200).body["dates"].as_array().unwrap().iter().map(|date| &date["scheduleId"]).collect();
    assert_eq!(ids, ["12347", "12348"]);
    let none = service.get("/reservations/available/dates?concertId=nothing", &visitor).await;
    assert_eq!(none.is(200).body["dates"], json!([]));

    let list = service.get("/reservations/available/seat?scheduleId=12345", &visitor).await;
    let seats = list.is(200).body["seats"].as_array().unwrap();
    assert_eq!((seats.len(), list.text("scheduleId")), (1299, "12345"));
    let expected = json!({ "seatId": "A2", "section": "Floor", "row": "A", "number": 2, "price": 5000,
        "status": "available" });
    assert_eq!(seats[0], expected);
    let etag = list.header("etag").to_owned();
    assert!(etag.starts_with('"'), "a strong tag: {etag}");
    let all = service.get("/reservations/available/seat?scheduleId=12345&all=true", &visitor).await;
    assert_eq!(all.is(200).body["seats"][0]["status"], "sold");
    assert_ne!(all.header("etag"), etag, "another list has another tag");

    let again = |etag: String| {
        let request = service.request(Method::GET, "/reservations/available/seat?scheduleId=12345", &visitor);
        service.send(request.header("if-none-match", etag))
    };
    let same = again(etag.clone()).await;
    assert_eq!((same.is(304).header("etag"), &same.body), (etag.as_str(), &Value::Null));
    again(format!("\"other\", W/{etag}")).await.is(304);
    zipped_is_the_same(&service, &visitor, &list.body, &etag).await;
    service.hold(&visitor, 12345, "B1").await.is(200);
    let changed = until(async || Some(again(etag.clone()).await).filter(|list| list.status == 200)).await;
    assert!(changed.body["version"].as_u64() > list.body["version"].as_u64());
    for (unknown, status, code) in [
        ("scheduleId=99999", 404, "unknown-schedule"),
        ("scheduleId=9223372036854775807", 404, "unknown-schedule"),
        ("scheduleId=x", 422, "validation-failed"),
        ("scheduleId=-1", 422, "validation-failed"),
        ("", 422, "validation-failed"),
        ("scheduleId=12345&all=perhaps", 422, "validation-failed"),
        ("scheduleId=12345&userId=user00002", 403, "user-mismatch"),
    ] {
        let refused = service.get(&format!("/reservations/available/seat?{unknown}"), &visitor).await;
        refused.refused(status, code);
    }
}

/// Who reads gzip is sent a tenth of the bytes, under a tag of their own.
async fn zipped_is_the_same(service: &TestService, visitor: &str, plain: &Value, plain_tag: &str) {
    let ask = |accepted: &str, tag: &str| {
        let request = service.request(Method::GET, "/reservations/available/seat?scheduleId=12345", visitor);
        request.header("accept-encoding", accepted).header("if-none-match", tag.to_owned()).send()
    };
    let zipped = ask("br, gzip;q=0.5", plain_tag).await.unwrap();
    assert_eq!((zipped.status().as_u16(), &zipped.headers()["content-encoding"]), (200, &"gzip".parse().unwrap()));
    let varies = zipped.headers().get_all("vary").iter().any(|by| by.to_str().unwrap().contains("accept-encoding"));
    assert!(varies, "no cache gives it to others");
    let tag = zipped.headers()["etag"].to_str().unwrap().to_owned();
    let bytes = zipped.bytes().await.unwrap();
    let read: Value = serde_json::from_reader(flate2::read::GzDecoder::new(bytes.as_ref())).unwrap();
    assert_eq!(&read, plain);
    assert!(bytes.len() * 8 < plain.to_string().len(), "{} bytes", bytes.len());
    let same = ask("gzip", &tag).await.unwrap();
    assert_eq!((same.status().as_u16(), same.headers().get("content-encoding")), (304, None));
    let unread = ask("gzip;q=0", &tag).await.unwrap();
    assert_eq!((unread.status().as_u16(), unread.headers().get("content-encoding")), (200, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_are_held_all_or_none_and_once() {
    let service = TestService::start(&[]).await;
    let (one, two) = (service.visitor(1).await, service.visitor(2).await);
    let held = reserve(&service, &one, &json!({ "scheduleId": 12345, "seatIds": ["B1", "B2"] })).await;
    held.is(200).has(&["reservationId", "scheduleId", "seatIds", "seatId", "amount", "status", "expiresAt"]);
    assert_eq!((held.text("scheduleId"), held.text("seatId"), held.text("status")), ("12345", "B1", "held"));
    assert_eq!((&held.body["seatIds"], &held.body["amount"]), (&json!(["B1", "B2"]), &json!(9800)));

    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let again = reserve(&service, &one, &json!({ "scheduleId": "12345", "seatIds": ["B1", "B2"] })).await;
    assert_eq!(again.is(200).body, held.body, "the same, and not prolonged");
    for (partly, taken) in [
        (json!({ "scheduleId": 12345, "seatIds": ["B2", "B3"] }), json!(["B2"])),
        (json!({ "scheduleId": 12345, "seatId": "B1" }), json!(["B1"])),
        (json!({ "scheduleId": 12345, "seatIds": ["B1", "B2", "B3"] }), json!(["B1", "B2"])),
    ] {
        for token in [&one, &two] {
            let refused = reserve(&service, token, &partly).await;
            assert_eq!(refused.refused(409, "seat-taken").body["seats"], taken);
            assert!(!refused.body["alternatives"].as_array().unwrap().is_empty());
        }
    }
    service.hold(&two, 12345, "B3").await.is(200);
    let sold = service.hold(&two, 12345, "A1").await;
    assert_eq!(sold.refused(409, "seat-taken").body["seats"], json!(["A1"]));

    service.hold(&one, 12345, "C1").await.is(200);
    service.hold(&one, 12345, "C2").await.is(200);
    service.hold(&one, 12345, "C3").await.refused(409, "seat-limit");
    let five = json!({ "scheduleId": 12346, "seatIds": ["A1", "A2", "A3", "A4", "A5"] });
    reserve(&service, &one, &five).await.refused(422, "validation-failed");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reserved_is_refused_by_its_name() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let visitor = service.visitor(1).await;
    for (body, status, code) in [
        (json!({ "scheduleId": 99999, "seatId": "A1" }), 404, "unknown-schedule"),
        (json!({ "scheduleId": 1, "seatId": "A1" }), 403, "not-admitted"),
        (json!({ "scheduleId": 12345, "seatId": "ZZ99" }), 404, "unknown-seat"),
        (json!({ "scheduleId": 12345, "seatIds": ["B1", "b1"] }), 404, "unknown-seat"),
        (json!({ "scheduleId": 12345, "seatId": "B1", "userId": "user00002" }), 403, "user-mismatch"),
        (json!({ "scheduleId": 12345 }), 422, "validation-failed"),
        (json!({ "scheduleId": 12345, "seatId": "B1", "best": 1 }), 422, "validation-failed"),
        (json!({ "scheduleId": 12345, "seatIds": [] }), 422, "validation-failed"),
        (json!({ "scheduleId": 12345, "seatIds": ["B1", "B1"] }), 422, "validation-failed"),
        (json!({ "scheduleId": 12345, "best": 0 }), 422, "validation-failed"),
        (json!({ "scheduleId": 12345, "best": 5 }), 422, "validation-failed"),
        (json!({ "seatId": "B1" }), 422, "validation-failed"),
    ] {
        reserve(&service, &visitor, &body).await.refused(status, code);
    }
    assert_eq!(service.get("/reservations", &visitor).await.is(200).body["reservations"], json!([]));
    let own = json!({ "scheduleId": 12345, "seatId": "B1", "userId": "user00001", "unknown": { "field": [1] } });
    reserve(&service, &visitor, &own).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_seats_stand_together_and_leave_none_alone() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    service.hold(&visitor, 12347, "A4").await.is(200);
    for (number, best, expected, left) in [
        (2, 2, json!(["A5", "A6"]), 7),
        (3, 3, json!(["A1", "A2", "A3"]), 4),
        (4, 4, json!(["A7", "A8", "A9", "A10"]), 0),
    ] {
        let token = service.visitor(number).await;
        until_free(&service, &token, left + best).await;
        let held = reserve(&service, &token, &json!({ "scheduleId": 12347, "best": best })).await;
        assert_eq!(held.is(200).body["seatIds"], expected);
        until_free(&service, &token, left).await;
    }
    let late = service.visitor(5).await;
    let none = reserve(&service, &late, &json!({ "scheduleId": 12347, "best": 1 })).await;
    none.refused(409, "seat-taken").has(&["seats", "alternatives"]);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_the_first_answer_again_and_stands_for_one_body() {
    let service = TestService::start(&[]).await;
    let (one, two) = (service.visitor(1).await, service.visitor(2).await);
    let body = json!({ "scheduleId": 12345, "seatId": "B1" });
    let first = service.post_once("/reservations", &one, "key", &body).await;
    let again = service.post_once("/reservations", &one, "key", &body).await;
    assert_eq!((again.is(200).replayed(), &again.body), (true, &first.is(200).body));
    assert!(!first.replayed());
    for other in [json!({ "scheduleId": 12345, "seatId": "B2" }), json!({ "scheduleId": 12346, "seatId": "A1" })] {
        let reused = service.post_once("/reservations", &one, "key", &other).await;
        reused.refused(422, "idempotency-key-reused");
    }
    for replayed in [false, true] {
        let taken = service.post_once("/reservations", &two, "key", &body).await;
        assert_eq!(taken.refused(409, "seat-taken").replayed(), replayed, "a key is its caller's own");
    }
    let gone = service.delete(&format!("/reservations/{}", first.text("reservationId")), &one).await;
    gone.is(204);
    let kept = service.post_once("/reservations", &two, "key", &body).await;
    assert!(kept.refused(409, "seat-taken").replayed(), "the first answer, though the seat is free by now");
    for _ in 0..2 {
        let unknown = json!({ "scheduleId": 99999, "seatId": "A1" });
        let unknown = service.post_once("/reservations", &one, "404", &unknown).await;
        assert!(!unknown.refused(404, "unknown-schedule").replayed());
    }
    service.post_once("/reservations", &one, "404", &body).await.is(200);
    for bad in ["", "a b", &"k".repeat(256)] {
        service.post_once("/reservations", &one, bad, &body).await.refused(422, "validation-failed");
    }
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_frees_the_seats_at_once_and_only_ones_own() {
    let service = TestService::start(&[]).await;
    let (one, two) = (service.visitor(1).await, service.visitor(2).await);
    let held = service.hold(&one, 12345, "B1").await;
    let path = format!("/reservations/{}", held.is(200).text("reservationId"));
    service.delete(&path, &two).await.refused(404, "unknown-reservation");
    let cancel = || service.request(Method::DELETE, &path, &one).header("idempotency-key", "cancel");
    assert!(!service.send(cancel()).await.is(204).replayed());
    assert!(service.send(cancel()).await.is(204).replayed());
    service.delete(&path, &one).await.is(204);
    assert_eq!(service.get(&path, &one).await.is(200).text("status"), "cancelled");
    service.pay(&one, &held).await.refused(410, "hold-expired");
    let taken = service.hold(&two, 12345, "B1").await;
    taken.is(200);
    service.delete(&path, &one).await.is(204);
    assert_eq!(service.hold(&two, 12345, "B1").await.is(200).body, taken.body, "a late cancel takes nothing away");

    let paid = service.pay(&two, &taken).await;
    paid.is(200);
    let paid = format!("/reservations/{}", paid.text("reservationId"));
    for replayed in [false, true] {
        let refused = service.request(Method::DELETE, &paid, &two).header("idempotency-key", "paid");
        assert_eq!(service.send(refused).await.refused(409, "already-confirmed").replayed(), replayed);
    }
    service.delete(&paid, &one).await.refused(404, "unknown-reservation");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_reservations_are_listed_with_what_became_of_them() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let (held, cancelled, paid) = (
        service.hold(&visitor, 12345, "B1").await,
        service.hold(&visitor, 12345, "B3").await,
        service.hold(&visitor, 12346, "A1").await,
    );
    service.delete(&format!("/reservations/{}", cancelled.text("reservationId")), &visitor).await.is(204);
    service.pay(&visitor, &paid).await.is(200);
    service.delete("/queue/position", &visitor).await.is(204);
    let list = service.get("/reservations", &visitor).await;
    let list = list.is(200).body["reservations"].as_array().unwrap();
    let status = |one: &Answer| {
        let found = list.iter().find(|listed| listed["reservationId"] == one.body["reservationId"]);
        found.map_or("none", |found| found["status"].as_str().unwrap())
    };
    assert_eq!((status(&held), status(&cancelled), status(&paid)), ("cancelled", "cancelled", "confirmed"));
    assert_eq!(list.len(), 3);
    for unknown in ["12345-00000000000000000000000000000000", "res124", "99999-x", "%00", "..", &"x".repeat(65)] {
        let none = service.get(&format!("/reservations/{unknown}"), &visitor).await;
        assert_eq!(none.status, 404, "{unknown}: {:?}", none.body);
    }
    let others = service.get("/reservations/res123", &visitor).await;
    others.refused(404, "unknown-reservation");
    let owner = service.token_of("testuser", "testpass").await;
    let own = service.get("/reservations/res123", &owner).await;
    assert_eq!((own.is(200).text("status"), own.text("seatId")), ("confirmed", "A1"));
}

async fn reserve(service: &TestService, token: &str, body: &Value) -> Answer {
    service.post("/reservations", token, body).await
}

/// Waits until the snapshot of the ten seats shows so many free ones.
async fn until_free(service: &TestService, token: &str, count: usize) {
    until(async || {
        let list = service.get("/reservations/available/seat?scheduleId=12347", token).await;
        (list.is(200).body["seats"].as_array().unwrap().len() == count).then_some(())
    })
    .await;
}
