//! A visitor as they come: gets in, holds, changes their mind, charges, pays, and remembers what they were told.

use std::time::Duration;

use anteroom::cli::seed;
use anteroom::clock;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::history::{Answer, Charge, History, Order, Outcome};
use super::stage::{SCHEDULE, Stage};

const PASSWORD: &str = "anteroom-demo";

/// How long to get in, or to get an answer that settles something: a room that recovers admits nobody for 13 s.
const PATIENCE: Duration = Duration::from_mins(1);

/// A password is checked by then, unless the process that was to check it was killed: who logs in again is checked anew.
const CHECKED: Duration = Duration::from_secs(10);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(100);

/// A simulated visitor.
pub(super) struct Visitor {
    pub(super) history: History,
    token: Option<String>,
}

/// Seats that the visitor holds.
struct Held {
    reservation: String,
    seats: Vec<String>,
    amount: i64,
}

impl Visitor {
    /// A demo account, which has points.
    pub(super) fn demo(number: u32) -> Self {
        Self::new(seed::user_name(number), seed::OPENING_POINTS)
    }

    /// A new account, which has none.
    pub(super) async fn poor(number: u32, stage: &Stage) -> Self {
        let user = format!("poor{number}");
        stage.sign_up(&user, PASSWORD).await;
        Self::new(user, 0)
    }

    fn new(user: String, opening: i64) -> Self {
        Self { history: History { user, opening, orders: Vec::new(), charges: Vec::new() }, token: None }
    }

    /// Gets in and holds and pays until the program is killed.
    pub(super) async fn visit(&mut self, stage: &Stage) {
        self.enter(stage).await;
        stage.begin_together().await;
        while !stage.has_ended() && self.act(stage).await.is_some() {
            tokio::time::sleep(Duration::from_millis(rand::random_range(2..20))).await;
        }
    }

    /// Joins, and polls until there is a visit, or until there is nobody to ask.
    pub(super) async fn enter(&mut self, stage: &Stage) {
        let began = clock::now();
        while !stage.has_ended() {
            let answer = match &self.token {
                Some(token) => stage.ask(Method::GET, "/queue/position", token).await,
                None => stage.join(&self.history.user, PASSWORD).await,
            };
            let place = answer.map(|(_, place)| place).unwrap_or_default();
            if let Some(token) = place["token"].as_str() {
                self.token = Some(token.to_owned());
            }
            match place["status"].as_str() {
                Some("active") => return,
                Some("waiting") => {}
                Some("verifying") if began.elapsed() < CHECKED => {}
                _ => self.token = None,
            }
            assert!(began.elapsed() < PATIENCE, "{} never gets in: {place}", self.history.user);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One reservation and what becomes of it; none once the connection broke.
    async fn act(&mut self, stage: &Stage) -> Option<()> {
        let Some(held) = self.hold(stage).await? else { return Some(()) };
        if self.history.opening == 0 && rand::random_bool(0.5) || rand::random_bool(0.1) {
            self.charge(stage).await?;
        }
        match rand::random_range(0..10) {
            0..4 if !self.history.refused(&held.reservation) => self.pay(stage, held).await,
            0..8 => self.cancel(stage, &held.reservation).await,
            _ => Some(()),
        }
    }

    async fn hold(&mut self, stage: &Stage) -> Option<Option<Held>> {
        let (token, key) = (self.token(), new_key());
        let body = json!({ "scheduleId": SCHEDULE, "seatIds": stage.wanted() });
        let (status, body) = stage.act("/reservations", (&token, &key), &body).await?;
        match status {
            StatusCode::OK => Some(Some(Held::read(&body))),
            StatusCode::CONFLICT => {
                stage.note_contested();
                Some(None)
            }
            StatusCode::FORBIDDEN => {
                self.enter(stage).await;
                Some(None)
            }
            StatusCode::SERVICE_UNAVAILABLE => Some(None),
            _ => panic!("never to be answered: {status} {body}"),
        }
    }

    async fn pay(&mut self, stage: &Stage, held: Held) -> Option<()> {
        let Held { reservation, seats, amount } = held;
        let order = Order { reservation, schedule: SCHEDULE, seats, amount, key: new_key(), outcome: Outcome::Unknown };
        self.history.orders.push(order);
        let token = self.token();
        let order = self.history.orders.last_mut()?;
        let answer = order.send(stage, &token).await;
        if matches!(order.outcome, Outcome::Confirmed(_)) {
            stage.note_sold(order.seats.len());
        }
        answer.map(|_| ())
    }

    async fn charge(&mut self, stage: &Stage) -> Option<()> {
        let amount = rand::random_range(1_000..8_000);
        self.history.charges.push(Charge { amount, key: new_key(), outcome: Outcome::Unknown });
        let token = self.token();
        self.history.charges.last_mut()?.send(stage, &token).await.map(|_| ())
    }

    async fn cancel(&self, stage: &Stage, reservation: &str) -> Option<()> {
        let path = format!("/reservations/{reservation}");
        stage.ask(Method::DELETE, &path, &self.token()).await.map(|_| ())
    }

    /// Asks again for everything whose outcome is unknown, under the same keys, until it is known.
    pub(super) async fn settle(&mut self, stage: &Stage) {
        self.enter(stage).await;
        let began = clock::now();
        while self.history.unknown() > 0 {
            let token = self.token();
            for order in self.history.orders.iter_mut().filter(|order| order.outcome == Outcome::Unknown) {
                order.send(stage, &token).await;
            }
            for charge in self.history.charges.iter_mut().filter(|charge| charge.outcome == Outcome::Unknown) {
                charge.send(stage, &token).await;
            }
            if self.history.unknown() > 0 {
                assert!(began.elapsed() < PATIENCE, "never settled: {:?}", self.history);
                tokio::time::sleep(PAUSE).await;
                self.enter(stage).await;
            }
        }
    }

    /// The seats of the schedule, each with its status.
    pub(super) async fn see_seats(&mut self, stage: &Stage) -> Vec<(String, String)> {
        self.enter(stage).await;
        let path = format!("/reservations/available/seat?scheduleId={SCHEDULE}&all=true");
        let (status, body) = stage.ask(Method::GET, &path, &self.token()).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{body}");
        let text = |seat: &Value, name: &str| seat[name].as_str().unwrap().to_owned();
        body["seats"].as_array().unwrap().iter().map(|seat| (text(seat, "seatId"), text(seat, "status"))).collect()
    }

    fn token(&self) -> String {
        self.token.clone().expect("a visitor who is in has a token")
    }
}

impl Held {
    fn read(body: &Value) -> Self {
        let seats = body["seatIds"].as_array().unwrap().iter().map(|seat| seat.as_str().unwrap().to_owned()).collect();
        let reservation = body["reservationId"].as_str().unwrap().to_owned();
        Self { reservation, seats, amount: body["amount"].as_i64().unwrap() }
    }
}

impl Order {
    async fn send(&mut self, stage: &Stage, token: &str) -> Answer {
        let body = json!({ "reservationId": self.reservation, "amount": self.amount });
        let answer = stage.act("/reservations/pay", (token, &self.key), &body).await;
        self.outcome = Outcome::read(&answer, "paymentId");
        answer
    }
}

impl Charge {
    async fn send(&mut self, stage: &Stage, token: &str) -> Answer {
        let answer = stage.act("/points/charge", (token, &self.key), &json!({ "amount": self.amount })).await;
        self.outcome = Outcome::read(&answer, "entryId");
        answer
    }
}

/// An `Idempotency-Key` that nobody else has.
fn new_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}
