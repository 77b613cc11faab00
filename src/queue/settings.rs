//! A room's settings: kept in Postgres, changed by operators, copied to Redis for the scripts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::draw;
use super::messages::Messages;
use super::{Queue, Room, recovery};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, RoomName};

/// The longest line however much memory Redis has; less where it has less (`lua/queue/limit_line.lua`).
pub(super) const LONGEST_LINE: i64 = 5_000_000;

/// A room that never closes by itself closes then, ms.
const NEVER_MS: i64 = 9_000_000_000_000_000;

/// What a room does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub enum State {
    /// Takes people in line, admits nobody before its time.
    Scheduled,
    /// Takes people in line and admits them.
    Open,
    /// Takes people in line, admits nobody.
    Paused,
    /// Takes nobody in line, admits those who are.
    Draining,
    /// Takes nobody in line, admits nobody.
    Closed,
    /// Is being set up again after a loss; admits nobody for some seconds.
    Recovering,
    /// Has no seat left to sell; admits nobody while that is so.
    SoldOut,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Scheduled, Self::Open, Self::Paused, Self::Draining, Self::Closed, Self::Recovering, Self::SoldOut];

    /// The state as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Closed => "closed",
            Self::Recovering => "recovering",
            Self::SoldOut => "sold-out",
        }
    }
}

/// What a room does now, from its state and its times. `number` reads a field of the room's hash.
pub(super) fn effective_state(state: &str, number: &dyn Fn(&str) -> i64) -> State {
    let now_ms = clock::unix_ms();
    let state = State::ALL.into_iter().find(|known| known.name() == state).unwrap_or(State::Closed);
    match state {
        State::Open | State::Paused | State::Draining if now_ms >= number("closesAt") => State::Closed,
        State::Open | State::Draining if now_ms < number("admitFrom") => State::Recovering,
        State::Open if now_ms < number("opensAt") => State::Scheduled,
        other => other,
    }
}

/// A room's settings, as operators see them.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The room.
    #[serde(rename = "room")]
    pub name: String,
    /// What it should do.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Visits at once, at most.
    pub capacity: i32,
    /// Admissions in a second, at most.
    pub admit_per_second: f64,
    /// When it opens.
    pub opens_at: Option<DateTime<Utc>>,
    /// When it closes.
    pub closes_at: Option<DateTime<Utc>>,
    /// Whether places before the opening are drawn.
    pub draw: bool,
    /// What is public of the draw's seed before the opening.
    pub draw_commitment: Option<String>,
    /// A value that the draw depends on and that is known only after the commitment, such as `drand round 4000000`.
    pub draw_beacon: Option<String>,
    /// That value.
    pub draw_beacon_value: Option<String>,
    /// How long an admitted visitor has to come in.
    pub claim_seconds: i32,
    /// How long a place is kept for who was absent at their turn.
    pub grace_seconds: i32,
    /// The same for who came by phone.
    pub phone_grace_seconds: i32,
    /// How long a visit may last.
    pub visit_seconds: i32,
    /// After how long without a request a visit ends.
    pub idle_seconds: i32,
    /// How long seats are held.
    pub hold_seconds: i32,
    /// What visitors are told.
    pub message: Option<String>,
    /// What they are told in their language.
    #[sqlx(json)]
    pub messages: Messages,
    /// Whether the rate follows the load.
    pub adaptive: bool,
    /// Counts the changes: the `ETag`.
    pub version: i64,
    /// Counts how often the line was set up anew.
    #[sqlx(try_from = "i64")]
    pub epoch: Epoch,
}

impl TryFrom<String> for State {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(format!("unknown state {text}"))
    }
}

impl From<i64> for Epoch {
    fn from(epoch: i64) -> Self {
        Self(epoch)
    }
}

impl Settings {
    /// A room that nobody has set yet: closed, with the defaults.
    pub(super) fn new(name: &RoomName) -> Self {
        Self {
            name: name.to_string(),
            state: State::Closed,
            capacity: 1_000,
            admit_per_second: 100.0,
            opens_at: None,
            closes_at: None,
            draw: false,
            draw_commitment: None,
            draw_beacon: None,
            draw_beacon_value: None,
            claim_seconds: 60,
            grace_seconds: 300,
            phone_grace_seconds: 900,
            visit_seconds: 1_200,
            idle_seconds: 120,
            hold_seconds: 300,
            message: None,
            messages: Messages::default(),
            adaptive: false,
            version: 0,
            epoch: Epoch(0),
        }
    }

    /// The fields of the room's hash that the scripts read.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let ms = |seconds: i32| (i64::from(seconds) * 1_000).to_string();
        vec![
            ("state", self.state.name().to_owned()),
            ("capacity", self.capacity.to_string()),
            ("admitPerSecond", self.admit_per_second.to_string()),
            ("opensAt", self.opens_at.map_or(0, |at| at.timestamp_millis()).to_string()),
            ("closesAt", self.closes_at.map_or(NEVER_MS, |at| at.timestamp_millis()).to_string()),
            ("claimMs", ms(self.claim_seconds)),
            ("graceMs", ms(self.grace_seconds)),
            ("phoneGraceMs", ms(self.phone_grace_seconds)),
            ("visitMs", ms(self.visit_seconds)),
            ("idleMs", ms(self.idle_seconds)),
            ("holdMs", ms(self.hold_seconds)),
            ("message", self.message.clone().unwrap_or_default()),
            ("adaptive", i32::from(self.adaptive).to_string()),
            ("messages", serde_json::to_string(&self.messages).unwrap_or_default()),
            ("drawId", self.draw_id().unwrap_or_default().to_owned()),
        ]
    }
}

pub(super) const COLUMNS: &str = "name, state, capacity, admit_per_second, opens_at, closes_at, draw, \
     draw_commitment, draw_beacon, draw_beacon_value, claim_seconds, grace_seconds, \
     phone_grace_seconds, visit_seconds, idle_seconds, hold_seconds, message, messages, adaptive, version, epoch";

/// Every room's settings, by name.
pub async fn list_settings(queue: &Queue) -> Result<Vec<Settings>, Fault> {
    let sql = format!("select {COLUMNS} from rooms order by name");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(queue.db.pool()).await?)
}

/// A room's settings.
pub async fn find_settings(queue: &Queue, room: &RoomName) -> Result<Option<Settings>, Fault> {
    read(queue, room).await
}

pub(super) async fn read(queue: &Queue, room: &RoomName) -> Result<Option<Settings>, Fault> {
    let sql = format!("select {COLUMNS} from rooms where name = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(room.as_str()).fetch_optional(queue.db.pool()).await?)
}

/// Raises a room's epoch from what the settings say. One process wins; for the others there is nothing, also while the
/// winner sets Redis up.
pub(super) async fn raise_epoch(queue: &Queue, settings: &Settings) -> Result<Option<Epoch>, Fault> {
    let raised = sqlx::query_scalar::<_, i64>(
        "update rooms set epoch = epoch + 1, epoch_raised_at = clock_timestamp() where name = $1 and epoch = $2 \
         and (epoch_raised_at is null or epoch_raised_at < clock_timestamp() - interval '1 second') returning epoch",
    );
    let raised = raised.bind(&settings.name).bind(settings.epoch.0).fetch_optional(queue.db.pool()).await?;
    Ok(raised.map(Epoch))
}

/// Brings this process to know every room of Postgres, and Redis to know their settings. One that cannot be set up keeps no
/// other from it.
pub async fn load_rooms(queue: &Queue) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for settings in list_settings(queue).await? {
        outcome = outcome.and(adopt(queue, &settings).await.map(drop));
    }
    outcome
}

/// Brings this process to know a room, and Redis to know its settings.
pub(super) async fn adopt(queue: &Queue, settings: &Settings) -> Result<Arc<Room>, Fault> {
    let name = RoomName::parse(&settings.name).map_err(|e| Fault::Defect(format!("room {:?}: {e}", settings.name)))?;
    let room = queue.room(&name).unwrap_or_else(|| {
        let room = Arc::new(Room::new(name.clone(), settings.epoch));
        queue.rooms.rcu(|rooms| {
            let mut rooms = (**rooms).clone();
            rooms.entry(name.clone()).or_insert_with(|| Arc::clone(&room));
            rooms
        });
        // Another task may have been faster: all must share one.
        queue.room(&name).unwrap_or(room)
    });
    recovery::configure(queue, &room, settings).await?;
    recovery::limit(queue, &room).await?;
    draw::learn(queue, &room, settings).await?;
    Ok(room)
}
