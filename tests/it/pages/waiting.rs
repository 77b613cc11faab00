//! The waiting page.

use std::io::Read;

use reqwest::header::{ACCEPT_ENCODING, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::browser::{Browser, view};
use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::PASSWORD;

/// What one answer may weigh: a page must arrive on a crowded network too.
const MOST_BYTES: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_joins_waits_and_leaves_with_forms_alone() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let mut browser = Browser::new(&service);
    assert_eq!(view(&browser.page("/wait/main").await), "door");
    let joined = browser.post("/wait/main?return=%2Fshop", &format!("username=user00001&password={PASSWORD}")).await;
    assert_eq!(
        (joined.status(), &joined.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/wait/main?return=%2Fshop".parse().unwrap())
    );
    let cookie = joined.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("anteroom_token=") && cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
    browser.join("user00001", "almost").await;
    let page = browser.page("/wait/main").await;
    assert_eq!(view(&page), "almost");
    assert!(page.contains("No. 1 in line · main") && page.contains("http-equiv=\"refresh\""), "{page}");
    assert!(page.contains("main/user00001/1."), "the support code names room, account, epoch and number");
    let token = browser.cookie.trim_start_matches("anteroom_token=").to_owned();
    assert!(!page.contains(&token), "no script can read the token");

    let by_cookie = browser.request(Method::GET, "/queue/position");
    assert_eq!(browser.send(by_cookie).await.status(), StatusCode::OK, "the interface takes the cookie as well");
    let left = browser.post("/wait/main/leave", "").await;
    assert_eq!(left.status(), StatusCode::SEE_OTHER);
    let page = browser.page("/wait/main").await;
    assert!(view(&page) == "left" && page.contains("action=\"/wait/main/again\""), "{page}");
    browser.post("/wait/main/again", "").await;
    assert_eq!(browser.now().await["view"], "almost");
    service.set_room(&json!({ "capacity": 10 })).await;
    service.until(&token, "active").await;
    let page = browser.page("/wait/main?return=%2Fshop%3Fa%3D1").await;
    assert!(view(&page) == "admitted" && page.contains("id=\"enter\" href=\"/shop?a=1\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_small_whole_and_runs_nothing_but_itself() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0, "message": "</script><b>&" })).await;
    until(async || service.get("/queue/rooms/main", "").await.body["message"].is_string().then_some(())).await;
    let mut browser = Browser::new(&service);
    browser.join("user00001", "almost").await;
    let mut nonces = Vec::new();
    for language in ["ko", "en", "ja"] {
        let request = browser.request(Method::GET, &format!("/wait/main?lang={language}"));
        let answer = request.header(ACCEPT_ENCODING, "br, gzip").send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let bytes = answer.bytes().await.unwrap();
        assert!(bytes.len() <= MOST_BYTES, "{language}: {} bytes", bytes.len());
        let mut page = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut page).unwrap();
        assert!(page.contains(&format!("<html lang=\"{language}\">")));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" style="), "{page}");
        assert!(!page.contains("</script><b>") && !page.contains("<b>&"), "what operators say is text");
        let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "one style, one script");
        nonces.push(nonce.to_owned());
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 3);
    let plain = browser.request(Method::GET, "/wait/main").header(ACCEPT_ENCODING, "gzip;q=0").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_of_the_room_has_its_page() {
    let service = TestService::start(&[]).await;
    let mut browser = Browser::new(&service);
    service.set_room(&json!({ "capacity": 0 })).await;
    browser.join("user00001", "almost").await;
    let mut outside = Browser::new(&service);
    for (change, inside, door) in [
        (json!({ "state": "paused" }), "paused", "door"),
        (json!({ "state": "closed" }), "closed", "closed"),
        (json!({ "state": "draining" }), "almost", "closed"),
        (json!({ "state": "open", "opensAt": "2999-01-01T00:00:00Z" }), "scheduled", "soon"),
        (json!({ "opensAt": null }), "almost", "door"),
    ] {
        service.set_room(&change).await;
        until(async || {
            let page = outside.request(Method::GET, "/wait/main").send().await.unwrap().text().await.unwrap();
            let told = browser.request(Method::GET, "/wait/main").send().await.unwrap().text().await.unwrap();
            (view(&page) == door && view(&told) == inside).then_some(())
        })
        .await;
    }
    let unknown = outside.request(Method::GET, "/wait/nowhere");
    assert_eq!(outside.send(unknown).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_room_that_draws_says_so_with_its_commitment() {
    let service = TestService::start(&[]).await;
    let outside = Browser::new(&service);
    let page = async || outside.request(Method::GET, "/wait/main?lang=en").send().await.unwrap().text().await.unwrap();
    let first_come = "Places are given in the order in which people come.";
    assert!(page().await.contains(first_come));
    let room = service.set_room(&json!({ "draw": true, "opensAt": "2999-01-01T00:00:00Z" })).await;
    let commitment = room["drawCommitment"].as_str().unwrap();
    until(async || page().await.contains(commitment).then_some(())).await;
    assert!(!page().await.contains(first_come));
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_told_when_nothing_is_left() {
    let service = TestService::start(&[]).await;
    service.other_room().await;
    let buyer = service.token_for("user00001", PASSWORD, "other").await;
    let token = until(async || {
        let place = service.token_for("user00001", PASSWORD, "other").await;
        (place.body["status"] == "active").then(|| place.text("token").to_owned())
    });
    assert_eq!(buyer.status, StatusCode::OK);
    let token = token.await;
    let outside = Browser::new(&service);
    let look = async || outside.request(Method::GET, "/wait/other").send().await.unwrap().text().await.unwrap();
    for seat in ["A1", "A2"] {
        assert_eq!(view(&look().await), "door");
        let held = service.hold(&token, 1, seat).await;
        service.pay(&token, &held).await.is(200);
    }
    until(async || (view(&look().await) == "soldout").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_said_on_the_page() {
    let service = TestService::start(&[]).await;
    let mut browser = Browser::new(&service);
    for form in
        ["username=user00001&password=wrong-password", "username=%00&password=x", "username=nobody&password=%00"]
    {
        let answer = browser.post("/wait/main?lang=ja", form).await;
        // A check that takes long is answered as an attempt, and refused when it is asked for.
        let page = match answer.status() {
            StatusCode::SEE_OTHER => {
                until(async || {
                    let page =
                        browser.request(Method::GET, "/wait/main?lang=ja").send().await.unwrap().text().await.unwrap();
                    (view(&page) == "door").then_some(page)
                })
                .await
            }
            status => {
                assert_eq!(status, StatusCode::UNAUTHORIZED);
                answer.text().await.unwrap()
            }
        };
        assert!(page.contains("ユーザー名またはパスワードが違います。"), "{page}");
    }
    service.set_room(&json!({ "state": "closed" })).await;
    let closed = browser.post("/wait/main", &format!("username=user00001&password={PASSWORD}")).await;
    assert_eq!(closed.status(), StatusCode::CONFLICT);
    assert!(closed.text().await.unwrap().contains("Nobody can join at the moment."));
    let json = browser.request(Method::POST, "/wait/main").json(&json!({ "username": "a", "password": "b" }));
    assert_eq!(browser.send(json).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_use_a_browsers_cookie() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let mut browser = Browser::new(&service);
    browser.join("user00001", "almost").await;
    let foreign = |method: Method, path: &str| {
        let request = browser.client.request(method, format!("{}{path}", service.url));
        request.header(COOKIE, &browser.cookie).header("content-type", "application/x-www-form-urlencoded")
    };
    for (header, value) in [("sec-fetch-site", "same-site"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
        for path in ["/wait/main", "/wait/main/again", "/wait/main/leave", "/queue/leave"] {
            let form = "username=user00002&password=x";
            let answer = foreign(Method::POST, path).header(header, value).body(form).send().await.unwrap();
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "cross-origin", "{path} {header}: {value}");
        }
        let look = foreign(Method::GET, "/wait/main").header(header, value).send().await.unwrap();
        assert_eq!(look.status(), StatusCode::OK, "a link from another site may lead here");
    }
    assert_eq!(browser.now().await["view"], "almost");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_leads_to_the_page_and_the_page_back() {
    let settings =
        [("return_hosts", "shop.example"), ("cookie_domain", "example"), ("public_url", "https://queue.example")];
    let service = TestService::start(&settings).await;
    let mut browser = Browser::new(&service);
    let asked = browser.request(Method::GET, "/queue/verify?mode=redirect");
    let asked = asked.header("x-original-url", "https://shop.example/a?b=1").send().await.unwrap();
    let page = asked.headers()[LOCATION].to_str().unwrap().to_owned();
    assert_eq!(page, "https://queue.example/wait/main?return=https%3A%2F%2Fshop.example%2Fa%3Fb%3D1");
    let path = page.trim_start_matches("https://queue.example");
    let joined = browser.post(path, &format!("username=user00001&password={PASSWORD}")).await;
    let cookie = joined.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Domain=example"), "{cookie}");
    browser.join("user00001", "admitted").await;
    assert!(browser.page(path).await.contains("href=\"https://shop.example/a?b=1\""));
    for evil in ["https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "javascript%3Aalert(1)"] {
        let page = browser.page(&format!("/wait/main?return={evil}")).await;
        assert!(!page.contains("evil") && !page.contains("alert") && page.contains("href=\"/book\""), "{page}");
    }
    let through = browser.request(Method::GET, "/queue/verify?mode=redirect").send().await.unwrap();
    assert_eq!(through.status(), StatusCode::OK);
}
