//! Who says that they come by phone: their place is kept for longer, and the page says for how long.

use deadpool_redis::redis;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Method};
use serde_json::json;

use crate::support::TestService;
use crate::support::service::PASSWORD;

const IPHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36";

fn says(agent: &str, hint: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_str(agent).unwrap());
    if let Some(hint) = hint {
        headers.insert(HeaderName::from_static("sec-ch-ua-mobile"), HeaderValue::from_str(hint).unwrap());
    }
    headers
}

/// Whether Redis remembers that an account came by phone.
fn is_phone(service: &TestService, user: &str) -> bool {
    let mut redis = redis::Client::open(service.redis_url.as_str()).unwrap().get_connection().unwrap();
    let score: Option<f64> = redis::cmd("ZSCORE").arg("anteroom:{main}:phones").arg(user).query(&mut redis).unwrap();
    score.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_it_is_a_phone_is_remembered_until_its_place_ends() {
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    for (number, headers, phone) in [
        (1, says(IPHONE, None), true),
        (2, says(DESKTOP, None), false),
        (3, says(DESKTOP, Some("?1")), true),
        (4, says(IPHONE, Some("?0")), false),
    ] {
        let user = anteroom::cli::seed::user_name(number);
        let body = json!({ "username": user, "password": PASSWORD });
        let joins = Client::new().post(format!("{}/auth/token", service.url)).headers(headers.clone()).json(&body);
        let place = service.send(joins).await;
        assert_eq!((place.is(200).text("status"), is_phone(&service, &user)), ("waiting", phone), "{headers:?}");
        service.delete("/queue/position", place.text("token")).await.is(204);
        assert!(!is_phone(&service, &user), "it is forgotten with the place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_for_how_long_the_place_of_this_browser_is_kept() {
    let service = TestService::start(&[]).await;
    let page = async |agent: &str, language: &str| {
        let asked = Client::new().get(format!("{}/wait/main?lang={language}", service.url)).headers(says(agent, None));
        asked.send().await.unwrap().text().await.unwrap()
    };
    let shown = async |agent: &str, words: &str| {
        crate::support::contract::until(async || page(agent, "ko").await.contains(words).then_some(())).await;
    };
    shown(DESKTOP, "5분 안에 돌아오면").await;
    shown(IPHONE, "15분 안에 돌아오면").await;
    service.set_room(&json!({ "graceSeconds": 45, "phoneGraceSeconds": 150 })).await;
    shown(DESKTOP, "45초 안에 돌아오면").await;
    shown(IPHONE, "2분 안에 돌아오면").await;
    let refused =
        service.send(service.admin(Method::PATCH, "/admin/rooms/main").json(&json!({ "phoneGraceSeconds": -1 })));
    assert_eq!(refused.await.refused(422, "validation-failed").body["errors"][0]["field"], "phoneGraceSeconds");
}
