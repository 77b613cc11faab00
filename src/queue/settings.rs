//! A room's settings: kept in Postgres, changed by operators, copied to Redis for the scripts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::{Queue, Room, recovery};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, RoomName};

/// How many may be in one line: at about 300 bytes each they stay below 2 GB of Redis.
const LINE_LIMIT: i64 = 5_000_000;

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
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
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
    /// How long an admitted visitor has to come in.
    pub claim_seconds: i32,
    /// How long a place is kept for who was absent at their turn.
    pub grace_seconds: i32,
    /// How long a visit may last.
    pub visit_seconds: i32,
    /// After how long without a request a visit ends.
    pub idle_seconds: i32,
    /// How long seats are held.
    pub hold_seconds: i32,
    /// What visitors are told.
    pub message: Option<String>,
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
            ("visitMs", ms(self.visit_seconds)),
            ("idleMs", ms(self.idle_seconds)),
            ("holdMs", ms(self.hold_seconds)),
            ("queueLimit", LINE_LIMIT.to_string()),
            ("message", self.message.clone().unwrap_or_default()),
            ("adaptive", i32::from(self.adaptive).to_string()),
        ]
    }
}

/// A change of settings: what is absent stays. Times and the message may be taken away with `null`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `open`, `paused`, `draining` or `closed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Visits at once, at most; 0 to 1 000 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i32>,
    /// Admissions in a second, at most; 0 to 100 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admit_per_second: Option<f64>,
    /// When it opens, or null for at once.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub opens_at: Option<Option<DateTime<Utc>>>,
    /// When it closes, or null for never.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub closes_at: Option<Option<DateTime<Utc>>>,
    /// Whether places before the opening are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<bool>,
    /// 1 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_seconds: Option<i32>,
    /// 0 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<i32>,
    /// 1 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_seconds: Option<i32>,
    /// 1 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<i32>,
    /// 1 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_seconds: Option<i32>,
    /// What visitors are told, at most 500 characters, or null for nothing.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub message: Option<Option<String>>,
    /// Whether the rate follows the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
    /// Why, for the audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Tells `null` (some none) from absent (none).
#[expect(
    clippy::option_option,
    reason = "null takes a setting away, absent leaves it: three cases, as serde knows them"
)]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Change {
    /// The first setting that cannot be, and why.
    fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let day = |seconds: Option<i32>, least: i32| seconds.is_none_or(|s| (least..=86_400).contains(&s));
        let settable = [State::Open, State::Paused, State::Draining, State::Closed];
        let rules = [
            (self.state.is_none_or(|s| settable.contains(&s)), "state", "is open, paused, draining or closed"),
            (self.capacity.is_none_or(|c| (0..=1_000_000).contains(&c)), "capacity", "is 0 to 1000000"),
            (self.admit_per_second.is_none_or(|r| (0.0..=100_000.0).contains(&r)), "admitPerSecond", "is 0 to 100000"),
            (day(self.claim_seconds, 1), "claimSeconds", "is 1 to 86400"),
            (day(self.grace_seconds, 0), "graceSeconds", "is 0 to 86400"),
            (day(self.visit_seconds, 1), "visitSeconds", "is 1 to 86400"),
            (day(self.idle_seconds, 1), "idleSeconds", "is 1 to 86400"),
            (day(self.hold_seconds, 1), "holdSeconds", "is 1 to 86400"),
            (fits(self.message.as_ref().and_then(Option::as_deref)), "message", "has at most 500 characters"),
            (fits(self.reason.as_deref()), "reason", "has at most 500 characters"),
        ];
        rules.iter().find(|(holds, _, _)| !holds).map(|(_, field, why)| (*field, *why))
    }

    fn apply(&self, to: &mut Settings) {
        let change = self.clone();
        to.state = change.state.unwrap_or(to.state);
        to.capacity = change.capacity.unwrap_or(to.capacity);
        to.admit_per_second = change.admit_per_second.unwrap_or(to.admit_per_second);
        to.opens_at = change.opens_at.unwrap_or(to.opens_at);
        to.closes_at = change.closes_at.unwrap_or(to.closes_at);
        to.draw = change.draw.unwrap_or(to.draw);
        to.claim_seconds = change.claim_seconds.unwrap_or(to.claim_seconds);
        to.grace_seconds = change.grace_seconds.unwrap_or(to.grace_seconds);
        to.visit_seconds = change.visit_seconds.unwrap_or(to.visit_seconds);
        to.idle_seconds = change.idle_seconds.unwrap_or(to.idle_seconds);
        to.hold_seconds = change.hold_seconds.unwrap_or(to.hold_seconds);
        to.message = change.message.unwrap_or_else(|| to.message.take());
        to.adaptive = change.adaptive.unwrap_or(to.adaptive);
    }
}

fn fits(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.chars().count() <= 500 && !text.contains('\0'))
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such room.
    #[error("there is no such room")]
    Unknown,
    /// Someone changed the room meanwhile; these are its settings now.
    #[error("the room was changed meanwhile")]
    Stale(Box<Settings>),
    /// A setting that cannot be.
    #[error("{field} {message}")]
    Invalid {
        /// The setting.
        field: &'static str,
        /// What it may be.
        message: &'static str,
    },
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

const COLUMNS: &str = "name, state, capacity, admit_per_second, opens_at, closes_at, draw, claim_seconds, \
     grace_seconds, visit_seconds, idle_seconds, hold_seconds, message, adaptive, version, epoch";

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

/// Brings this process to know every room of Postgres, and Redis to know their settings.
pub async fn load_rooms(queue: &Queue) -> Result<(), Fault> {
    for settings in list_settings(queue).await? {
        let Ok(name) = RoomName::parse(&settings.name) else { continue };
        let room = queue.room(&name).unwrap_or_else(|| {
            let room = Arc::new(Room::new(name.clone(), settings.epoch));
            queue.rooms.rcu(|rooms| {
                let mut rooms = (**rooms).clone();
                rooms.entry(name.clone()).or_insert_with(|| Arc::clone(&room));
                rooms
            });
            room
        });
        recovery::configure(queue, &room, &settings).await?;
    }
    Ok(())
}

/// Changes a room's settings, where `version` is still theirs, and writes down who did it and why.
pub async fn change(
    queue: &Queue,
    room: &Arc<Room>,
    version: Option<i64>,
    change: &Change,
) -> Result<Settings, ChangeError> {
    if let Some((field, message)) = change.mistake() {
        return Err(ChangeError::Invalid { field, message });
    }
    let mut transaction = queue.db.pool().begin().await.map_err(Fault::from)?;
    let sql = format!("select {COLUMNS} from rooms where name = $1 for update");
    let before: Option<Settings> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(room.name.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Fault::from)?;
    let before = before.ok_or(ChangeError::Unknown)?;
    if version.is_some_and(|version| version != before.version) {
        transaction.rollback().await.map_err(Fault::from)?;
        return Err(ChangeError::Stale(Box::new(before)));
    }
    let mut after = before.clone();
    change.apply(&mut after);
    if after.closes_at.is_some_and(|closes| after.opens_at.is_some_and(|opens| closes <= opens)) {
        return Err(ChangeError::Invalid { field: "closesAt", message: "is after opensAt" });
    }
    after.version += 1;
    write(&mut transaction, &after).await?;
    audit(&mut transaction, (&before, &after), change.reason.as_deref()).await?;
    transaction.commit().await.map_err(Fault::from)?;
    recovery::configure(queue, room, &after).await?;
    Ok(after)
}

async fn write(connection: &mut sqlx::PgConnection, after: &Settings) -> Result<(), Fault> {
    sqlx::query(
        "update rooms set state = $2, capacity = $3, admit_per_second = $4, opens_at = $5, closes_at = $6, draw = $7, \
         claim_seconds = $8, grace_seconds = $9, visit_seconds = $10, idle_seconds = $11, hold_seconds = $12, \
         message = $13, adaptive = $14, version = $15, updated_at = now() where name = $1",
    )
    .bind(&after.name)
    .bind(after.state.name())
    .bind(after.capacity)
    .bind(after.admit_per_second)
    .bind(after.opens_at)
    .bind(after.closes_at)
    .bind(after.draw)
    .bind(after.claim_seconds)
    .bind(after.grace_seconds)
    .bind(after.visit_seconds)
    .bind(after.idle_seconds)
    .bind(after.hold_seconds)
    .bind(&after.message)
    .bind(after.adaptive)
    .bind(after.version)
    .execute(connection)
    .await?;
    Ok(())
}

async fn audit(
    connection: &mut sqlx::PgConnection,
    change: (&Settings, &Settings),
    reason: Option<&str>,
) -> Result<(), Fault> {
    let (before, after) = change;
    sqlx::query(
        "insert into audit_log (actor, action, room, reason, before, after) \
         values ('admin', 'change-room', $1, $2, $3, $4)",
    )
    .bind(&before.name)
    .bind(reason)
    .bind(sqlx::types::Json(before))
    .bind(sqlx::types::Json(after))
    .execute(connection)
    .await?;
    Ok(())
}
