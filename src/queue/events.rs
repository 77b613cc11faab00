//! Listeners: visitors who are told where they stand, instead of asking again and again.
//!
//! What they are told is found in `announce`, for all of a room at once. Here is who listens, within which limits, and
//! how a place is put as an event (the format of `EventSource`, as the HTML standard has it).

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use chrono::DateTime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::memo::Session;
use super::place::{self, Answer, Place, PollError, Status};
use super::receipt;
use super::{Queue, Room, View};
use crate::clock;
use crate::ids::Number;
use crate::token::Opened;

/// Events that may wait for a listener to read them. Who is farther behind is let go.
const BEHIND: usize = 16;

/// Something is sent at least this often, so that proxies keep the stream and a listener who is gone is noticed, ms.
const HEARTBEAT_MS: u64 = 15_000;
const HEARTBEAT: Bytes = Bytes::from_static(b": here\n\n");

/// When to come back after the stream ended, ms: spread, so that those of one process do not come back together.
const RETRY_MS: std::ops::Range<u64> = 2_000..5_000;

/// How many may listen.
#[derive(Debug, Clone, Copy)]
pub struct Listeners {
    /// To this process.
    pub most: usize,
    /// Of one account, in one room.
    pub per_account: usize,
}

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// As many listen to this process as may.
    #[error("too many listen")]
    Full,
    /// This account listens as often as it may.
    #[error("too many streams of one account")]
    TooMany,
    /// The place could not be told.
    #[error(transparent)]
    Poll(#[from] PollError),
}

/// What became of the wish to listen.
pub enum Listened {
    /// Events come from here.
    Stream(Listening),
    /// The place is over, and the listener was told so before: there is nothing to come back for.
    Over,
}

/// Who listens to a room in this process.
#[derive(Default)]
pub(super) struct Hub {
    crowd: Mutex<Crowd>,
    numbers: AtomicU64,
    /// When those who listen are to be noted as present next, by uptime, ms.
    pub(super) hear_at_ms: AtomicU64,
    /// When the whole line is to be looked along next, by uptime, ms.
    pub(super) look_at_ms: AtomicU64,
}

/// The listeners by number, and how many streams each account has.
#[derive(Default)]
struct Crowd {
    listeners: HashMap<u64, Arc<Listener>>,
    streams: HashMap<String, usize>,
}

/// One stream.
pub(super) struct Listener {
    pub(super) id: u64,
    pub(super) session: Arc<Opened<Session>>,
    sender: Sender<Bytes>,
    told: Mutex<Told>,
    /// Given back when the listener is gone.
    slot: Slot,
}

/// What a listener knows.
#[derive(Default)]
pub(super) struct Told {
    last: Option<EventId>,
    pub(super) place: Option<Arc<Place>>,
    /// When anything, and when an event, was sent; when it was asked for alone; by uptime, ms.
    sent_at_ms: u64,
    pub(super) event_at_ms: u64,
    pub(super) asked_at_ms: u64,
    /// The number under which it was found in line at the last look.
    pub(super) number: Option<Number>,
    /// Has been given a token that replaces the one that ends soon.
    pub(super) renewed: bool,
}

struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an event says, in short: the `id` by which a listener who comes back tells what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    epoch: i64,
    status: Status,
    /// The position, or the end of the visit in Unix seconds; 0 where there is neither.
    at: i64,
    /// Stands for the room's state, opening and message.
    notice: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{:08x}", self.epoch, self.status.name(), self.at, self.notice)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('.').collect();
        let [epoch, status, at, notice] = parts[..] else { return Err(()) };
        let status = Status::ALL.into_iter().find(|known| known.name() == status).ok_or(())?;
        let notice = u32::from_str_radix(notice, 16).map_err(|_| ())?;
        Ok(Self { epoch: epoch.parse().map_err(|_| ())?, status, at: at.parse().map_err(|_| ())?, notice })
    }
}

impl Told {
    /// Whether this notice is news.
    pub(super) fn is_news(&self, notice: u32) -> bool {
        self.last.is_some_and(|last| last.notice != notice)
    }
}

impl EventId {
    fn of(place: &Place, notice: u32) -> Self {
        let position = place.position.and_then(|position| i64::try_from(position).ok());
        let ends = place.active_until.as_deref().and_then(|until| DateTime::parse_from_rfc3339(until).ok());
        let at = position.or(ends.map(|ends| ends.timestamp())).unwrap_or(0);
        Self { epoch: place.epoch.0, status: place.status, at, notice }
    }

    /// The name of the event that says this to who knows the last one.
    fn event(self, last: Option<Self>) -> &'static str {
        match self.status {
            Status::Expired | Status::Left => "expired",
            Status::Active if last.is_none_or(|last| last.status != Status::Active) => "admitted",
            _ if last.is_some_and(|last| last.notice != self.notice && last.epoch == self.epoch) => "notice",
            _ => "position",
        }
    }
}

/// Stands for what the operators say and do: another number, another notice.
pub(super) fn notice(view: &View) -> u32 {
    let mut hasher = DefaultHasher::new();
    (view.state.name(), view.opens_at, &view.message, &view.messages).hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(0)
}

/// Begins to tell a visitor where they stand. `last` is the last event that they know, where they come back.
pub async fn listen(
    queue: &Queue,
    session: Arc<Opened<Session>>,
    last: Option<EventId>,
) -> Result<Listened, ListenError> {
    let room = queue.room_of(&session.value).map_err(PollError::from)?;
    let slot = queue.slot().ok_or(ListenError::Full)?;
    if room.hub.streams_of(&session) >= queue.listeners.per_account {
        return Err(ListenError::TooMany);
    }
    // A token that ends soon is replaced by the first event: the stream may end before there is another.
    let answer = if receipt::ends_soon(queue, session.exp) {
        place::look(queue, &session.value).await?
    } else {
        place::poll(queue, &session.value).await?
    };
    let over = matches!(answer.place.status, Status::Expired | Status::Left);
    if over && last.is_some_and(|last| last.status == answer.place.status) {
        return Ok(Listened::Over);
    }
    let (sender, receiver) = mpsc::channel(BEHIND);
    let retry = format!("retry: {}\n\n", rand::random_range(RETRY_MS));
    let told = Mutex::new(Told { last, ..Told::default() });
    let id = room.hub.numbers.fetch_add(1, Ordering::Relaxed);
    let listener = Arc::new(Listener { id, session, sender, told, slot });
    if room.hub.add(&listener) > queue.listeners.per_account {
        room.hub.remove(id);
        return Err(ListenError::TooMany);
    }
    // The channel is empty: this fits.
    let _ = listener.send(retry.into());
    listener.tell(&room, &answer, notice(&room.view()));
    Ok(Listened::Stream(Listening { receiver, room, id }))
}

impl Queue {
    fn slot(&self) -> Option<Slot> {
        let slot = Slot(Arc::clone(&self.listening));
        (self.listening.fetch_add(1, Ordering::Relaxed) < self.listeners.most).then_some(slot)
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Arc<Listener>> {
        self.lock().listeners.values().cloned().collect()
    }

    fn streams_of(&self, session: &Opened<Session>) -> usize {
        self.lock().streams.get(&session.value.claims.sub).copied().unwrap_or(0)
    }

    /// Adds a listener, and tells how many streams its account has now.
    fn add(&self, listener: &Arc<Listener>) -> usize {
        let mut crowd = self.lock();
        crowd.listeners.insert(listener.id, Arc::clone(listener));
        let streams = crowd.streams.entry(listener.session.value.claims.sub.clone()).or_default();
        *streams += 1;
        *streams
    }

    fn remove(&self, id: u64) -> Option<Arc<Listener>> {
        let mut crowd = self.lock();
        let listener = crowd.listeners.remove(&id)?;
        let subject = &listener.session.value.claims.sub;
        if let Some(streams) = crowd.streams.get_mut(subject) {
            *streams -= 1;
            if *streams == 0 {
                crowd.streams.remove(subject);
            }
        }
        Some(listener)
    }

    /// Has a stream speak for another session from now on: its attempt became an account.
    pub(super) fn replace(&self, id: u64, session: Arc<Opened<Session>>) {
        let Some(before) = self.remove(id) else { return };
        let Slot(count) = &before.slot;
        count.fetch_add(1, Ordering::Relaxed);
        let told = Mutex::new(Told { last: before.told().last, ..Told::default() });
        let (sender, slot) = (before.sender.clone(), Slot(Arc::clone(count)));
        self.add(&Arc::new(Listener { id, session, sender, told, slot }));
    }
}

impl Listener {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a place, unless it says what the listener knows. Who cannot be told any more, and whose place is over, is let
    /// go.
    pub(super) fn tell(&self, room: &Room, answer: &Answer, notice: u32) {
        let mut told = self.told();
        let id = EventId::of(&answer.place, notice);
        told.renewed |= answer.place.token.is_some();
        let repeated = told.place.is_none() && told.last == Some(id) && answer.place.token.is_none();
        let event = id.event(told.last);
        told.place = Some(Arc::clone(&answer.place));
        told.event_at_ms = clock::uptime_ms();
        if repeated {
            return;
        }
        told.last = Some(id);
        drop(told);
        let mut text = format!("id: {id}\nevent: {event}\ndata: ").into_bytes();
        text.extend_from_slice(&answer.body);
        text.extend_from_slice(b"\n\n");
        let sent = self.send(text.into());
        metrics::counter!("anteroom_events_total", "room" => room.name.to_string(), "event" => event).increment(1);
        match sent {
            Err(reason) => room.let_go(self, reason),
            Ok(()) if event == "expired" => room.let_go(self, "over"),
            Ok(()) => {}
        }
    }

    /// Lets go who may not listen any longer, and gives a sign of life where nothing else was said.
    pub(super) fn tend(&self, room: &Room) {
        let now_ms = clock::uptime_ms();
        let quiet = now_ms >= self.told().sent_at_ms + HEARTBEAT_MS;
        if self.session.exp <= clock::unix_ms() / 1_000 {
            room.let_go(self, "token");
        } else if quiet && let Err(reason) = self.send(HEARTBEAT) {
            room.let_go(self, reason);
        }
    }

    /// Ends the stream: there is nothing to tell any more.
    pub(super) fn refuse(&self, room: &Room) {
        room.let_go(self, "over");
    }

    fn send(&self, text: Bytes) -> Result<(), &'static str> {
        self.told().sent_at_ms = clock::uptime_ms();
        self.sender.try_send(text).map_err(|error| match error {
            TrySendError::Full(_) => "slow",
            TrySendError::Closed(_) => "closed",
        })
    }
}

impl Room {
    /// Ends a stream: what was sent is still read, then nothing more comes.
    fn let_go(&self, listener: &Listener, reason: &'static str) {
        self.let_go_by_id(listener.id, reason);
    }

    fn let_go_by_id(&self, id: u64, reason: &'static str) {
        if self.hub.remove(id).is_some() {
            let room = self.name.to_string();
            metrics::counter!("anteroom_listeners_ended_total", "room" => room, "reason" => reason).increment(1);
        }
    }
}

/// The reader's end of a stream. Dropped, nobody is told any more.
pub struct Listening {
    receiver: Receiver<Bytes>,
    room: Arc<Room>,
    id: u64,
}

impl Listening {
    /// What is to be sent next; none at the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.receiver.poll_recv(context)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.room.let_go_by_id(self.id, "closed");
    }
}

#[cfg(test)]
mod tests;
