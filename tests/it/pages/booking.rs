//! The booking page.

use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::browser::{Browser, view};
use crate::support::TestService;
use crate::support::service::PASSWORD;

/// Where an answer leads.
fn leads(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[LOCATION].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_books_with_forms_alone() {
    let service = TestService::start(&[]).await;
    let mut browser = Browser::new(&service);
    let turned_away = browser.send(browser.request(Method::GET, "/book/seats/12345")).await;
    assert_eq!(leads(&turned_away), "/wait/main?return=%2Fbook%2Fseats%2F12345");
    browser.join("user00001", "admitted").await;
    let dates = browser.page("/book").await;
    assert!(dates.contains("href=\"/book/seats/12345\"") && dates.contains("1,000,000 points"), "{dates}");
    let map = browser.page("/book/seats/12345").await;
    assert!(
        map.contains("value=\"A1\" data-n=\"1\" data-price=\"5000\" data-state=\"sold\" aria-disabled=\"true\""),
        "{map}"
    );
    assert!(map.contains("<span>B2, "), "what a seat is stands inside its button");

    let held = browser.post("/book/seats/12345", "seat=B2&seat=B3&seat=B2").await;
    let reservation = leads(&held).to_owned();
    let page = browser.page(&reservation).await;
    assert!(
        page.contains("B2, B3") && page.contains("id=\"clock\"") && !page.contains("action=\"/book/points\""),
        "{page}"
    );
    let charge = format!("amount=1000&key=once&reservation={}", reservation.rsplit('/').next().unwrap());
    for _ in 0..2 {
        assert_eq!(leads(&browser.post("/book/points", &charge).await), format!("{reservation}?said=charged"));
    }
    assert!(browser.page("/book").await.contains("1,001,000 points"), "sent twice, it counts once");
    for _ in 0..2 {
        assert_eq!(leads(&browser.post(&format!("{reservation}/pay"), "").await), reservation);
    }
    let receipt = browser.page(&reservation).await;
    assert!(receipt.contains("<h1>Paid</h1>") && receipt.contains("B2, B3"), "{receipt}");
    browser.post("/wait/main/leave", "").await;
    assert!(browser.page(&reservation).await.contains("<h1>Paid</h1>"), "a receipt needs no visit");
    assert_eq!(leads(&browser.send(browser.request(Method::GET, "/book")).await), "/wait/main?return=%2Fbook");
    service.assert_invariants().await;
}

/// Red when a charge that is not decided is offered again under another key: pressed again, it would count twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_is_not_decided_is_offered_again_as_the_same_one() {
    let service = TestService::start(&[("database_statement_ms", "500")]).await;
    let account = json!({ "username": "poor", "password": PASSWORD });
    service.post_openly("/auth/users", &account).await.is(201);
    let mut browser = Browser::new(&service);
    browser.join("poor", "admitted").await;
    let reservation = leads(&browser.post("/book/seats/12345", "seat=B2").await).to_owned();
    let id = reservation.rsplit('/').next().unwrap();
    let form = format!("amount=7&key=%3Conce%26%22%3E&reservation={id}");
    let mut blocker = PgConnection::connect(&service.database_url).await.unwrap();
    for statement in ["begin", "select from accounts where user_id = 'poor' for update"] {
        blocker.execute(statement).await.unwrap();
    }
    let undecided = leads(&browser.post("/book/points", &form).await).to_owned();
    assert_eq!(undecided, format!("{reservation}?said=charge-not-known&key=%3Conce%26%22%3E&amount=7"));
    let page = browser.page(&undecided).await;
    assert!(page.contains("We do not know yet whether the points were charged."), "{page}");
    assert!(page.contains("name=\"key\" value=\"&#60;once&#38;&#34;&#62;\""), "the same key, and no markup: {page}");
    assert!(page.contains("value=\"7\" readonly"), "with another amount it would be another charge: {page}");
    let korean = "href=\"?lang=ko&#38;said=charge-not-known&#38;key=%3Conce%26%22%3E&#38;amount=7\"";
    assert!(page.contains(korean), "in another language it would be another charge: {page}");
    blocker.execute("rollback").await.unwrap();
    for _ in 0..2 {
        assert_eq!(leads(&browser.post("/book/points", &form).await), format!("{reservation}?said=charged"));
    }
    let balance = "select balance from accounts where user_id = 'poor'";
    assert_eq!(service.number(balance).await, 7, "pressed again, it counts once");
    for wrong in ["key=&amount=7", "key=a+b&amount=7", "key=once&amount=0", "key=once"] {
        let page = browser.page(&format!("{reservation}?said=charge-not-known&{wrong}")).await;
        assert!(!page.contains("readonly") && !page.contains("value=\"once\""), "{wrong}: {page}");
    }
    let other = browser.page(&format!("{reservation}?said=other&key=once&amount=7")).await;
    assert!(!other.contains("value=\"once\""), "a decided one is offered anew: {other}");
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_a_race_keeps_the_rest_of_the_choice() {
    let service = TestService::start(&[]).await;
    let rival = service.visitor(2).await;
    service.hold(&rival, 12345, "C5").await.is(200);
    let mut browser = Browser::new(&service);
    browser.join("user00001", "admitted").await;
    let lost = browser.post("/book/seats/12345", "seat=C5&seat=D1").await;
    assert_eq!(lost.status(), StatusCode::CONFLICT);
    let page = lost.text().await.unwrap();
    assert!(page.contains("Someone has just taken C5."), "{page}");
    assert_eq!(page.matches("<button class=\"quiet\" name=\"seat\"").count(), 3, "three seats nearby are offered");
    assert!(page.contains("value=\"D1\" checked"), "{page}");
    let together = browser.post("/book/seats/12345", "best=3").await;
    let reservation = leads(&together).to_owned();
    let cancelled = browser.post(&format!("{reservation}/cancel"), "").await;
    assert_eq!(leads(&cancelled), format!("{reservation}?said=cancelled"));
    let page = browser.page(&reservation).await;
    assert_eq!(page.matches("type=\"hidden\" name=\"seat\"").count(), 3, "the same seats can be had again: {page}");
    for wrong in ["", "seat=", "seat=A2&seat=A3&seat=A4&seat=A5&seat=A6", "best=5", "best=x"] {
        let refused = browser.post("/book/seats/12345", wrong).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(refused.text().await.unwrap().contains("Please choose 1 to 4 seats."));
    }
    let unknown = browser.send(browser.request(Method::GET, "/book/seats/99999")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_shows_nothing_of_others_and_nothing_of_another_room() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let rival = service.visitor(2).await;
    let held = service.hold(&rival, 12345, "C5").await;
    let theirs = format!("/book/reservations/{}", held.text("reservationId"));
    let mut browser = Browser::new(&service);
    browser.join("user00001", "admitted").await;
    for (method, path) in [
        (Method::GET, theirs.clone()),
        (Method::POST, format!("{theirs}/pay")),
        (Method::GET, "/book/seats/1".to_owned()),
        (Method::POST, "/book/seats/1".to_owned()),
    ] {
        let form = browser.request(method, &path).header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(browser.send(form.body("seat=A1")).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let foreign = browser.client.post(format!("{}/book/points", service.url));
    let foreign = foreign.header("cookie", &browser.cookie).header("sec-fetch-site", "cross-site").body("");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    service.set_room(&json!({ "capacity": 0 })).await;
    let mut late = Browser::new(&service);
    late.join("user00003", "almost").await;
    let sent = late.post("/book/seats/12345", "seat=D1").await;
    assert_eq!(leads(&sent), "/wait/main?return=%2Fbook", "a form is not sent again after waiting");
    assert_eq!(view(&late.page(leads(&sent)).await), "almost");
}
