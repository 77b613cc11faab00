//! One run of the program, between its start and its kill, as all visitors of it share it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::history::Answer;
use crate::support::Program;

/// The schedule that all want: 5,000 seats, 50 in a row.
pub(super) const SCHEDULE: i64 = 20_002;
const ROW: usize = 50;

/// Seats that all want at the same time. The window moves on as they are sold, so they never run out.
const WANTED: usize = 90;

/// No answer after this time is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the visitors are, and what they did there.
pub(super) struct Stage {
    url: String,
    client: Client,
    /// Where the window of wanted seats begins.
    sold: AtomicUsize,
    /// Visitors who are ready to begin.
    ready: AtomicUsize,
    began: AtomicBool,
    ended: AtomicBool,
    in_flight: AtomicUsize,
    contested: AtomicUsize,
}

impl Stage {
    pub(super) fn new(program: &Program, sold: usize) -> Self {
        Self {
            url: program.url.clone(),
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
            sold: AtomicUsize::new(sold),
            ready: AtomicUsize::new(0),
            began: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            contested: AtomicUsize::new(0),
        }
    }

    /// Asks, and says nothing where no whole answer came.
    pub(super) async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        let sent = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token).send().await.ok()?;
        Some((sent.status(), sent.json().await.unwrap_or_default()))
    }

    /// Takes a place, or asks for it once more.
    pub(super) async fn join(&self, user: &str, password: &str) -> Answer {
        self.post("/auth/token", None, &json!({ "username": user, "password": password })).await
    }

    /// Makes an account, which has no points.
    pub(super) async fn sign_up(&self, user: &str, password: &str) {
        let body = json!({ "username": user, "password": password });
        let (status, body) = self.post("/auth/users", None, &body).await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }

    /// Does something once, however often it is sent under its key.
    pub(super) async fn act(&self, path: &str, by: (&str, &str), body: &Value) -> Answer {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = self.post(path, Some(by), body).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    async fn post(&self, path: &str, by: Option<(&str, &str)>, body: &Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        let request = match by {
            Some((token, key)) => request.bearer_auth(token).header("idempotency-key", key),
            None => request,
        };
        let sent = request.send().await.ok()?;
        let status = sent.status();
        Some((status, sent.json().await.ok()?))
    }

    /// One to three seats side by side that others want too.
    pub(super) fn wanted(&self) -> Vec<String> {
        let first = self.sold.load(Ordering::Relaxed) + rand::random_range(0..WANTED);
        (first..first + rand::random_range(1..=3)).map(label).collect()
    }

    pub(super) fn note_sold(&self, seats: usize) {
        self.sold.fetch_add(seats, Ordering::Relaxed);
    }

    pub(super) fn sold(&self) -> usize {
        self.sold.load(Ordering::Relaxed)
    }

    pub(super) fn note_contested(&self) {
        self.contested.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn contested(&self) -> usize {
        self.contested.load(Ordering::Relaxed)
    }

    /// Requests that change something and have no answer yet.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until all others are ready too.
    pub(super) async fn begin_together(&self) {
        self.ready.fetch_add(1, Ordering::SeqCst);
        while !self.began.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets all begin, once so many are ready.
    pub(super) async fn begin(&self, visitors: usize) {
        while self.ready.load(Ordering::SeqCst) < visitors {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.began.store(true, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// The label of a seat, counted from 0 in the order of the plan: rows are A to Z, then AA and so on.
fn label(seat: usize) -> String {
    let (row, number) = (seat / ROW, seat % ROW + 1);
    let letter = |n: usize| char::from(b'A' + u8::try_from(n).unwrap());
    let first = row.checked_sub(26).map(|beyond| letter(beyond / 26).to_string()).unwrap_or_default();
    format!("{first}{}{number}", letter(row % 26))
}

#[test]
fn seats_have_the_labels_of_the_plan() {
    assert_eq!([0, 49, 50, 1_299, 1_300, 4_999].map(label), ["A1", "A50", "B1", "Z50", "AA1", "CV50"]);
}
