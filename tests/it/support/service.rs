//! A running service for one test: its own database, its own numbered Redis database, and words to talk to it.

use std::sync::OnceLock;
use std::time::Duration;

use anteroom::accounts::Password;
use anteroom::cli::secrets;
use anteroom::cli::seed::{self, Demo};
use anteroom::cli::serve::Service;
use anteroom::clock;
use anteroom::config::Config;
use anteroom::store::Db;
use anteroom::store::db::Limits;
use anteroom::token::{Claims, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deadpool_redis::redis;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::{database, redis_database};

pub(crate) const ADMIN_TOKEN: &str = "the-operators-of-the-tests";

/// The password of the demo accounts `user00001` and so on.
pub(crate) const PASSWORD: &str = "test-password";

/// Demo accounts of each service, unless `TEST_USERS` says more.
const USERS: u32 = 300;

/// How many demo accounts each service has.
pub(crate) fn users() -> u32 {
    std::env::var("TEST_USERS").map_or(USERS, |users| users.parse().unwrap())
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service, with demo data, that answers.
pub(crate) struct TestService {
    pub(crate) service: Service,
    pub(crate) url: String,
    pub(crate) admin_url: String,
    pub(crate) redis_url: String,
    pub(crate) database_url: String,
    client: Client,
    settings: Vec<(String, String)>,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    /// The body; null where it is empty or no JSON.
    pub(crate) body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.json().await.unwrap_or_default();
        Self { status, headers, body }
    }

    /// The problem's code; empty where the answer is no problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl TestService {
    /// A service with the demo data, and these settings over the defaults.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::fresh(&redis_database(), &database().await, settings).await
    }

    /// A service on stores that have nothing yet but, at most, the tables.
    pub(crate) async fn fresh(redis_url: &str, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let limits = Limits { connections: 2, wait: PATIENCE, statement: PATIENCE };
        let db = Db::new(database_url, limits).unwrap();
        db.migrate().await.unwrap();
        let demo = Demo { users: users(), password: Password::parse(PASSWORD).unwrap(), schedules: 0, seats: 1 };
        seed::seed(&db, &demo).await.unwrap();
        db.close().await;
        Self::on(redis_url, database_url, settings).await
    }

    /// A service on stores that have the demo data already.
    pub(crate) async fn on(redis_url: &str, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let key_file = token_key_file().to_owned();
        let mut overrides = vec![
            ("listen".to_owned(), "127.0.0.1:0".to_owned()),
            ("admin_listen".to_owned(), "127.0.0.1:0".to_owned()),
            ("redis_url".to_owned(), redis_url.to_owned()),
            ("database_url".to_owned(), database_url.to_owned()),
            ("admin_token".to_owned(), ADMIN_TOKEN.to_owned()),
            ("token_key_file".to_owned(), key_file),
            ("database_wait_ms".to_owned(), "5000".to_owned()),
            // A busy machine checks a password late: only tests of that are told that it is being checked.
            ("login_wait_ms".to_owned(), "15000".to_owned()),
        ];
        overrides.extend(settings.iter().cloned());
        let service = Service::start(Config::load(None, &overrides).unwrap()).await.unwrap();
        Self {
            url: format!("http://{}", service.address),
            admin_url: format!("http://{}", service.admin_address),
            redis_url: redis_url.to_owned(),
            database_url: database_url.to_owned(),
            service,
            client: Client::new(),
            settings,
        }
    }

    /// Another process' service on the same stores.
    pub(crate) async fn another(&self) -> Self {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::on(&self.redis_url, &self.database_url, &settings).await
    }

    /// Stops, has this said to Redis, and starts again.
    pub(crate) async fn restarted(self, meanwhile: &[&[&str]]) -> Self {
        let Self { service, redis_url, database_url, settings, .. } = self;
        service.stop().await;
        let mut redis = redis::Client::open(redis_url.as_str()).unwrap().get_connection().unwrap();
        for command in meanwhile {
            redis::cmd(command[0]).arg(&command[1..]).exec(&mut redis).unwrap();
        }
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::on(&redis_url, &database_url, &settings).await
    }

    /// A request to the visitors' listener, yet to be sent.
    pub(crate) fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token).timeout(PATIENCE)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::GET, path, token)).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, token).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, token)).await
    }

    /// The same with an `Idempotency-Key`.
    pub(crate) async fn post_once(&self, path: &str, token: &str, key: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, token).header("idempotency-key", key).json(body)).await
    }

    /// Logs in; the place with its token.
    pub(crate) async fn log_in(&self, username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password });
        let request = self.client.post(format!("{}/auth/token", self.url)).json(&body).timeout(PATIENCE);
        self.send(request).await
    }

    /// A demo account's token, once its password is checked.
    pub(crate) async fn token(&self, number: u32) -> String {
        self.token_of(&seed::user_name(number), PASSWORD).await
    }

    /// An account's token, once its password is checked.
    pub(crate) async fn token_of(&self, username: &str, password: &str) -> String {
        let mut place = self.log_in(username, password).await;
        assert_eq!(place.status, StatusCode::OK, "{:?}", place.body);
        let mut token = place.body["token"].as_str().unwrap().to_owned();
        while place.body["status"] == "verifying" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            place = self.get("/queue/position", &token).await;
            assert_eq!(place.status, StatusCode::OK, "{:?}", place.body);
            if let Some(replaced) = place.body["token"].as_str() {
                replaced.clone_into(&mut token);
            }
        }
        token
    }

    /// A demo account's token, with a visit.
    pub(crate) async fn visitor(&self, number: u32) -> String {
        let token = self.token(number).await;
        self.until(&token, "active").await;
        token
    }

    /// Polls until the place has this status, as often as it likes: the answers from memory are waited out.
    pub(crate) async fn until(&self, token: &str, status: &str) -> Value {
        let began = anteroom::clock::now();
        loop {
            let place = self.get("/queue/position", token).await;
            if place.body["status"] == status {
                return place.body;
            }
            assert!(began.elapsed() < PATIENCE, "never {status}: {:?}", place.body);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The same token, but that it ends so many seconds from now.
    pub(crate) fn ending_in(&self, seconds: i64, token: &str) -> String {
        let key = std::fs::read(self.service.app.config.token_key_file.as_ref().unwrap()).unwrap();
        let claims = Claims { exp: clock::unix_ms() / 1_000 + seconds, ..claims_of(token) };
        Tokens::<()>::new(&key, 1).unwrap().sign(&claims).unwrap()
    }

    /// A request to the operators' listener, yet to be sent.
    pub(crate) fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin_url)).bearer_auth(ADMIN_TOKEN).timeout(PATIENCE)
    }

    /// Changes the settings of the room `main`.
    pub(crate) async fn set_room(&self, change: &Value) -> Value {
        let answer = self.send(self.admin(Method::PATCH, "/admin/rooms/main").json(change)).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.body
    }

    /// Every invariant holds, in the stores themselves.
    pub(crate) async fn assert_invariants(&self) {
        let answer = self.send(self.admin(Method::GET, "/admin/invariants")).await;
        assert_eq!(answer.body["ok"], true, "{:#}", answer.body);
    }
}

/// What a token says to anyone.
pub(crate) fn claims_of(token: &str) -> Claims {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// The key that signs the tokens of every service of this process, made once however many start together.
fn token_key_file() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        secrets::load(&folder).unwrap().token_key_file.display().to_string()
    })
}
