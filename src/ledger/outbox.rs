//! What Redis must still be told, decided in the same transaction as the points.
//!
//! Whoever paid tells Redis at once and says so with [`outbox_done`]; the row then leaves with the next batch. What is
//! still there after a few seconds was left by a crash or by a Redis that did not answer: a job takes it up.

use serde::Deserialize;
use sqlx::Row;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Ledger, transaction};
use crate::error::Fault;
use crate::ids::{Points, ReservationId, RoomName, SeatId, UserId};

/// Taking a row up puts it off, longer each time, so that several jobs share the work and none spins on a dead Redis.
/// The balance is told as it is now: what it was when the row was written, a Redis that forgot would take for new.
const DUE: &str = "\
update outbox set attempts = attempts + 1, due_at = now() + least(60, 2 ^ least(attempts + 1, 10)) * interval '1 second'
where id in (select id from outbox where due_at <= now() order by due_at limit $1 for update skip locked)
returning id, kind, payload || coalesce(
    (select jsonb_build_object('balance', a.balance, 'version', a.version)
     from accounts as a where a.user_id = payload ->> 'userId'), '{}') as payload";

const DONE: &str = "delete from outbox where id = any ($1)";

const PENDING: &str = "\
select count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::double precision
from (select created_at from outbox order by created_at limit $1) as oldest";

/// Rows that are counted at most: where there are more, how old the oldest is says enough.
const COUNTED: i64 = 10_000;

/// A row that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its id: that of the payment or the charge.
    pub id: Uuid,
    /// What Redis must be told.
    pub owed: Owed,
}

/// What Redis must be told. Telling it twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// A reservation is paid: its seats are sold, and the balance has changed.
    Settle(Settle),
    /// A balance has changed.
    Project(Changed),
}

/// A balance that changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Whose.
    pub user_id: UserId,
    /// What it is by now.
    pub balance: Points,
    /// The account's version at that balance.
    pub version: i64,
}

/// A payment, as the outbox keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settle {
    /// The payer's balance.
    #[serde(flatten)]
    pub changed: Changed,
    /// What was paid.
    pub reservation_id: ReservationId,
    /// Under which attempt.
    pub attempt_id: String,
    /// Where the seats are, as a number.
    pub schedule_id: i64,
    /// What was bought.
    pub seat_ids: Vec<SeatId>,
    /// The room of the schedule.
    pub room: RoomName,
}

/// Removes what Redis has been told of, then takes up to `limit` rows that are due. A row that is not reported with
/// [`outbox_done`] comes again.
pub async fn outbox_due(ledger: &Ledger, limit: i64) -> Result<Vec<Due>, Fault> {
    let told = std::mem::take(&mut *ledger.core.told());
    if !told.is_empty() {
        transaction::write(ledger, sqlx::query(DONE).bind(told)).await?;
    }
    let rows = transaction::write(ledger, sqlx::query(DUE).bind(limit)).await?;
    rows.iter().map(due).collect()
}

/// Redis has been told. The row leaves with the next batch, or before the next look at what is due.
pub fn outbox_done(ledger: &Ledger, id: Uuid) {
    ledger.core.note_told([id]);
}

/// How many rows there are, 10,000 at most, and the age of the oldest in seconds.
pub async fn outbox_pending(ledger: &Ledger) -> Result<(i64, f64), Fault> {
    Ok(sqlx::query_as(PENDING).bind(COUNTED).fetch_one(ledger.db().pool()).await?)
}

fn due(row: &sqlx::postgres::PgRow) -> Result<Due, Fault> {
    let (id, kind): (Uuid, String) = (row.try_get("id")?, row.try_get("kind")?);
    let owed = match kind.as_str() {
        "settle" => Owed::Settle(row.try_get::<Json<_>, _>("payload")?.0),
        "project" => Owed::Project(row.try_get::<Json<_>, _>("payload")?.0),
        other => return Err(Fault::Defect(format!("the outbox holds a {other:?}"))),
    };
    Ok(Due { id, owed })
}
