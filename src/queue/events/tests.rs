use std::future::poll_fn;

use super::*;
use crate::ids::{Epoch, Number, RoomName};
use crate::queue::place;
use crate::token::{Claims, Tokens, Use};

fn room() -> Arc<Room> {
    Arc::new(Room::new(RoomName::parse("main").unwrap(), Epoch(1)))
}

fn session() -> Arc<Opened<Session>> {
    let key = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let key = pem::encode(&pem::Pem::new("PRIVATE KEY", key.as_ref()));
    let tokens = Tokens::new(key.as_bytes(), 1).unwrap();
    let now = clock::unix_ms() / 1_000;
    let claims = Claims {
        sub: "user00001".into(),
        room: room().name.clone(),
        epoch: Epoch(1),
        number: Some(Number(1)),
        draw: None,
        since: None,
        purpose: Use::Place,
        claimed: None,
        iat: now,
        exp: now + 60,
    };
    let memos = crate::queue::memo::Memos::new();
    tokens.open(&tokens.sign(&claims).unwrap(), |claims| memos.session(claims)).unwrap()
}

/// A stream as `listen` makes it, without a place yet.
fn stream(room: &Arc<Room>, last: Option<EventId>) -> (Arc<Listener>, Listening) {
    let (sender, receiver) = mpsc::channel(BEHIND);
    let id = room.hub.numbers.fetch_add(1, Ordering::Relaxed);
    let told = Mutex::new(Told { last, ..Told::default() });
    let slot = Slot(Arc::new(AtomicUsize::new(1)));
    let listener = Arc::new(Listener { id, session: session(), sender, told, slot });
    room.hub.add(&listener);
    (listener, Listening { receiver, room: Arc::clone(room), id })
}

fn answer(room: &Room, position: Option<u64>, found: Option<place::Found>) -> Answer {
    let found = found.unwrap_or(place::Found::InLine { position, in_line: 9 });
    let place = place::describe(room, None, &found);
    Answer { body: serde_json::to_vec(&place).unwrap().into(), place: Arc::new(place) }
}

async fn next(listening: &mut Listening) -> Option<String> {
    let text = poll_fn(|context| listening.poll_next(context)).await?;
    Some(String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn an_event_has_an_id_a_name_and_a_place_in_one_line() {
    let room = room();
    let (listener, mut listening) = stream(&room, None);
    listener.tell(&room, &answer(&room, Some(42), None), 7);
    let event = next(&mut listening).await.unwrap();
    let lines: Vec<&str> = event.split('\n').collect();
    assert_eq!((lines[0], lines[1], &lines[3..]), ("id: 1.waiting.42.00000007", "event: position", &["", ""][..]));
    let place: serde_json::Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&place["position"], &place["waiting"]), (&42.into(), &9.into()));

    listener.tell(&room, &answer(&room, Some(42), None), 8);
    assert!(next(&mut listening).await.unwrap().contains("event: notice\n"));
    listener.tell(&room, &answer(&room, None, Some(place::Found::Active { ends_ms: 90_000 })), 8);
    assert!(next(&mut listening).await.unwrap().starts_with("id: 1.active.90.00000008\nevent: admitted\n"));
    listener.tell(&room, &answer(&room, None, Some(place::Found::Active { ends_ms: 60_000 })), 8);
    assert!(next(&mut listening).await.unwrap().starts_with("id: 1.active.60.00000008\nevent: position\n"));
    listener.tell(&room, &answer(&room, None, Some(place::Found::Over(Status::Expired))), 8);
    assert!(next(&mut listening).await.unwrap().contains("event: expired\n"));
    drop(listener);
    assert_eq!(next(&mut listening).await, None, "the stream ends after that");
}

#[tokio::test]
async fn who_comes_back_is_told_only_what_is_new() {
    let room = room();
    let known: EventId = "1.waiting.42.00000007".parse().unwrap();
    assert_eq!(known.to_string(), "1.waiting.42.00000007");
    let (listener, mut listening) = stream(&room, Some(known));
    listener.tell(&room, &answer(&room, Some(42), None), 7);
    listener.tell(&room, &answer(&room, Some(41), None), 7);
    assert!(next(&mut listening).await.unwrap().starts_with("id: 1.waiting.41."));

    let (listener, mut listening) = stream(&room, Some(known));
    listener.tell(&room, &answer(&room, None, Some(place::Found::Active { ends_ms: 90_000 })), 7);
    assert!(next(&mut listening).await.unwrap().contains("event: admitted\n"), "missed while away");
    let (listener, mut listening) = stream(&room, "1.active.30.00000007".parse().ok());
    listener.tell(&room, &answer(&room, None, Some(place::Found::Active { ends_ms: 90_000 })), 7);
    assert!(next(&mut listening).await.unwrap().contains("event: position\n"), "admitted only once");
    for strange in ["", "42", "1.waiting.42", "1.inside.42.00000007", "a.waiting.42.00000007", "1.waiting.42.0000000g"]
    {
        assert_eq!(strange.parse::<EventId>(), Err(()), "{strange}");
    }
}

#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let room = room();
    let (listener, mut listening) = stream(&room, None);
    for position in (1..100).rev() {
        listener.tell(&room, &answer(&room, Some(position), None), 0);
    }
    assert!(room.hub.all().is_empty());
    drop(listener);
    let mut read = 0;
    while next(&mut listening).await.is_some() {
        read += 1;
    }
    assert_eq!(read, BEHIND, "what was sent can be read, and then the stream ends");
}

#[tokio::test]
async fn streams_of_an_account_are_counted_until_they_end() {
    let room = room();
    let (first, listening) = stream(&room, None);
    let (second, _also) = stream(&room, None);
    assert_eq!((room.hub.streams_of(&first.session), room.hub.all().len()), (2, 2));
    drop(listening);
    assert_eq!((room.hub.streams_of(&second.session), room.hub.all().len()), (1, 1));
}
