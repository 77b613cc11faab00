//! The end of a performance's sale, each guard of it red when it is taken out.

use std::time::Duration;

use anteroom::clock;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::{Answer, PASSWORD};

/// A room of its own with one performance, and someone inside.
struct Evening {
    service: TestService,
    schedule: i64,
    visitor: String,
}

impl Evening {
    async fn open() -> Self {
        let service = TestService::start(&[]).await;
        let room = json!({ "state": "open", "capacity": 50, "admitPerSecond": 50 });
        service.send(service.admin(Method::PUT, "/admin/rooms/side").json(&room)).await.is(201);
        let body = json!({
            "concertId": "1", "room": "side", "venue": "The Shed", "startsAt": "2099-03-01T19:00:00Z",
            "sections": [{ "name": "Floor", "rows": ["A"], "seatsPerRow": 9, "price": 100 }],
        });
        let made = service.send(service.admin(Method::POST, "/admin/schedules").json(&body)).await;
        assert_eq!(made.is(201).body["saleEndsAt"], json!(null));
        let schedule = made.text("scheduleId").parse().unwrap();
        let login = json!({ "username": "user00001", "password": PASSWORD, "room": "side" });
        let visitor = service.post_openly("/auth/token", &login).await.is(200).text("token").to_owned();
        service.until(&visitor, "active").await;
        Self { service, schedule, visitor }
    }

    /// Puts the performance as it was, but for this.
    async fn put(&self, change: Value) -> Answer {
        let mut body = json!({
            "scheduleId": self.schedule, "concertId": 1, "room": "side", "venue": "The Shed",
            "startsAt": "2099-03-01T19:00:00Z",
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.service.send(self.service.admin(Method::PUT, "/admin/schedules").json(&body)).await
    }

    /// Ends the sale so many seconds from now.
    async fn end_in(&self, seconds: i64) -> Answer {
        let end = clock::rfc3339(clock::utc() + TimeDelta::seconds(seconds));
        self.put(json!({ "saleEndsAt": end })).await
    }

    async fn seats(&self) -> Answer {
        let path = format!("/reservations/available/seat?scheduleId={}", self.schedule);
        self.service.get(&path, &self.visitor).await
    }

    async fn listed(&self) -> Vec<Value> {
        let dates = self.service.get("/reservations/available/dates", &self.visitor).await;
        dates.is(200).body["dates"].as_array().unwrap().iter().map(|date| date["scheduleId"].clone()).collect()
    }

    async fn hold(&self, seat: &str) -> Answer {
        self.service.hold(&self.visitor, self.schedule, seat).await
    }

    /// What the map says to a browser.
    async fn page(&self) -> String {
        let page = self.service.request(Method::GET, &format!("/book/seats/{}", self.schedule), &self.visitor);
        page.header("accept-language", "en").send().await.unwrap().text().await.unwrap()
    }

    async fn until_room_is(&self, state: &str) {
        let told = async || self.service.get("/queue/rooms/side", "").await.body["state"] == state;
        until(async || told().await.then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_ends_by_itself_and_what_is_held_by_then_is_paid() {
    let evening = Evening::open().await;
    let held = evening.hold("A1").await;
    held.is(200);
    evening.end_in(3).await.is(200);
    assert_eq!(evening.listed().await, [json!(evening.schedule.to_string())]);
    assert!(evening.page().await.contains("value=\"A2\""));
    until(async || (evening.seats().await.status == 410).then_some(())).await;

    evening.seats().await.refused(410, "sale-ended");
    evening.hold("A2").await.refused(410, "sale-ended");
    let best = json!({ "scheduleId": evening.schedule, "best": 2 });
    evening.service.post("/reservations", &evening.visitor, &best).await.refused(410, "sale-ended");
    until(async || evening.listed().await.is_empty().then_some(())).await;
    let page = evening.page().await;
    assert!(page.contains("The sale of this performance has ended.") && !page.contains("<form"), "{page}");
    let again = evening.hold("A1").await;
    assert_eq!(again.is(200).text("reservationId"), held.text("reservationId"), "who holds a seat gets it again");
    evening.service.pay(&evening.visitor, &held).await.is(200);
    assert_eq!(evening.hold("A1").await.is(200).body["status"], "confirmed", "and who has paid it");
    let own = evening.service.get("/reservations", &evening.visitor).await;
    assert_eq!(own.is(200).body["reservations"][0]["status"], "confirmed");
    evening.service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_stays_until_it_is_changed_and_can_be_taken_away() {
    let evening = Evening::open().await;
    let put = evening.end_in(-1).await;
    let end = put.is(200).text("saleEndsAt").to_owned();
    evening.hold("A1").await.refused(410, "sale-ended");
    let moved = evening.put(json!({ "venue": "The Barn" })).await;
    assert_eq!((moved.is(200).text("saleEndsAt"), moved.text("venue")), (end.as_str(), "The Barn"));
    evening.hold("A1").await.refused(410, "sale-ended");
    assert_eq!(evening.put(json!({ "saleEndsAt": null })).await.is(200).body["saleEndsAt"], json!(null));
    evening.hold("A1").await.is(200);
    let bad = evening.put(json!({ "saleEndsAt": "soon" })).await;
    assert_eq!(bad.refused(422, "validation-failed").body["errors"][0]["field"], "saleEndsAt");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_what_is_on_sale_no_more() {
    let evening = Evening::open().await;
    let held = evening.hold("A1").await;
    evening.end_in(-1).await.is(200);
    let seats_left = async || {
        let room = evening.service.send(evening.service.admin(Method::GET, "/admin/rooms/side")).await;
        room.body["seatsLeft"] == 1
    };
    until(async || seats_left().await.then_some(())).await;
    evening.until_room_is("open").await;
    let reservation = format!("/reservations/{}", held.is(200).text("reservationId"));
    evening.service.delete(&reservation, &evening.visitor).await.is(204);
    evening.until_room_is("sold-out").await;
    // Longer than what was advised is believed.
    evening.end_in(-3 * 86_400).await.is(200);
    sleep(Duration::from_secs(7)).await;
    evening.until_room_is("sold-out").await;
    evening.end_in(3_600).await.is(200);
    evening.until_room_is("open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_long_ago_is_looked_after_no_more() {
    let evening = Evening::open().await;
    let settings = json!({ "holdSeconds": 1 });
    evening.service.send(evening.service.admin(Method::PATCH, "/admin/rooms/side").json(&settings)).await.is(200);
    let held = format!("anteroom:{{s:{}}}:held", evening.schedule);
    let swept = async || {
        let count: u64 = deadpool_redis::redis::from_redis_value(evening.service.redis(&["ZCARD", &held])).unwrap();
        (count == 0).then_some(())
    };
    // The process that holds seats knows of it after a tick.
    sleep(Duration::from_secs(1)).await;
    evening.hold("A1").await.is(200);
    evening.end_in(-3 * 86_400).await.is(200);
    until(&swept).await;
    sleep(Duration::from_secs(2)).await;
    evening.service.redis(&["ZADD", &held, "1", "A2"]);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(swept().await, None, "a performance of three days ago was swept, with nothing held");
    evening.end_in(-86_400).await.is(200);
    until(&swept).await;
}
