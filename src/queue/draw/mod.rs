//! The draw: who comes before the opening stands where a secret seed puts them, not where their connection does.
//!
//! The seed is committed to before anyone joins and told after the opening, so anyone can check the whole order
//! (`proof`). Nothing is shuffled: a number is drawn when its visitor joins, and shown to nobody before the opening.

mod list;
pub mod proof;

use std::sync::Arc;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretBox};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::change::ChangeError;
use super::place::JoinError;
use super::settings::{self, Settings, adopt};
use super::{Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Number, RoomName, UserId};
use crate::store::keys::RoomKeys;
use crate::store::scripts::queue::{self as scripts, Drawn};

pub use list::list;

/// What stands for the draw where its beacon's value is yet to be told: nobody can draw a number.
const AWAITS: &str = "awaits";

/// Bytes of a visitor's secret, of the 32 that are computed: enough that nobody guesses one.
const SECRET_BYTES: usize = 16;

/// A draw's secrets, made when it is switched on.
pub(super) struct Secrets(SecretBox<([u8; 32], [u8; 32])>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    fn make() -> Self {
        Self(SecretBox::new(Box::new((rand::random(), rand::random()))))
    }

    fn seed(&self) -> &[u8; 32] {
        &self.0.expose_secret().0
    }

    fn ticket_key(&self) -> &[u8; 32] {
        &self.0.expose_secret().1
    }
}

/// A room's draw as this process knows it.
pub struct Draw {
    pub(super) id: String,
    commitment: String,
    beacon: Option<String>,
    beacon_value: Option<String>,
    opens_ms: i64,
    secrets: Secrets,
    key: hmac::Key,
    /// The opening is over by Redis' clock: nobody draws with this seed any more.
    revealed: bool,
    /// How many were drawn, once all of them are known.
    count: Option<u64>,
    pages: list::Pages,
}

impl Settings {
    /// What Redis and the processes call this draw; none where the room does not draw.
    pub(super) fn draw_id(&self) -> Option<&str> {
        let awaits = self.draw_beacon.is_some() && self.draw_beacon_value.is_none();
        self.draw_commitment.as_deref().filter(|_| self.draw).map(|id| if awaits { AWAITS } else { id })
    }
}

impl Draw {
    /// What only this visitor is told: with it they know their ticket in the list, and nobody else does.
    fn secret(&self, user: &UserId) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secrets.ticket_key());
        proof::hex(&hmac::sign(&key, user.as_str().as_bytes()).as_ref()[..SECRET_BYTES])
    }

    fn ticket(&self, user: &UserId) -> String {
        proof::ticket(user, &self.secret(user))
    }

    fn number(&self, user: &UserId) -> Number {
        proof::number(&self.key, &self.ticket(user))
    }

    /// What anyone may know of the draw now.
    pub fn public(&self) -> PublicDraw {
        PublicDraw {
            commitment: self.commitment.clone(),
            beacon: self.beacon.clone(),
            beacon_value: self.beacon_value.clone(),
            seed: self.revealed.then(|| proof::hex(self.secrets.seed())),
            count: self.count,
        }
    }

    /// What a visitor may know of their own lot.
    pub fn lot(&self, room: &Room, user: &UserId) -> Lot {
        let secret = self.secret(user);
        let ticket = proof::ticket(user, &secret);
        Lot { room: room.name.clone(), user_id: user.clone(), secret, ticket, commitment: self.commitment.clone() }
    }
}

/// What anyone may know of a draw.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicDraw {
    /// SHA-256 of the seed, and of the beacon's name after it.
    pub commitment: String,
    /// The name of a value that nobody knew when the commitment was made.
    pub beacon: Option<String>,
    /// That value, once it is known.
    pub beacon_value: Option<String>,
    /// The seed, from the opening on.
    pub seed: Option<String>,
    /// How many were drawn, once all of them are known.
    pub count: Option<u64>,
}

/// A visitor's own lot: what finds them in the public list, and proves that it is them.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lot {
    /// The room.
    pub room: RoomName,
    /// The account.
    pub user_id: UserId,
    /// Known to this visitor alone. The ticket is the SHA-256 of `<secret>:<userId>`.
    pub secret: String,
    /// What stands for this visitor in the public list.
    pub ticket: String,
    /// Of the draw that it is a ticket of.
    pub commitment: String,
}

/// Decides what a change means for the draw, and refuses what would change it for those who are in it.
pub(super) async fn decide(
    queue: &Queue,
    name: &RoomName,
    before: Option<&Settings>,
    after: &mut Settings,
) -> Result<Option<Secrets>, ChangeError> {
    let invalid = |field, message| Err(ChangeError::Invalid { field, message });
    let was = before.filter(|before| before.draw);
    if !after.draw && was.is_none() {
        let told = after.draw_beacon.is_some() || after.draw_beacon_value.is_some();
        return if told { invalid("drawBeacon", "needs draw") } else { Ok(None) };
    }
    let time = scripts::draw_time(&queue.redis, &RoomKeys::new(name)).await?;
    let now = clock::from_unix_ms(time.now_ms);
    let over = |of: &Settings| of.opens_at.is_none_or(|opens| opens <= now);
    let same = after.draw && was.is_some_and(|was| was.draw_beacon == after.draw_beacon && (!over(was) || over(after)));
    if !same && !was.is_some_and(|was| over(was) && !after.draw) && anyone_in_line(queue, name).await? {
        return invalid("draw", "is decided while nobody is in line");
    }
    if !after.draw {
        (after.draw_commitment, after.draw_beacon, after.draw_beacon_value) = (None, None, None);
        return Ok(None);
    }
    if after.opens_at.is_none() {
        return invalid("opensAt", "is needed: who comes before it is drawn");
    }
    let told_before = was.filter(|_| same).and_then(|was| was.draw_beacon_value.clone());
    let told = after
        .draw_beacon_value
        .take()
        .filter(|value| was.is_none_or(|was| was.draw_beacon_value.as_ref() != Some(value)));
    match (told, told_before) {
        (None, before) => after.draw_beacon_value = before,
        (Some(_), _) if !same || after.draw_beacon.is_none() => {
            return invalid("drawBeaconValue", "is told after its beacon was named and committed to");
        }
        (Some(_), Some(_)) => return invalid("drawBeaconValue", "was told before, and stays"),
        (Some(told), None) => after.draw_beacon_value = Some(told),
    }
    if same {
        after.draw_commitment = was.and_then(|was| was.draw_commitment.clone());
        return Ok(None);
    }
    if over(after) {
        return invalid("opensAt", "lies in the future where a draw begins");
    }
    let secrets = Secrets::make();
    after.draw_commitment = Some(proof::commitment(secrets.seed(), after.draw_beacon.as_deref()));
    Ok(Some(secrets))
}

async fn anyone_in_line(queue: &Queue, name: &RoomName) -> Result<bool, Fault> {
    let Some(room) = queue.room(name) else { return Ok(false) };
    let census = super::census(queue, &room).await?;
    Ok(census.waiting + census.aside + census.pending > 0)
}

/// Forgets who drew numbers with an earlier seed.
pub(super) async fn forget_drawn(queue: &Queue, name: &RoomName) -> Result<(), Fault> {
    match queue.room(name) {
        Some(room) => scripts::forget_drawn(&queue.redis, &room.keys).await,
        None => Ok(()),
    }
}

const WRITE: &str = "\
update rooms set draw = $2, draw_commitment = $3, seed = coalesce($4, seed),
    draw_ticket_key = coalesce($5, draw_ticket_key), draw_count = case when $4 is null then draw_count end
where name = $1";

/// Seed, key of the tickets, and how many were drawn, as Postgres has them.
type Kept = (Vec<u8>, Vec<u8>, Option<i64>);

const SECRETS: &str = "select seed, draw_ticket_key, draw_count from rooms where name = $1 and draw_commitment = $2";

/// Writes the draw's part of a change.
pub(super) async fn write(
    connection: &mut PgConnection,
    after: &Settings,
    secrets: Option<&Secrets>,
) -> Result<(), Fault> {
    let written = sqlx::query(WRITE).bind(&after.name).bind(after.draw).bind(&after.draw_commitment);
    let (seed, key) = (secrets.map(|all| all.seed().as_slice()), secrets.map(|all| all.ticket_key().as_slice()));
    written.bind(seed).bind(key).execute(connection).await?;
    Ok(())
}

/// Brings this process to know a room's draw, and lets its list be known once that is complete.
pub(super) async fn learn(queue: &Queue, room: &Arc<Room>, settings: &Settings) -> Result<(), Fault> {
    let (Some(id), Some(commitment)) = (settings.draw_id(), &settings.draw_commitment) else {
        room.draw.store(None);
        return Ok(());
    };
    let opens_ms = settings.opens_at.map_or(i64::MAX, |at| at.timestamp_millis());
    let known = room.draw.load_full().filter(|known| known.id == id && known.opens_ms == opens_ms);
    if known.is_some_and(|known| known.count.is_some()) {
        return Ok(());
    }
    let found: Option<Kept> =
        sqlx::query_as(SECRETS).bind(&settings.name).bind(commitment).fetch_optional(queue.db.pool()).await?;
    let Some((seed, ticket_key, count)) = found else { return Ok(()) };
    let (Ok(seed), Ok(ticket_key)) = (seed.try_into(), ticket_key.try_into()) else {
        return Err(Fault::Defect(format!("room {}: a seed or key has not 32 bytes", settings.name)));
    };
    let secrets = Secrets(SecretBox::new(Box::new((seed, ticket_key))));
    let time = scripts::draw_time(&queue.redis, &room.keys).await?;
    let mut draw = Draw {
        id: id.to_owned(),
        commitment: commitment.clone(),
        beacon: settings.draw_beacon.clone(),
        beacon_value: settings.draw_beacon_value.clone(),
        opens_ms,
        key: proof::key(secrets.seed(), settings.draw_beacon_value.as_deref()),
        secrets,
        // Only once Redis draws no more by what it knows itself: it may know an opening later than Postgres does.
        revealed: time.now_ms >= opens_ms.max(time.opens_ms),
        count: count.and_then(|count| u64::try_from(count).ok()),
        pages: list::Pages::default(),
    };
    if draw.revealed && draw.count.is_none() && time.logins == 0 {
        draw.count = Some(list::close(queue, room, &draw).await?);
    }
    room.draw.store(Some(Arc::new(draw)));
    Ok(())
}

/// What a newcomer of this room draws, as far as this process knows before it asks.
pub(super) fn guess(room: &Room, user: &UserId) -> Drawn {
    match room.draw.load_full() {
        Some(draw) if clock::unix_ms() < draw.opens_ms && draw.id != AWAITS => {
            Drawn { id: draw.id.clone(), number: draw.number(user) }
        }
        _ => Drawn::nothing(),
    }
}

/// The draw that a number is of, where it was drawn and this process knows the draw.
pub(super) fn of(room: &Room, number: Number) -> Option<String> {
    room.draw.load().as_ref().filter(|_| number.0 < 0).map(|draw| draw.id.clone())
}

/// What an account drew in this draw, where this process knows it.
pub(super) fn drawn(room: &Room, id: &str, user: &UserId) -> Option<Number> {
    room.draw.load().as_ref().filter(|draw| draw.id == id).map(|draw| draw.number(user))
}

/// What a newcomer draws in the draw that Redis says is on; it may be over, or one that this process has yet to learn.
pub(super) async fn told(queue: &Queue, room: &Arc<Room>, user: &UserId, id: &str) -> Result<Drawn, JoinError> {
    if id.is_empty() {
        return Ok(Drawn::nothing());
    }
    if id == AWAITS {
        return Err(JoinError::Closed);
    }
    if room.draw.load().as_ref().is_none_or(|draw| draw.id != id) {
        let settings = settings::read(queue, &room.name).await?.ok_or(Fault::Lost)?;
        adopt(queue, &settings).await?;
    }
    let draw = room.draw.load_full().filter(|draw| draw.id == id).ok_or(Fault::Lost)?;
    Ok(Drawn { id: id.to_owned(), number: draw.number(user) })
}
