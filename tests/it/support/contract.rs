//! What the contract promises of every answer, and short ways to ask for it.

use std::time::Duration;

use deadpool_redis::redis;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::TestService;
use super::service::Answer;

/// Codes that say when to come again.
const PATIENT: [&str; 7] = [
    "not-admitted",
    "rate-limited",
    "queue-full",
    "unavailable",
    "overloaded",
    "payment-in-flight",
    "idempotency-key-in-flight",
];

/// How long a test waits for what must come, and between two looks.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

const WAITING: &str =
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";

/// Looks again until something is there.
pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "what a test waits for never came");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// A time of an answer, in seconds since the Unix epoch.
pub(crate) fn until_unix(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp()
}

impl Answer {
    /// This is a success of this status, with the promises of every answer.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{:?}", self.body);
        assert!(!self.header("x-request-id").is_empty());
        self
    }

    /// This is the refusal of this status and code, shaped as every problem is.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(!self.header("x-request-id").is_empty());
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("/errors/{code}"));
        assert!(self.body["title"].is_string() && self.body["detail"].is_string(), "{:?}", self.body);
        if PATIENT.contains(&code) {
            let seconds: u64 = self.header("retry-after").parse().expect("Retry-After in seconds");
            assert!(seconds >= 1);
        }
        if status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer"));
        }
        if code == "validation-failed" {
            let error = &self.body["errors"][0];
            assert!(error["field"].is_string() && error["message"].is_string(), "{:?}", self.body);
        }
        self
    }

    /// A header, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether this answer was given before.
    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotency-replayed") == "true"
    }

    /// A member that must be text.
    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {:?}", self.body))
    }

    /// The object has these members.
    #[track_caller]
    pub(crate) fn has(&self, members: &[&str]) -> &Self {
        let object = self.body.as_object().expect("an object");
        let missing: Vec<_> = members.iter().filter(|member| !object.contains_key(**member)).collect();
        assert!(missing.is_empty(), "{missing:?} missing in {object:?}");
        self
    }
}

impl TestService {
    /// Asks the visitors' listener without a token.
    pub(crate) async fn post_openly(&self, path: &str, body: &Value) -> Answer {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url));
        self.send(request.json(body)).await
    }

    /// Holds one seat.
    pub(crate) async fn hold(&self, token: &str, schedule: i64, seat: &str) -> Answer {
        self.post("/reservations", token, &json!({ "scheduleId": schedule, "seatId": seat })).await
    }

    /// Pays a reservation as it was answered.
    pub(crate) async fn pay(&self, token: &str, held: &Answer) -> Answer {
        self.post("/reservations/pay", token, &order(held)).await
    }

    /// The caller's balance.
    pub(crate) async fn balance(&self, token: &str) -> i64 {
        self.get("/points/balance", token).await.body["balance"].as_i64().unwrap()
    }

    /// Changes a room's settings.
    pub(crate) async fn patch_room(&self, room: &str, change: &Value) -> Answer {
        self.send(self.admin(Method::PATCH, &format!("/admin/rooms/{room}")).json(change)).await
    }

    /// Runs SQL without an answer.
    pub(crate) async fn sql(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.database_url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }

    /// The one number that SQL gives.
    pub(crate) async fn number(&self, question: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.database_url).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
    }

    /// Waits until a statement of the service waits for a lock of Postgres.
    pub(crate) async fn until_held_up(&self) {
        until(async || (self.number(WAITING).await > 0).then_some(())).await;
    }

    /// The one text that SQL gives.
    pub(crate) async fn text(&self, question: &'static str) -> String {
        let mut connection = PgConnection::connect(&self.database_url).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
    }

    /// Gives Redis a command.
    pub(crate) fn redis(&self, command: &[&str]) -> redis::Value {
        let mut connection = redis::Client::open(self.redis_url.as_str()).unwrap().get_connection().unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query(&mut connection).unwrap()
    }

    /// A second room, `other`, open, with one schedule (1) of the seats `A1` and `A2`, known to the service.
    pub(crate) async fn other_room(&self) {
        self.sql(
            "insert into rooms (name, state, capacity, admit_per_second) values ('other', 'open', 10, 100);
             insert into schedules (id, concert_id, room, venue, starts_at) values (1, 1, 'other', 'Yard', now());
             insert into seats (schedule_id, label, section, row_label, number, ordinal, price)
             values (1, 'A1', 'Floor', 'A', 1, 1, 100), (1, 'A2', 'Floor', 'A', 2, 2, 100);",
        )
        .await;
        let app = &self.service.app;
        anteroom::seats::refresh_plans(&app.seats).await.unwrap();
        anteroom::queue::load_rooms(&app.queue).await.unwrap();
    }

    /// A token for a room of the account's choice.
    pub(crate) async fn token_for(&self, user: &str, password: &str, room: &str) -> Answer {
        self.post_openly("/auth/token", &json!({ "username": user, "password": password, "room": room })).await
    }
}

/// The order that pays a reservation.
pub(crate) fn order(held: &Answer) -> Value {
    json!({ "reservationId": held.body["reservationId"], "amount": held.body["amount"] })
}
