//! What operators can do, route by route, with what is refused.

use anteroom::queue::Language;
use deadpool_redis::redis;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::{Answer, PASSWORD};

async fn ask(service: &TestService, method: Method, path: &str, body: &Value) -> Answer {
    service.send(service.admin(method, path).json(body)).await
}

async fn look(service: &TestService, path: &str) -> Answer {
    service.send(service.admin(Method::GET, path)).await
}

/// `user00001` logs in to a room, for however long the check takes.
async fn enter(service: &TestService, room: &str) -> Answer {
    let body = json!({ "username": "user00001", "password": PASSWORD, "room": room });
    service.post_openly("/auth/token", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_operators_needs_their_token() {
    let service = TestService::start(&[]).await;
    for (method, path) in [
        (Method::PUT, "/admin/rooms/new"),
        (Method::POST, "/admin/rooms/main/pause"),
        (Method::POST, "/admin/rooms/main/admit"),
        (Method::GET, "/admin/rooms/main/places/user00001"),
        (Method::DELETE, "/admin/rooms/main/places/user00001"),
        (Method::GET, "/admin/rooms/main/draw"),
        (Method::GET, "/admin/audit"),
        (Method::GET, "/admin/concerts"),
        (Method::POST, "/admin/concerts"),
        (Method::PUT, "/admin/concerts"),
        (Method::GET, "/admin/schedules"),
        (Method::POST, "/admin/schedules"),
        (Method::PUT, "/admin/schedules"),
    ] {
        let request = |url: &str| Client::new().request(method.clone(), format!("{url}{path}")).json(&json!({}));
        service.send(request(&service.admin_url)).await.refused(401, "admin-unauthorized");
        service.send(request(&service.admin_url).bearer_auth("another")).await.refused(401, "admin-unauthorized");
        service.send(request(&service.url)).await.refused(404, "not-found");
    }
    assert_eq!(service.number("select count(*) from audit_log").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_made_replaced_and_serves_at_once_in_every_process() {
    let service = TestService::start(&[("login_wait_ms", "15000")]).await;
    let other = service.another().await;
    let put = async |body: Value| ask(&service, Method::PUT, "/admin/rooms/late-sale", &body).await;
    let made = put(json!({ "state": "open", "capacity": 3, "reason": "A second sale." })).await;
    assert_eq!((&made.is(201).body["capacity"], &made.body["graceSeconds"]), (&json!(3), &json!(300)));
    let place = enter(&service, "late-sale").await;
    assert_eq!((place.is(200).text("room"), place.text("status")), ("late-sale", "active"));
    until(async || (other.get("/queue/rooms/late-sale", "").await.status == 200).then_some(())).await;

    let replaced = put(json!({ "state": "paused" })).await;
    assert_eq!((replaced.is(200).text("state"), &replaced.body["capacity"]), ("paused", &json!(1_000)));
    let stale = service.admin(Method::PUT, "/admin/rooms/late-sale").header("if-match", made.header("etag"));
    let stale = service.send(stale.json(&json!({}))).await;
    assert_eq!(stale.refused(412, "stale-version").body["current"]["state"], "paused");
    let nothing = service.admin(Method::PUT, "/admin/rooms/third").header("if-match", "\"1\"");
    service.send(nothing.json(&json!({}))).await.refused(412, "stale-version");

    for bad in ["Late", "a_b", &"x".repeat(33)] {
        let refused = ask(&service, Method::PUT, &format!("/admin/rooms/{bad}"), &json!({})).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], "room");
    }
    put(json!({ "capacity": -1 })).await.refused(422, "validation-failed");
    let list = look(&service, "/admin/rooms").await;
    let names: Vec<_> = list.body["rooms"].as_array().unwrap().iter().map(|room| room["room"].clone()).collect();
    assert_eq!(names, [json!("late-sale"), json!("main")]);
    assert_eq!(service.number("select count(*) from audit_log where action = 'make-room'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_changes_the_state_once_for_a_key_and_not_from_a_stale_version() {
    let service = TestService::start(&[]).await;
    for (word, state) in
        [("pause", "paused"), ("resume", "open"), ("drain", "draining"), ("close", "closed"), ("open", "open")]
    {
        let said = service.send(service.admin(Method::POST, &format!("/admin/rooms/main/{word}"))).await;
        assert_eq!(said.is(200).text("state"), state, "{word} without a body");
    }
    let etag = look(&service, "/admin/rooms/main").await.header("etag").to_owned();
    let pause = || {
        let request = service.admin(Method::POST, "/admin/rooms/main/pause").header("if-match", etag.as_str());
        service.send(request.header("idempotency-key", "once").json(&json!({ "reason": "Too hot." })))
    };
    let first = pause().await;
    assert!(!first.is(200).replayed());
    let again = pause().await;
    assert!(again.is(200).replayed(), "the same key answers the same, though the version is stale by now");
    assert_eq!(again.body, first.body);
    let stale = service.admin(Method::POST, "/admin/rooms/main/resume").header("if-match", etag.as_str());
    service.send(stale).await.refused(412, "stale-version");
    service.send(service.admin(Method::POST, "/admin/rooms/main/explode")).await.refused(404, "not-found");
    service.send(service.admin(Method::POST, "/admin/rooms/nowhere/open")).await.refused(404, "unknown-room");
    let why = ask(&service, Method::POST, "/admin/rooms/main/open", &json!({ "reason": "x".repeat(501) })).await;
    why.refused(422, "validation-failed");
    let written = "select count(*) from audit_log where reason = 'Too hot.' and after ->> 'state' = 'paused'";
    assert_eq!(service.number(written).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_change_means_and_changes_nothing() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0, "admitPerSecond": 10.0 })).await;
    for number in 1..=3 {
        service.token(number).await;
    }
    until(async || (look(&service, "/admin/rooms/main").await.body["waiting"] == 3).then_some(())).await;
    let before = look(&service, "/admin/rooms/main").await;
    let dry = ask(&service, Method::PATCH, "/admin/rooms/main?dryRun=true", &json!({ "capacity": 9 })).await;
    assert_eq!((&dry.is(200).body["dryRun"], &dry.body["waiting"]), (&json!(true), &json!(3)));
    assert_eq!(dry.body["changes"], json!([{ "setting": "capacity", "from": 0, "to": 9 }]));
    assert_eq!(dry.body["lastInLine"]["afterSeconds"], 1, "three at ten a second: {:?}", dry.body);
    let shut = service.send(service.admin(Method::POST, "/admin/rooms/main/close?dryRun=true")).await;
    assert!(shut.is(200).body["lastInLine"]["afterSeconds"].is_null(), "{:?}", shut.body);
    assert!(shut.body["means"].to_string().contains("3 in line stay outside"), "{:?}", shut.body);
    let stale = service.admin(Method::PATCH, "/admin/rooms/main?dryRun=true").header("if-match", "\"0\"");
    service.send(stale.json(&json!({}))).await.refused(412, "stale-version");
    ask(&service, Method::PATCH, "/admin/rooms/main?dryRun=maybe", &json!({})).await.refused(422, "validation-failed");
    assert_eq!(look(&service, "/admin/rooms/main").await.header("etag"), before.header("etag"));
    assert_eq!(service.number("select count(*) from audit_log").await, 1, "the one real change");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_in_line_are_admitted_by_hand_also_while_paused_and_never_beyond_the_capacity() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "state": "paused", "capacity": 3 })).await;
    let mut tokens = Vec::new();
    for number in 1..=5 {
        tokens.push(service.token(number).await);
    }
    let admit = async |body: Value| ask(&service, Method::POST, "/admin/rooms/main/admit", &body).await;
    let two = admit(json!({ "count": 2, "reason": "The press." })).await;
    assert_eq!((&two.is(200).body["admitted"], &two.body["count"]), (&json!(2), &json!(2)));
    for token in &tokens[..2] {
        service.until(token, "active").await;
    }
    let rest = admit(json!({ "count": 10_000 })).await;
    assert_eq!(rest.is(200).body["admitted"], 1, "there is room for three");
    service.until(&tokens[2], "active").await;
    assert_eq!(service.log_in("user00004", PASSWORD).await.body["position"], 1);

    for (wrong, field) in
        [(json!({ "count": 0 }), "count"), (json!({ "count": 10_001 }), "count"), (json!({}), "count")]
    {
        let refused = admit(wrong).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], field);
    }
    let request = || service.admin(Method::POST, "/admin/rooms/main/admit").header("idempotency-key", "k");
    service.set_room(&json!({ "capacity": 4 })).await;
    let first = service.send(request().json(&json!({ "count": 1 }))).await;
    assert_eq!(first.is(200).body["admitted"], 1);
    assert!(service.send(request().json(&json!({ "count": 1 }))).await.is(200).replayed());
    service.send(request().json(&json!({ "count": 2 }))).await.refused(422, "idempotency-key-reused");
    service.set_room(&json!({ "state": "closed" })).await;
    admit(json!({ "count": 1 })).await.refused(409, "room-closed");
    ask(&service, Method::POST, "/admin/rooms/nowhere/admit", &json!({ "count": 1 }))
        .await
        .refused(404, "unknown-room");
    assert_eq!(
        service.number("select count(*) from audit_log where action = 'admit' and reason = 'The press.'").await,
        1
    );
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_looked_at_without_being_touched_and_taken_away_with_its_holds() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, 12345, "B1").await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let waiter = service.token(2).await;
    service.redis(&["ZADD", "anteroom:{main}:present", "XX", "1", "user00002"]);
    let seen = look(&service, "/admin/rooms/main/places/user00002").await;
    seen.is(200).has(&crate::contract_auth::PLACE).has(&["number", "standing", "presentUntil", "keptUntil"]);
    assert_eq!((seen.text("standing"), seen.text("status"), &seen.body["position"]), ("waiting", "waiting", &json!(1)));
    let present = service.redis(&["ZSCORE", "anteroom:{main}:present", "user00002"]);
    assert_eq!(redis::from_redis_value::<i64>(present).unwrap(), 1, "nobody is present by it");
    let inside = look(&service, "/admin/rooms/main/places/user00001").await;
    assert_eq!((inside.is(200).text("standing"), inside.text("status")), ("claimed", "active"));
    assert!(inside.body["activeUntil"].is_string() && inside.body["position"].is_null());

    let remove = |user: &str| {
        service.send(service.admin(Method::DELETE, &format!("/admin/rooms/main/places/{user}?reason=a+bot")))
    };
    remove("user00001").await.is(204);
    remove("user00002").await.is(204);
    for gone in ["user00001", "user00002", "user00003", "no body", "x'y"] {
        look(&service, &format!("/admin/rooms/main/places/{gone}")).await.refused(404, "unknown-place");
        remove(gone).await.refused(404, "unknown-place");
    }
    look(&service, "/admin/rooms/nowhere/places/user00001").await.refused(404, "unknown-room");
    assert_eq!(service.get("/queue/position", &waiter).await.is(200).text("status"), "left");
    service.hold(&visitor, 12345, "B2").await.refused(403, "not-admitted");
    let kept = service.get(&format!("/reservations/{}", held.text("reservationId")), &visitor).await;
    assert_eq!(kept.is(200).text("status"), "cancelled");
    let written = "select count(*) from audit_log where action = 'remove-place' and reason = 'a bot'";
    assert_eq!(service.number(written).await, 2);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_read_from_its_end_page_by_page() {
    let service = TestService::start(&[]).await;
    ask(&service, Method::PUT, "/admin/rooms/other", &json!({})).await.is(201);
    for capacity in 1..=5 {
        service.set_room(&json!({ "capacity": capacity, "reason": format!("The {capacity}th.") })).await;
    }
    let mut path = "/admin/audit?room=main&limit=2".to_owned();
    let mut reasons = Vec::new();
    loop {
        let page = look(&service, &path).await;
        let entries = page.is(200).body["entries"].as_array().unwrap();
        reasons.extend(entries.iter().map(|entry| entry["after"]["capacity"].as_i64().unwrap()));
        let Some(next) = page.body["next"].as_i64() else { break };
        path = format!("/admin/audit?room=main&limit=2&before={next}");
    }
    assert_eq!(reasons, [5, 4, 3, 2, 1]);
    let all = look(&service, "/admin/audit").await;
    let entries = all.is(200).body["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[5]["action"]), (6, &json!("make-room")));
    assert!(entries.iter().all(|entry| entry["at"].is_string() && entry["actor"] == "admin"), "{entries:?}");
    for bad in ["limit=0", "limit=501", "limit=x", "before=x"] {
        look(&service, &format!("/admin/audit?{bad}")).await.refused(422, "validation-failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concert_and_its_schedule_are_made_and_sold_and_keep_their_seats() {
    let service = TestService::start(&[]).await;
    let concert = ask(&service, Method::POST, "/admin/concerts", &json!({ "title": "Night Trains" })).await;
    let concert = concert.is(201).text("concertId").to_owned();
    let sections = json!([
        { "name": "Floor", "rows": ["A", "B"], "seatsPerRow": 3, "price": 9_000 },
        { "name": "Side", "rows": ["A"], "seatsPerRow": 2, "firstNumber": 4, "price": 4_000 },
    ]);
    let body = json!({
        "concertId": concert, "room": "main", "venue": "The Shed", "startsAt": "2099-03-01T19:00:00Z",
        "sections": sections,
    });
    let made = ask(&service, Method::POST, "/admin/schedules", &body).await;
    assert_eq!((&made.is(201).body["seats"], made.text("title")), (&json!(8), "Night Trains"));
    let id: i64 = made.text("scheduleId").parse().unwrap();
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, id, "A5").await;
    assert_eq!(held.is(200).body["amount"], 4_000);
    service.pay(&visitor, &held).await.is(200);

    let put = async |change: Value| {
        let mut body = json!({
            "scheduleId": id, "concertId": concert, "room": "main", "venue": "The Barn",
            "startsAt": "2099-03-02T19:00:00Z",
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ask(&service, Method::PUT, "/admin/schedules", &body).await
    };
    assert_eq!(put(json!({})).await.is(200).body["seats"], 8, "no plan given: the seats stay");
    let mut dearer = sections.clone();
    dearer[0]["price"] = json!(10_000);
    dearer
        .as_array_mut()
        .unwrap()
        .insert(0, json!({ "name": "Box", "rows": ["Z"], "seatsPerRow": 1, "price": 50_000 }));
    assert_eq!(put(json!({ "sections": dearer })).await.is(200).body["seats"], 9);
    let seats = service.get(&format!("/reservations/available/seat?scheduleId={id}"), &visitor).await;
    assert_eq!((&seats.body["seats"][0]["seatId"], &seats.body["seats"][1]["price"]), (&json!("Z1"), &json!(10_000)));
    let fewer = put(json!({ "sections": [sections[0]] })).await;
    assert!(fewer.refused(422, "validation-failed").text("detail").contains("Z1"), "{:?}", fewer.body);

    let dates = format!("/reservations/available/dates?concertId={concert}");
    let before = service.get(&dates, &visitor).await;
    assert_eq!(before.is(200).body["dates"][0]["title"], "Night Trains");
    let renamed = json!({ "concertId": concert, "title": "Day Trains" });
    ask(&service, Method::PUT, "/admin/concerts", &renamed).await.is(200);
    let dates = service.get(&dates, &visitor).await;
    let date = &dates.is(200).body["dates"][0];
    assert_eq!(
        (&date["title"], &date["venue"], &date["totalSeats"]),
        (&json!("Day Trains"), &json!("The Barn"), &json!(9))
    );
    assert_eq!(look(&service, "/admin/concerts").await.is(200).body["concerts"][0]["title"], "Day Trains");
    assert_eq!(look(&service, "/admin/schedules").await.is(200).body["schedules"][0]["venue"], "The Barn");
    assert_eq!(service.number("select count(*) from audit_log where action like 'put-%'").await, 5);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_programme_that_cannot_be_is_refused() {
    let service = TestService::start(&[]).await;
    let good = json!({
        "concertId": 1, "room": "main", "venue": "The Shed", "startsAt": "2099-03-01T19:00:00Z",
        "sections": [{ "name": "Floor", "rows": ["A"], "seatsPerRow": 2, "price": 100 }],
    });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let section = |change: Value| {
        let mut body = good.clone();
        body["sections"][0].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (body, field) in [
        (with("concertId", json!(77)), "concertId"),
        (with("concertId", json!("x")), "concertId"),
        (with("room", json!("nowhere")), "room"),
        (with("room", json!("No Room")), "room"),
        (with("venue", json!(" ")), "venue"),
        (with("venue", json!("\u{0}")), "venue"),
        (with("startsAt", json!("soon")), "startsAt"),
        (with("sections", json!([])), "sections"),
        (with("sections", json!(null)), "sections"),
        (section(json!({ "price": 0 })), "sections"),
        (section(json!({ "rows": ["A", "A"] })), "sections"),
        (section(json!({ "rows": ["a row"] })), "sections"),
        (section(json!({ "seatsPerRow": 60_000 })), "sections"),
    ] {
        let refused = ask(&service, Method::POST, "/admin/schedules", &body).await;
        let told = refused.refused(422, "validation-failed").body["errors"][0]["field"].as_str().unwrap().to_owned();
        assert!(told.starts_with(field), "{body}: {told}");
    }
    for (body, field) in [
        (json!({ "title": "" }), "title"),
        (json!({ "title": "x".repeat(301) }), "title"),
        (json!({}), "title"),
        (json!({ "title": "x", "reason": "x".repeat(501) }), "reason"),
    ] {
        let refused = ask(&service, Method::POST, "/admin/concerts", &body).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], field);
    }
    for id in [json!(null), json!(123_456), json!(0), json!("x")] {
        let body = json!({ "title": "x", "concertId": id });
        let refused = ask(&service, Method::PUT, "/admin/concerts", &body).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], "concertId");
    }
    for id in [json!(null), json!(123_456)] {
        let refused = ask(&service, Method::PUT, "/admin/schedules", &with("scheduleId", id)).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], "scheduleId");
    }
    ask(&service, Method::PUT, "/admin/schedules", &with("scheduleId", json!("777"))).await.is(200);
    assert_eq!(service.number("select count(*) from audit_log").await, 1, "refused changes are no changes");
}

#[test]
fn the_language_is_the_one_that_is_wanted_most_among_ours() {
    for (accepted, wanted) in [
        ("ko", Some(Language::Ko)),
        ("ja-JP,ja;q=0.9,en;q=0.8", Some(Language::Ja)),
        ("de, en-GB;q=0.5, KO;q=0.7", Some(Language::Ko)),
        ("en;q=0, ja;q=0.1", Some(Language::Ja)),
        ("en,ko", Some(Language::En)),
        ("de,*", None),
        ("ko;q=x", None),
        ("", None),
    ] {
        assert_eq!(Language::wanted(accepted), wanted, "{accepted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_told_in_their_language_and_the_line_is_as_long_as_the_memory_allows() {
    let service = TestService::start(&[]).await;
    let messages = json!({ "ko": "곧 열립니다", "ja": "まもなく" });
    service.set_room(&json!({ "capacity": 0, "message": "Soon", "messages": messages })).await;
    let token = service.token(1).await;
    for (language, told) in [("ko-KR", "곧 열립니다"), ("ja", "まもなく"), ("en", "Soon")] {
        let place = until(async || {
            let request = service.request(Method::GET, "/queue/position", &token).header("accept-language", language);
            let place = service.send(request).await;
            (place.is(200).body["message"] == told).then_some(())
        });
        place.await;
    }
    let room = until(async || {
        let room = service.get("/queue/rooms/main", "").await;
        (room.body["messages"] == messages).then_some(room)
    });
    assert_eq!(room.await.text("message"), "Soon");
    let long = service.patch_room("main", &json!({ "messages": { "ko": "x".repeat(501) } })).await;
    assert_eq!(long.refused(422, "validation-failed").body["errors"][0]["field"], "messages");
    let limit = look(&service, "/admin/rooms/main").await.body["lineLimit"].as_i64().unwrap();
    assert!((100_000..=5_000_000).contains(&limit), "{limit}");
}
