//! The draw: a number before the opening is luck that anyone can check, and after it a place like any other.

use std::collections::HashMap;

use anteroom::cli::seed;
use anteroom::ids::UserId;
use anteroom::queue::draw::proof::{self, DrawList, Flaw};
use deadpool_redis::redis;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::{Answer, PASSWORD, claims_of};

const SEED: [u8; 32] = [7; 32];

/// A list of so many, as a service would publish it, and the visitors in the order in which they came.
fn drawn(count: usize, beacon: Option<(&str, &str)>) -> (DrawList, Vec<String>) {
    let tickets: Vec<_> = (0..count)
        .map(|n| proof::ticket(&UserId::parse(&format!("user{n:06}")).unwrap(), &format!("{:032x}", n * 7_919)))
        .collect();
    let key = proof::key(&SEED, beacon.map(|(_, value)| value));
    let mut order = tickets.clone();
    order.sort_by_cached_key(|ticket| proof::number(&key, ticket));
    let list = DrawList {
        room: "main".to_owned(),
        commitment: proof::commitment(&SEED, beacon.map(|(name, _)| name)),
        beacon: beacon.map(|(name, _)| name.to_owned()),
        beacon_value: beacon.map(|(_, value)| value.to_owned()),
        seed: Some(proof::hex(&SEED)),
        opens_at: "2099-01-01T00:00:00.000Z".to_owned(),
        count: Some(count as u64),
        tickets: order,
    };
    (list, tickets)
}

/// Kendall's tau of two orders: 1 − 4 · inversions / (n · (n − 1)), the inversions counted by merging.
#[expect(clippy::cast_precision_loss, reason = "pairs of 100,000 are far below 2^53")]
fn tau(ranks: &[usize]) -> f64 {
    fn inversions(ranks: &mut Vec<usize>) -> u64 {
        if ranks.len() < 2 {
            return 0;
        }
        let mut right = ranks.split_off(ranks.len() / 2);
        let mut found = inversions(ranks) + inversions(&mut right);
        let left = std::mem::take(ranks);
        let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
        while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
            if one <= other {
                ranks.extend(left.next());
            } else {
                found += left.len() as u64;
                ranks.extend(right.next());
            }
        }
        ranks.extend(left.chain(right));
        found
    }
    let pairs = ranks.len() as f64 * (ranks.len() as f64 - 1.0) / 2.0;
    1.0 - 2.0 * inversions(&mut ranks.to_vec()) as f64 / pairs
}

#[test]
fn a_hundred_thousand_are_drawn_independently_of_when_they_came_and_one_other_bit_is_seen() {
    for beacon in [None, Some(("drand quicknet round 4000000", "c0ffee"))] {
        let (list, arrivals) = drawn(100_000, beacon);
        list.verify(Some(&list.commitment)).unwrap();
        let places: HashMap<_, _> = list.tickets.iter().enumerate().map(|(place, ticket)| (ticket, place)).collect();
        let ranks: Vec<_> = arrivals.iter().map(|ticket| places[ticket]).collect();
        let correlation = tau(&ranks);
        println!("tau of arrival and place among 100000: {correlation:.5}");
        assert!(correlation.abs() < 0.02, "arrival and place are correlated: {correlation}");
        for bit in [0, 100, 255] {
            let mut seed = SEED;
            seed[bit / 8] ^= 1 << (bit % 8);
            let mut forged = DrawList { seed: Some(proof::hex(&seed)), ..list.clone() };
            assert_eq!(forged.verify(None), Err(Flaw::OtherSeed));
            forged.commitment = proof::commitment(&seed, forged.beacon.as_deref());
            assert!(matches!(forged.verify(None), Err(Flaw::Disorder { .. })), "another seed gives another order");
            assert_eq!(forged.verify(Some(&list.commitment)), Err(Flaw::OtherCommitment));
        }
    }
    assert!((tau(&[0, 1, 2, 3]) - 1.0).abs() < 1e-9 && (tau(&[3, 2, 1, 0]) + 1.0).abs() < 1e-9);
}

#[test]
fn every_change_of_a_list_is_seen() {
    let (list, _) = drawn(1_000, Some(("a beacon", "its value")));
    list.verify(None).unwrap();
    let changed = |change: &dyn Fn(&mut DrawList)| {
        let mut other = list.clone();
        change(&mut other);
        other.verify(None)
    };
    assert_eq!(changed(&|list| list.tickets.swap(10, 11)), Err(Flaw::Disorder { place: 12 }));
    assert!(changed(&|list| drop(list.tickets.remove(5))).is_err());
    assert_eq!(changed(&|list| list.tickets[7] = list.tickets[6].clone()), Err(Flaw::Twice { place: 8 }));
    assert!(matches!(changed(&|list| list.tickets[3] = "x".repeat(64)), Err(Flaw::Unreadable(_))));
    assert_eq!(changed(&|list| list.beacon_value = None), Err(Flaw::NoBeaconValue));
    assert_eq!(changed(&|list| list.beacon = Some("another".to_owned())), Err(Flaw::OtherSeed));
    assert!(matches!(changed(&|list| list.beacon_value = Some("another".to_owned())), Err(Flaw::Disorder { .. })));
    assert_eq!(changed(&|list| list.seed = None), Err(Flaw::Unfinished));
    assert_eq!(changed(&|list| list.count = None), Err(Flaw::Unfinished));
    let later = changed(&|list| list.tickets.push("0".repeat(64)));
    assert!(matches!(later, Err(Flaw::Count { said: 1_000, has: 1_001 })));
}

/// The formulas of `docs/draw.md`, with values that any other program gives too.
#[test]
fn the_formulas_are_those_that_are_published() {
    let user = UserId::parse("user00001").unwrap();
    let ticket = proof::ticket(&user, "00112233445566778899aabbccddeeff");
    assert_eq!(ticket, "7e6164f5d03803308c7c1d628abb8f1e6271923cc405ebd7787fcd58cd7730b3");
    assert_eq!(proof::commitment(&SEED, None), "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0");
    let number = proof::number(&proof::key(&SEED, None), &ticket);
    assert_eq!(number.0, -3_948_806_786_969_203);
    assert_eq!(proof::unhex(&proof::hex(&SEED)), Some(SEED));
}

/// A service whose room `main` draws and opens far away.
async fn drawing(login_wait_ms: &str, extra: Value) -> (TestService, Answer) {
    let service = TestService::start(&[("login_wait_ms", login_wait_ms)]).await;
    let mut change = json!({ "draw": true, "opensAt": "2099-01-01T00:00:00Z", "capacity": 0 });
    change.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let room = service.patch_room("main", &change).await;
    room.is(200);
    (service, room)
}

async fn public(service: &TestService) -> Value {
    service.get("/queue/rooms/main", "").await.is(200).body["draw"].clone()
}

/// The whole list, page by page, once it is complete.
async fn whole_list(service: &TestService) -> DrawList {
    let first = until(async || {
        let page = service.get("/queue/rooms/main/draw", "").await.is(200).body.clone();
        page["count"].is_u64().then_some(page)
    });
    let mut list: DrawList = serde_json::from_value(first.await).unwrap();
    let count = list.count.unwrap();
    for page in 1..count.div_ceil(1_000) {
        let more = service.get(&format!("/queue/rooms/main/draw?page={page}"), "").await;
        list.tickets.extend(serde_json::from_value::<DrawList>(more.is(200).body.clone()).unwrap().tickets);
    }
    let beyond = format!("/queue/rooms/main/draw?page={}", count.div_ceil(1_000).max(1));
    service.get(&beyond, "").await.refused(404, "no-draw");
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_before_the_opening_is_drawn_and_who_comes_later_stands_behind() {
    let (service, room) = drawing("15000", json!({})).await;
    let commitment = room.text("drawCommitment").to_owned();
    let before = public(&service).await;
    assert_eq!((before["commitment"].as_str(), &before["seed"]), (Some(commitment.as_str()), &json!(null)));
    let (mut tokens, mut lots) = (Vec::new(), Vec::new());
    for number in 1..=12 {
        let token = service.token(number).await;
        let place = service.until(&token, "scheduled").await;
        assert!(place["position"].is_null() && place["eta"].is_null(), "nobody knows their place yet: {place}");
        let lot = service.get("/queue/draw", &token).await;
        lot.is(200).has(&["room", "userId", "secret", "ticket", "commitment"]);
        assert_eq!(lot.text("commitment"), commitment);
        let user = UserId::parse(lot.text("userId")).unwrap();
        assert_eq!(proof::ticket(&user, lot.text("secret")), lot.text("ticket"), "the ticket is bound to the account");
        lots.push(lot.text("ticket").to_owned());
        let told = claims_of(&token);
        assert_eq!((told.number, told.draw.as_ref()), (None, Some(&commitment)), "anyone can read a token");
        tokens.push(token);
    }
    let again = service.log_in("user00001", PASSWORD).await;
    assert_eq!((again.is(200).text("status"), &again.body["position"]), ("scheduled", &json!(null)));
    let list = service.get("/queue/rooms/main/draw", "").await;
    assert_eq!(
        (&list.is(200).body["seed"], &list.body["tickets"]),
        (&json!(null), &json!([])),
        "not before the opening"
    );

    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    until(async || (service.get("/queue/rooms/main", "").await.body["state"] == "open").then_some(())).await;
    let late = service.log_in("user00020", PASSWORD).await;
    assert_eq!(late.is(200).body["position"], 13, "late comers stand behind: {:?}", late.body);
    let list = whole_list(&service).await;
    list.verify(Some(&commitment)).unwrap();
    let mut sorted = lots.clone();
    sorted.sort_by_key(|ticket| list.place_of(ticket).unwrap());
    assert_eq!(list.tickets, sorted);
    for (token, ticket) in tokens.iter().zip(&lots) {
        let place = service.until(token, "waiting").await;
        assert_eq!(place["position"], list.place_of(ticket).unwrap(), "the place in line is the place in the list");
    }
    let key = proof::key(&proof::unhex(list.seed.as_ref().unwrap()).unwrap(), None);
    let told = service.send(service.admin(Method::GET, "/admin/rooms/main/places/user00001")).await;
    assert_eq!(told.is(200).body["number"], proof::number(&key, &lots[0]).0);
    let operators = service.send(service.admin(Method::GET, "/admin/rooms/main/draw")).await;
    assert_eq!(operators.is(200).body["tickets"], json!(list.tickets));
    let late_lot = service.get("/queue/draw", late.text("token")).await;
    assert_eq!(list.place_of(late_lot.is(200).text("ticket")), None, "who came later is not in the list");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_tells_what_was_drawn_and_each_brings_its_account_back_to_that_place() {
    let (service, room) = drawing("0", json!({})).await;
    let commitment = room.text("drawCommitment").to_owned();
    let mut tokens = Vec::new();
    for number in 1..=6 {
        let attempt = service.log_in(&seed::user_name(number), PASSWORD).await;
        let told = claims_of(attempt.is(200).text("token"));
        assert_eq!((told.number, told.draw.as_ref()), (None, Some(&commitment)), "of an account that it may not be");
        tokens.push(attempt.text("token").to_owned());
    }
    for token in &mut tokens {
        let renewed = until(async || {
            Some(service.get("/queue/position", token).await.body).filter(|place| place["token"].is_string())
        });
        *token = renewed.await["token"].as_str().unwrap().to_owned();
        assert_eq!((claims_of(token).number, claims_of(token).draw.as_ref()), (None, Some(&commitment)));
    }
    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    let places = async |epoch: u64| {
        let places = join_all(tokens.iter().map(|token| service.get("/queue/position", token))).await;
        let known = |place: &Answer| place.body["position"].as_u64().filter(|_| place.body["epoch"] == epoch);
        places.iter().map(known).collect::<Option<Vec<_>>>()
    };
    let before = until(async || places(1).await).await;
    let mut sorted = before.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 3, 4, 5, 6]);
    let mut redis = redis::Client::open(service.redis_url.as_str()).unwrap().get_connection().unwrap();
    redis::cmd("FLUSHDB").exec(&mut redis).unwrap();
    assert_eq!(until(async || places(2).await).await, before, "everyone is back where the draw put them");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_with_a_beacon_waits_for_its_value_and_depends_on_it() {
    let (service, room) = drawing("15000", json!({ "drawBeacon": "drand round 9" })).await;
    let commitment = room.text("drawCommitment").to_owned();
    service.log_in("user00001", PASSWORD).await.refused(409, "room-closed");
    for (wrong, field) in [
        (json!({ "drawBeaconValue": "" }), "drawBeaconValue"),
        (json!({ "drawBeaconValue": "x".repeat(501) }), "drawBeaconValue"),
        (json!({ "drawBeacon": "" }), "drawBeacon"),
        (json!({ "drawBeacon": "another", "drawBeaconValue": "known before" }), "drawBeaconValue"),
        (json!({ "opensAt": null }), "opensAt"),
    ] {
        let refused = service.patch_room("main", &wrong).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], field, "{wrong}");
    }
    service.patch_room("main", &json!({ "drawBeaconValue": "b33f" })).await.is(200);
    service.patch_room("main", &json!({ "drawBeaconValue": "b33f" })).await.is(200);
    service.patch_room("main", &json!({ "drawBeaconValue": "c0de" })).await.refused(422, "validation-failed");
    for number in 1..=5 {
        service.token(number).await;
    }
    assert_eq!(public(&service).await["beaconValue"], "b33f");
    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    let mut list = whole_list(&service).await;
    list.verify(Some(&commitment)).unwrap();
    assert_eq!(list.tickets.len(), 5);
    list.beacon = Some("drand round 10".to_owned());
    assert_eq!(list.verify(None), Err(Flaw::OtherSeed), "the commitment holds the beacon too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_is_decided_while_nobody_is_in_line_and_a_told_seed_draws_no_more() {
    let service = TestService::start(&[]).await;
    let refused = async |change: Value, field: &str| {
        let refused = service.patch_room("main", &change).await;
        assert_eq!(refused.refused(422, "validation-failed").body["errors"][0]["field"], field, "{change}");
    };
    refused(json!({ "draw": true }), "opensAt").await;
    refused(json!({ "draw": true, "opensAt": "2020-01-01T00:00:00Z" }), "opensAt").await;
    refused(json!({ "drawBeacon": "x" }), "drawBeacon").await;
    service.get("/queue/rooms/main/draw", "").await.refused(404, "no-draw");
    service.get("/queue/rooms/nowhere/draw", "").await.refused(404, "unknown-room");
    service.get("/queue/rooms/main/draw?page=x", "").await.refused(422, "validation-failed");
    let future = json!({ "draw": true, "opensAt": "2099-01-01T00:00:00Z", "capacity": 0 });
    let first = service.patch_room("main", &future).await.is(200).text("drawCommitment").to_owned();
    service.patch_room("main", &json!({ "draw": false })).await.is(200);
    service.patch_room("main", &json!({ "opensAt": null })).await.is(200);
    let token = service.token(1).await;
    service.get("/queue/draw", &token).await.refused(404, "no-draw");
    refused(future.clone(), "draw").await;
    service.delete("/queue/position", &token).await.is(204);
    let second = service.patch_room("main", &future).await.is(200).text("drawCommitment").to_owned();
    assert_ne!(first, second, "each draw has a seed of its own");

    service.token(1).await;
    refused(json!({ "draw": false }), "draw").await;
    refused(json!({ "drawBeacon": "later" }), "draw").await;
    let postponed = service.patch_room("main", &json!({ "opensAt": "2099-01-02T00:00:00Z" })).await;
    assert_eq!(postponed.is(200).text("drawCommitment"), second, "postponed, it is the same draw");
    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(whole_list(&service).await.tickets.len(), 1);
    refused(json!({ "opensAt": "2099-01-01T00:00:00Z" }), "draw").await;
    service.set_room(&json!({ "capacity": 1 })).await;
    let inside = service.token(1).await;
    service.until(&inside, "active").await;
    let third = service.patch_room("main", &json!({ "opensAt": "2099-01-01T00:00:00Z" })).await;
    assert_ne!(third.is(200).text("drawCommitment"), second, "a told seed draws no more");
    service.token(2).await;
    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    let list = whole_list(&service).await;
    list.verify(third.body["drawCommitment"].as_str()).unwrap();
    assert_eq!(list.tickets.len(), 1, "who drew before is not in the new list");
    let kept = service.number("select count(*) from draw_pages").await;
    assert_eq!(kept, 2, "the earlier list stays");
}

/// Puts so many people into the draw of `main`, as the scripts would.
fn crowd(service: &TestService, ticket_key: &[u8], seed: &[u8; 32], people: usize) -> Vec<String> {
    let key = proof::key(seed, None);
    let secrets = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, ticket_key);
    let mut connection = redis::Client::open(service.redis_url.as_str()).unwrap().get_connection().unwrap();
    let (mut tickets, mut pipe) = (Vec::with_capacity(people), redis::pipe());
    for n in 0..people {
        let user = UserId::parse(&format!("crowd{n:06}")).unwrap();
        let secret = proof::hex(&aws_lc_rs::hmac::sign(&secrets, user.as_str().as_bytes()).as_ref()[..16]);
        let ticket = proof::ticket(&user, &secret);
        let number = proof::number(&key, &ticket).0;
        for line in ["waiting", "drawn"] {
            pipe.cmd("ZADD").arg(format!("anteroom:{{main}}:{line}")).arg(number).arg(user.as_str()).ignore();
        }
        pipe.cmd("HINCRBY").arg("anteroom:{main}:room").arg("joined").arg(1).ignore();
        tickets.push(ticket);
        if n % 1_000 == 999 || n + 1 == people {
            pipe.query::<()>(&mut connection).unwrap();
            pipe.clear();
        }
    }
    tickets
}

/// With `DRAW_PEOPLE=100000` as large as a sale; fewer where every change is tested.
#[tokio::test(flavor = "multi_thread")]
async fn the_published_list_of_a_crowd_proves_the_order_of_the_line() {
    let people = std::env::var("DRAW_PEOPLE").map_or(10_000, |people| people.parse().unwrap());
    let (service, room) = drawing("15000", json!({})).await;
    let commitment = room.text("drawCommitment").to_owned();
    let seed = service.text("select encode(seed, 'hex') from rooms where name = 'main'").await;
    let seed = proof::unhex(&seed).unwrap();
    let ticket_key = service.text("select encode(draw_ticket_key, 'hex') from rooms where name = 'main'").await;
    let ticket_key = proof::unhex(&ticket_key).unwrap();
    let arrivals = crowd(&service, &ticket_key, &seed, people);
    service.set_room(&json!({ "opensAt": "2020-01-01T00:00:00Z" })).await;
    let list = whole_list(&service).await;
    list.verify(Some(&commitment)).unwrap();
    assert_eq!(list.tickets.len(), people);
    assert!(list.seed == Some(proof::hex(&seed)) && !serde_json::to_string(&list).unwrap().contains("crowd"));

    let line: Vec<String> =
        redis::from_redis_value(service.redis(&["ZRANGE", "anteroom:{main}:waiting", "0", "-1"])).unwrap();
    let number = |user: &String| user.trim_start_matches("crowd").parse::<usize>().unwrap();
    assert!(line.iter().zip(&list.tickets).all(|(user, ticket)| arrivals[number(user)] == *ticket));
    let correlation = tau(&line.iter().map(number).collect::<Vec<_>>());
    println!("tau of arrival and place among {people}: {correlation:.5}");
    let most = if people >= 100_000 { 0.02 } else { 0.05 };
    assert!(correlation.abs() < most, "arrival and place are correlated: {correlation}");
    let mut forged = list.clone();
    let mut bits = seed;
    bits[31] ^= 1;
    forged.seed = Some(proof::hex(&bits));
    assert_eq!(forged.verify(None), Err(Flaw::OtherSeed));
}
