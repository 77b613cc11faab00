//! What a long line costs while it moves: everyone in it asks a real service once, and is taken at its word.
//!
//! `POLL_WAITERS` says how many wait, by default 2,000.

use anteroom::queue::Room;
use futures_util::{StreamExt, stream};
use rand::seq::SliceRandom as _;
use serde_json::json;

use super::crowd::{AT_ONCE, Doors, line_up, size, stay};
use crate::support::TestService;
use crate::support::contract::until;

const PEOPLE: usize = 2_000;

/// The line moves so many times slower than it is long.
const LENGTH_PER_RATE: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn the_polls_of_a_long_line_that_moves_stay_within_the_bound() {
    let people = size("POLL_WAITERS", PEOPLE);
    let service = TestService::start(&[]).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let mut tokens = line_up(&service, people).await;
    // In no order, so that at each moment any of them is asked for: the line moves on meanwhile.
    tokens.shuffle(&mut rand::rng());
    let rate = people / LENGTH_PER_RATE;
    stay(&service, people);
    service.set_room(&json!({ "capacity": 1_000_000, "admitPerSecond": rate })).await;
    let room = service.service.app.queue.room(&"main".parse().unwrap()).unwrap();
    until(async || room.view().wait_per_place_ms()).await;

    let fastest = per_second(&room);
    let doors = Doors::new(vec![service.url.clone()]);
    let asking = stream::iter(&tokens).map(|token| poll_after_ms(&doors, token));
    let told: Vec<Option<u64>> = asking.buffer_unordered(AT_ONCE).collect().await;
    let told: Vec<u64> = told.into_iter().flatten().collect();
    let moves = fastest.max(per_second(&room));
    assert!(moves < 1.5 * as_f64(u64::try_from(rate).unwrap()), "the line moves by {moves}, people were set aside");

    let rates: Vec<f64> = told.iter().map(|ms| 1_000.0 / as_f64(*ms)).collect();
    let polls: f64 = rates.iter().sum();
    // Each is asked once, at some moment of theirs: by so much the sum may be off.
    let chance = 3.0 * rates.iter().map(|rate| rate * rate).sum::<f64>().sqrt();
    let waiting = as_f64(u64::try_from(told.len()).unwrap());
    let bound = waiting / 10.0 + 5.0 * moves;
    eprintln!(
        "{waiting} wait in a line that moves by {moves:.1} a second: {polls:.0} ± {chance:.0} polls a second, bound {bound:.0}"
    );
    assert!(told.len() * 2 > people, "too few wait: it proves nothing");
    assert!(polls <= bound + chance, "{polls} polls a second, more than {bound}");
    assert!(polls >= waiting / 12.0, "nobody is told to ask: it proves nothing");
}

/// When a waiter is told to ask again; nothing for who is inside.
async fn poll_after_ms(doors: &Doors, token: &str) -> Option<u64> {
    let (status, place) = doors.poll(0, token).await.expect("an answer");
    assert_eq!(status, 200, "{place}");
    (place["status"] == "waiting").then(|| place["pollAfterMs"].as_u64().unwrap())
}

/// How many places the line moves by in a second.
fn per_second(room: &Room) -> f64 {
    room.view().wait_per_place_ms().map_or(0.0, |ms| 1_000.0 / ms)
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds of one test")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
