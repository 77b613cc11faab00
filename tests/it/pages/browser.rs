//! A browser as far as the service can tell.

use reqwest::header::{ACCEPT_LANGUAGE, COOKIE, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;

use crate::support::TestService;
use crate::support::service::PASSWORD;

/// Someone's browser: it keeps its cookie, and follows nothing by itself.
pub(super) struct Browser<'a> {
    service: &'a TestService,
    pub(super) client: Client,
    pub(super) cookie: String,
}

impl<'a> Browser<'a> {
    pub(super) fn new(service: &'a TestService) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { service, client, cookie: String::new() }
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.service.url));
        request.header(COOKIE, &self.cookie).header(ACCEPT_LANGUAGE, "en").header("sec-fetch-site", "same-origin")
    }

    pub(super) async fn send(&mut self, request: RequestBuilder) -> Response {
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        answer
    }

    pub(super) async fn post(&mut self, path: &str, form: &str) -> Response {
        let form_type = "application/x-www-form-urlencoded";
        let request = self.request(Method::POST, path).header("content-type", form_type).body(form.to_owned());
        self.send(request).await
    }

    pub(super) async fn page(&mut self, path: &str) -> String {
        let request = self.request(Method::GET, path);
        self.send(request).await.text().await.unwrap()
    }

    pub(super) async fn now(&mut self) -> Value {
        let request = self.request(Method::GET, "/wait/main/now");
        serde_json::from_str(&self.send(request).await.text().await.unwrap()).unwrap()
    }

    /// Joins by the form, and asks until the password is checked and the page shows this.
    pub(super) async fn join(&mut self, user: &str, view: &str) {
        let joined = self.post("/wait/main", &format!("username={user}&password={PASSWORD}")).await;
        assert_eq!(joined.status(), StatusCode::SEE_OTHER);
        loop {
            let now = self.now().await;
            if now["view"] == view {
                return;
            }
            assert!(["verifying", "waiting", "almost"].contains(&now["view"].as_str().unwrap()), "{now}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// The state that a page was made for.
pub(super) fn view(page: &str) -> &str {
    page.split("data-view=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{page}"))
}
