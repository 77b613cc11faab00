//! Crowds: many accounts whose passwords cost nothing to check, and a line of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anteroom::accounts::Password;
use anteroom::cli::seed::{self, Demo};
use anteroom::clock;
use anteroom::ids::UserId;
use anteroom::queue::{self, Device, Room};
use anteroom::store::Db;
use anteroom::store::db::Limits;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use deadpool_redis::redis;
use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::TestService;
use crate::support::service::PASSWORD;

/// Requests of one crowd under way at once.
pub(super) const AT_ONCE: usize = 64;

/// No answer after this time is none.
const ANSWERED: Duration = Duration::from_secs(10);

/// How long a crowd may take to be back.
const PATIENCE: Duration = Duration::from_mins(3);

/// How many, unless the environment says otherwise.
pub(super) fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |size| size.parse().unwrap())
}

/// Makes the demo data with so many accounts, whose hash takes microseconds to compare: a crowd of thousands that is
/// checked at the usual cost tests the processor.
pub(super) async fn accounts(database_url: &str, count: usize) {
    let limits = Limits { connections: 2, wait: ANSWERED, statement: PATIENCE };
    let db = Db::new(database_url, limits).unwrap();
    db.migrate().await.unwrap();
    let users = u32::try_from(count).unwrap();
    let password = Password::parse(PASSWORD).unwrap();
    seed::seed(&db, &Demo { users, password, schedules: 0, seats: 1 }).await.unwrap();
    db.close().await;
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: argon2::PasswordHash = cheap.hash_password(PASSWORD.as_bytes()).unwrap();
    let mut connection = PgConnection::connect(database_url).await.unwrap();
    let change = sqlx::query("update users set password_hash = $1 where username like 'user%'");
    change.bind(hash.to_string()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// People in line, as their processes take them; their passwords are another matter.
pub(super) async fn line_up(service: &TestService, people: usize) -> Vec<String> {
    let queue = &service.service.app.queue;
    let room = queue.room(&"main".parse().unwrap()).unwrap();
    let joining = stream::iter(1..=people).map(|number| {
        let room: &Arc<Room> = &room;
        async move {
            let user = UserId::parse(&format!("waiter{number:06}")).unwrap();
            queue::join(queue, room, &user, Device::Phone).await.unwrap().token.unwrap()
        }
    });
    joining.buffered(AT_ONCE).collect().await
}

/// Everyone in line counts as present for an hour: who counts as absent is set aside, and the line moves faster.
pub(super) fn stay(service: &TestService, people: usize) {
    let all = "local line = redis.call('ZRANGE', KEYS[1], 0, -1)
        for _, user in ipairs(line) do redis.call('ZADD', KEYS[2], ARGV[1], user) end
        return #line";
    let until = (clock::unix_ms() + 3_600_000).to_string();
    let here = service.redis(&["EVAL", all, "2", "anteroom:{main}:waiting", "anteroom:{main}:present", &until]);
    assert_eq!(here, redis::Value::Int(i64::try_from(people).unwrap()));
}

/// The visitors' listeners of several processes.
pub(super) struct Doors {
    client: Client,
    urls: Vec<String>,
    /// The door of a process that was killed: its port may be another test's by now.
    shut: AtomicUsize,
}

impl Doors {
    pub(super) fn new(urls: Vec<String>) -> Self {
        Self::impatient(urls, ANSWERED)
    }

    /// The same for visitors who go to another door when they wait for so long.
    pub(super) fn impatient(urls: Vec<String>, patience: Duration) -> Self {
        Self { client: Client::builder().timeout(patience).build().unwrap(), urls, shut: AtomicUsize::new(usize::MAX) }
    }

    /// What one of the processes answers; nothing where there is no whole answer.
    pub(super) async fn poll(&self, door: usize, token: &str) -> Option<(StatusCode, Value)> {
        self.answer(door, self.client.get(self.at(door, "/queue/position")).bearer_auth(token)).await
    }

    pub(super) async fn join(&self, door: usize, number: usize) -> Option<(StatusCode, Value)> {
        let user = seed::user_name(u32::try_from(number).unwrap());
        let body = json!({ "username": user, "password": PASSWORD });
        self.answer(door, self.client.post(self.at(door, "/auth/token")).json(&body)).await
    }

    /// Leaves; whether anyone heard it.
    pub(super) async fn leave(&self, door: usize, token: &str) -> bool {
        self.answer(door, self.client.post(self.at(door, "/queue/leave")).bearer_auth(token)).await.is_some()
    }

    /// What everyone may know of the room.
    pub(super) async fn status(&self, door: usize) -> Option<Value> {
        self.answer(door, self.client.get(self.at(door, "/queue/rooms/main"))).await.map(|(_, told)| told)
    }

    pub(super) fn count(&self) -> usize {
        self.urls.len()
    }

    /// Nobody is behind this door from now on.
    pub(super) fn shut(&self, door: usize) {
        self.shut.store(door, Ordering::Relaxed);
    }

    async fn answer(&self, door: usize, request: RequestBuilder) -> Option<(StatusCode, Value)> {
        let is_shut = || door % self.urls.len() == self.shut.load(Ordering::Relaxed);
        if is_shut() {
            return None;
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        let told = response.json().await.unwrap_or_default();
        (!is_shut()).then_some((status, told))
    }

    fn at(&self, door: usize, path: &str) -> String {
        format!("{}{path}", self.urls[door % self.urls.len()])
    }
}

/// Visitors in the order in which they came.
pub(super) struct Line<'a> {
    doors: &'a Doors,
    tokens: Vec<String>,
    /// The last that any of them knew of.
    epoch: i64,
}

impl<'a> Line<'a> {
    /// Accounts 1 and so on come one after another, each through the next door.
    pub(super) async fn form(doors: &'a Doors, count: usize) -> Self {
        let (mut tokens, mut epoch) = (Vec::with_capacity(count), 0);
        for number in 1..=count {
            let (status, place) = doors.join(number, number).await.unwrap();
            assert_eq!(status, StatusCode::OK, "{place}");
            assert_ne!(place["status"], "verifying", "{place}");
            tokens.push(place["token"].as_str().unwrap().to_owned());
            epoch = epoch.max(place["epoch"].as_i64().unwrap());
        }
        Self { doors, tokens, epoch }
    }

    /// Everyone asks again and again, the last first, until all know of a later epoch and stand in it as they came. While
    /// people are let in, answers of one round are of different moments; once the room is full, the order stands still. Gives
    /// the places, and how long it took until someone was let in again.
    pub(super) async fn comes_back(&mut self, lost: Instant) -> (Vec<Value>, Duration) {
        let mut let_in = None;
        loop {
            let doors = self.doors;
            let asked = stream::iter(self.tokens.iter().enumerate().rev());
            let answers = asked.map(async |(at, token)| (at, doors.poll(at, token).await));
            let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
            let mut places = vec![Value::Null; self.tokens.len()];
            for (at, answer) in answers {
                let Some((status, place)) = answer else { continue };
                let fine = status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE;
                assert!(fine, "visitor {at} lost their place: {status} {place}");
                if let Some(token) = place["token"].as_str() {
                    token.clone_into(&mut self.tokens[at]);
                }
                places[at] = place;
            }
            let back = |place: &Value| place["epoch"].as_i64() > Some(self.epoch) && place.get("stale").is_none();
            if let_in.is_none() && places.iter().any(|place| back(place) && place["status"] == "active") {
                let_in = Some(lost.elapsed());
            }
            let knows = |place: &Value| back(place) && (place["position"].is_u64() || place["status"] == "active");
            let wrong = inversions(&places);
            if let (Some(let_in), true, 0) = (let_in, places.iter().all(knows), wrong) {
                return (places, let_in);
            }
            let unknown = places.iter().find(|place| !knows(place));
            if lost.elapsed() > PATIENCE {
                let pairs = places.windows(2).map(|pair| (pair[0]["position"].as_u64(), pair[1]["position"].as_u64()));
                let wrong_pairs: Vec<_> = pairs.filter(|(one, next)| one >= next && one.is_some()).take(9).collect();
                panic!("{wrong} inversions, such as {wrong_pairs:?}; someone knows nothing: {unknown:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Pairs of neighbours who stand otherwise than they came.
pub(super) fn inversions(places: &[Value]) -> usize {
    // Those inside stand before all who wait.
    let ranks: Vec<u64> = places.iter().map(|place| place["position"].as_u64().unwrap_or(0)).collect();
    ranks.windows(2).filter(|pair| pair[0] > pair[1] || pair[0] == pair[1] && pair[0] > 0).count()
}

#[test]
fn an_inversion_is_seen() {
    let at = |positions: &[Option<u64>]| -> Vec<Value> { positions.iter().map(|p| json!({ "position": p })).collect() };
    assert_eq!(inversions(&at(&[None, None, Some(1), Some(2)])), 0);
    assert_eq!(inversions(&at(&[None, Some(2), Some(1), None])), 2);
    assert_eq!(inversions(&at(&[Some(1), Some(1)])), 1);
}
