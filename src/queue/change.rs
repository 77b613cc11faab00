//! Changing a room's settings: while it runs, from the version that the operator saw, and written down.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::draw;
use super::messages::Messages;
use super::settings::{COLUMNS, Settings, State, adopt};
use super::{Queue, Room};
use crate::error::Fault;
use crate::ids::RoomName;
use crate::store::audit::{self, Deed};

/// Rooms at most: each has a loop of its own in every process.
const MOST_ROOMS: i64 = 500;

/// Characters of a text that visitors or the audit are told.
const LONGEST_TEXT: usize = 500;

/// A change of settings: what is absent stays. Times, messages and the beacon may be taken away with `null`.
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
    /// Whether places before the opening are drawn. Decided while nobody is in line; needs `opensAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<bool>,
    /// What the draw depends on beside its seed: the name of a value that nobody knows yet, at most 200 characters. Until
    /// the value is told, nobody joins before the opening.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub draw_beacon: Option<Option<String>>,
    /// The value that `drawBeacon` names, once it is known, at most 500 characters. It can be told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw_beacon_value: Option<String>,
    /// 1 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_seconds: Option<i32>,
    /// 0 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<i32>,
    /// 0 to 86 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_grace_seconds: Option<i32>,
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
    /// What visitors are told in their language, at most 500 characters each; replaces all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Messages>,
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
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Change {
    /// The first setting that cannot be, and why.
    fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let day = |seconds: Option<i32>, least: i32| seconds.is_none_or(|s| (least..=86_400).contains(&s));
        let settable = [State::Open, State::Paused, State::Draining, State::Closed];
        let beacon = self.draw_beacon.as_ref().and_then(Option::as_deref);
        let rules = [
            (self.state.is_none_or(|s| settable.contains(&s)), "state", "is open, paused, draining or closed"),
            (self.capacity.is_none_or(|c| (0..=1_000_000).contains(&c)), "capacity", "is 0 to 1000000"),
            (self.admit_per_second.is_none_or(|r| (0.0..=100_000.0).contains(&r)), "admitPerSecond", "is 0 to 100000"),
            (day(self.claim_seconds, 1), "claimSeconds", "is 1 to 86400"),
            (day(self.grace_seconds, 0), "graceSeconds", "is 0 to 86400"),
            (day(self.phone_grace_seconds, 0), "phoneGraceSeconds", "is 0 to 86400"),
            (day(self.visit_seconds, 1), "visitSeconds", "is 1 to 86400"),
            (day(self.idle_seconds, 1), "idleSeconds", "is 1 to 86400"),
            (day(self.hold_seconds, 1), "holdSeconds", "is 1 to 86400"),
            (fits(self.message.as_ref().and_then(Option::as_deref)), "message", "has at most 500 characters"),
            (
                self.messages.as_ref().is_none_or(|all| all.all().all(|one| fits(Some(one)))),
                "messages",
                "have at most 500 characters each",
            ),
            (
                beacon.is_none_or(|name| !name.is_empty() && name.len() <= 200 && fits(Some(name))),
                "drawBeacon",
                "has 1 to 200 characters",
            ),
            (
                self.draw_beacon_value.as_ref().is_none_or(|value| !value.is_empty() && fits(Some(value))),
                "drawBeaconValue",
                "has 1 to 500 characters",
            ),
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
        to.draw_beacon = change.draw_beacon.unwrap_or_else(|| to.draw_beacon.take());
        to.draw_beacon_value = change.draw_beacon_value.or_else(|| to.draw_beacon_value.take());
        to.claim_seconds = change.claim_seconds.unwrap_or(to.claim_seconds);
        to.grace_seconds = change.grace_seconds.unwrap_or(to.grace_seconds);
        to.phone_grace_seconds = change.phone_grace_seconds.unwrap_or(to.phone_grace_seconds);
        to.visit_seconds = change.visit_seconds.unwrap_or(to.visit_seconds);
        to.idle_seconds = change.idle_seconds.unwrap_or(to.idle_seconds);
        to.hold_seconds = change.hold_seconds.unwrap_or(to.hold_seconds);
        to.message = change.message.unwrap_or_else(|| to.message.take());
        to.messages = change.messages.unwrap_or_else(|| std::mem::take(&mut to.messages));
        to.adaptive = change.adaptive.unwrap_or(to.adaptive);
    }
}

fn fits(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.chars().count() <= LONGEST_TEXT && !text.contains('\0'))
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such room.
    #[error("there is no such room")]
    Unknown,
    /// Someone changed the room meanwhile; these are its settings now. None where it is not there.
    #[error("the room was changed meanwhile")]
    Stale(Option<Box<Settings>>),
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

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// What a change starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The settings that the room has.
    Present,
    /// The defaults: a room that is not there is made.
    Defaults,
}

/// A room's settings before a change (none where there was no room) and after it.
#[derive(Debug)]
pub struct Changed {
    /// Before.
    pub before: Option<Settings>,
    /// After.
    pub after: Settings,
    /// Those of a draw that begins with this change.
    secrets: Option<draw::Secrets>,
}

/// Changes a room's settings, where `version` is still theirs, and writes down who did it and why.
pub async fn change(
    queue: &Queue,
    name: &RoomName,
    version: Option<i64>,
    change: &Change,
    base: Base,
) -> Result<(Changed, Arc<Room>), ChangeError> {
    let mut transaction = queue.db.pool().begin().await?;
    let changed = prepare(queue, &mut transaction, (name, version), change, base).await?;
    write(&mut transaction, &changed, change.reason.as_deref()).await?;
    if changed.secrets.is_some() {
        draw::forget_drawn(queue, name).await?;
    }
    transaction.commit().await?;
    let room = adopt(queue, &changed.after).await?;
    room.wake();
    Ok((changed, room))
}

/// What a change would make of a room's settings. Nothing is changed.
pub async fn preview(
    queue: &Queue,
    name: &RoomName,
    version: Option<i64>,
    change: &Change,
    base: Base,
) -> Result<Changed, ChangeError> {
    let mut transaction = queue.db.pool().begin().await?;
    let mut changed = prepare(queue, &mut transaction, (name, version), change, base).await?;
    transaction.rollback().await?;
    if changed.secrets.take().is_some() {
        changed.after.draw_commitment = None; // that seed will never be used
    }
    Ok(changed)
}

async fn prepare(
    queue: &Queue,
    connection: &mut PgConnection,
    of: (&RoomName, Option<i64>),
    change: &Change,
    base: Base,
) -> Result<Changed, ChangeError> {
    let (name, version) = of;
    if let Some((field, message)) = change.mistake() {
        return Err(ChangeError::Invalid { field, message });
    }
    let sql = format!("select {COLUMNS} from rooms where name = $1 for update");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(name.as_str());
    let before: Option<Settings> = found.fetch_optional(&mut *connection).await?;
    if version.is_some_and(|version| before.as_ref().is_none_or(|before| before.version != version)) {
        return match before {
            None if base == Base::Present => Err(ChangeError::Unknown),
            now => Err(ChangeError::Stale(now.map(Box::new))),
        };
    }
    let mut after = match (&before, base) {
        (None, Base::Present) => return Err(ChangeError::Unknown),
        (Some(before), Base::Present) => before.clone(),
        (None, Base::Defaults) => Settings::new(name),
        (Some(before), Base::Defaults) => {
            Settings { version: before.version, epoch: before.epoch, ..Settings::new(name) }
        }
    };
    change.apply(&mut after);
    if after.closes_at.is_some_and(|closes| after.opens_at.is_some_and(|opens| closes <= opens)) {
        return Err(ChangeError::Invalid { field: "closesAt", message: "is after opensAt" });
    }
    let secrets = draw::decide(queue, name, before.as_ref(), &mut after).await?;
    after.version += 1;
    Ok(Changed { before, after, secrets })
}

const INSERT: &str = "\
insert into rooms (name, version) select $1, 0 where (select count(*) from rooms) < $2
on conflict on constraint rooms_pkey do nothing";

const UPDATE: &str = "\
update rooms set state = $2, capacity = $3, admit_per_second = $4, opens_at = $5, closes_at = $6, draw_beacon = $7,
    draw_beacon_value = $8, claim_seconds = $9, grace_seconds = $10, visit_seconds = $11, idle_seconds = $12,
    hold_seconds = $13, message = $14, messages = $15, adaptive = $16, version = $17, phone_grace_seconds = $18, updated_at = now()
where name = $1";

async fn write(connection: &mut PgConnection, changed: &Changed, reason: Option<&str>) -> Result<(), ChangeError> {
    let Changed { before, after, secrets } = changed;
    if before.is_none() {
        let made = sqlx::query(INSERT).bind(&after.name).bind(MOST_ROOMS).execute(&mut *connection).await?;
        if made.rows_affected() == 0 {
            return Err(ChangeError::Invalid { field: "room", message: "is one too many, or was made meanwhile" });
        }
    }
    sqlx::query(UPDATE)
        .bind(&after.name)
        .bind(after.state.name())
        .bind(after.capacity)
        .bind(after.admit_per_second)
        .bind(after.opens_at)
        .bind(after.closes_at)
        .bind(&after.draw_beacon)
        .bind(&after.draw_beacon_value)
        .bind(after.claim_seconds)
        .bind(after.grace_seconds)
        .bind(after.visit_seconds)
        .bind(after.idle_seconds)
        .bind(after.hold_seconds)
        .bind(&after.message)
        .bind(sqlx::types::Json(&after.messages))
        .bind(after.adaptive)
        .bind(after.version)
        .bind(after.phone_grace_seconds)
        .execute(&mut *connection)
        .await?;
    draw::write(connection, after, secrets.as_ref()).await?;
    let deed = Deed {
        action: if before.is_some() { "change-room" } else { "make-room" },
        room: Some(&after.name),
        reason,
        before: before.as_ref().map(|before| json!(before)),
        after: Some(json!(after)),
    };
    Ok(audit::note(connection, deed).await?)
}
