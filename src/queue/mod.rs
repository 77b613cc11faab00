//! The line: a place for everyone who asks, in order, and a visit when it is their turn.
//!
//! Redis decides the order, in one atomic step for each thing that can happen (`lua/queue/`). A process remembers only
//! what it may forget: the last answer to each visitor, and the room as the last run of the scheduler saw it.

mod admission;
mod advice;
mod announce;
mod attempts;
mod change;
pub mod draw;
mod events;
mod fairness;
mod foresight;
mod memo;
mod messages;
mod operators;
mod order;
mod place;
mod receipt;
mod recovery;
mod room;
mod seen;
mod settings;
mod together;
mod visit;
mod waited;
mod waits;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::JwkSet;

use crate::error::Fault;
use crate::ids::{self, RoomName};
use crate::ledger::Ledger;
use crate::store::{Db, Redis};
use crate::token::{Opened, TokenRefusal, Tokens};

pub(crate) use admission::census;
pub use admission::run;
pub use advice::{Limit, Strain, advise, note_stock};
pub use announce::announce;
pub use attempts::{
    Attempt, RENEW_EVERY, account_of, drop_attempt, refuse_attempt, renew_attempt, take_attempt, verify_attempt,
};
pub(crate) use change::given;
pub use change::{Base, Change, ChangeError, Changed, change, preview};
pub use draw::{Draw, Lot, PublicDraw};
pub use events::{EventId, ListenError, Listened, Listeners, Listening, listen};
pub use fairness::{FairnessReport, note_fairness, report};
pub use foresight::{Difference, Foresight, LastInLine, foresee};
pub use memo::{Session, Who};
pub use messages::{Language, Messages};
pub use operators::{AdmitError, Admitted, SeenPlace, admit_now, look_at_place, remove_place};
pub use place::{Answer, JoinError, Place, PollError, Status, join, leave, poll};
pub use room::{Counts, Room, View};
pub use settings::{Settings, State, find_settings, list_settings, load_rooms};
pub use visit::{Admission, check_visit, end_visit_soon, flush_kept_visits, keep_visit};
pub use waits::{Eta, Pace, Slower};

pub use crate::store::scripts::queue::{Device, Left};

/// The line's own state in this process.
pub struct Queue {
    pub(crate) redis: Arc<Redis>,
    pub(crate) db: Db,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tokens: Tokens<Session>,
    pub(crate) token_seconds: i64,
    listeners: Listeners,
    listening: Arc<AtomicUsize>,
    memos: memo::Memos,
    rooms: ArcSwap<HashMap<RoomName, Arc<Room>>>,
    postgres_serves: AtomicBool,
    /// Names this process where it advises.
    adviser: String,
    controller: Mutex<advice::Controller>,
}

/// What the line needs of others.
pub struct Parts {
    /// Redis.
    pub redis: Arc<Redis>,
    /// Postgres.
    pub db: Db,
    /// The ledger: who has paid is not let in again by an old token.
    pub ledger: Arc<Ledger>,
    /// Signs and opens tokens.
    pub tokens: Tokens<Session>,
    /// How long a token is valid, in seconds.
    pub token_seconds: i64,
    /// How many may listen.
    pub listeners: Listeners,
}

impl Queue {
    /// A line without rooms; [`load_rooms`] brings them.
    pub fn new(parts: Parts) -> Self {
        let Parts { redis, db, ledger, tokens, token_seconds, listeners } = parts;
        Self {
            redis,
            db,
            ledger,
            tokens,
            token_seconds,
            listeners,
            listening: Arc::default(),
            memos: memo::Memos::new(),
            rooms: ArcSwap::default(),
            postgres_serves: AtomicBool::new(true),
            adviser: ids::new_uuid().simple().to_string(),
            controller: Mutex::default(),
        }
    }

    /// A room, if there is one of that name.
    pub fn room(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.rooms.load().get(name).cloned()
    }

    /// Every room.
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        self.rooms.load().values().cloned().collect()
    }

    /// Opens a token: who it is, and what this process remembers of them.
    pub fn open(&self, token: &str) -> Result<Arc<Opened<Session>>, TokenRefusal> {
        self.tokens.open(token, |claims| self.memos.session(claims))
    }

    /// Takes these keys for tokens from now on, and says whether they are others than before.
    pub fn renew_keys(&self, keys: &[u8]) -> Result<bool, Fault> {
        self.tokens.renew(keys)
    }

    /// The public keys of tokens.
    pub fn published_keys(&self) -> JwkSet {
        self.tokens.published()
    }

    /// Notes whether Postgres serves. While it does not, nobody is admitted.
    pub fn note_postgres(&self, serves: bool) {
        self.postgres_serves.store(serves, Ordering::Relaxed);
    }

    /// Whether anybody is admitted, as far as Postgres is concerned.
    pub fn postgres_serves(&self) -> bool {
        self.postgres_serves.load(Ordering::Relaxed)
    }

    /// The room of a session. It is gone only where an operator removed it meanwhile.
    fn room_of(&self, session: &Session) -> Result<Arc<Room>, Fault> {
        self.room(&session.claims.room).ok_or(Fault::Lost)
    }
}
