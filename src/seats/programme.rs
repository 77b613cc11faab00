//! The programme: concerts, their schedules and seat plans, as operators make and change them.
//!
//! A plan may change prices and sections and gain seats while it is on sale; it never loses one, because someone may
//! hold it at that moment.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;

use super::{Seats, refresh_plans};
use crate::error::Fault;
use crate::ids::{RoomName, ScheduleId, SeatId};
use crate::store::audit::{self, Deed};

/// Ids that operators choose lie below those that are given.
const FIRST_GIVEN_ID: i64 = 100_000;

/// Seats of one schedule at most.
const MOST_SEATS: usize = 50_000;

/// Concerts or schedules that one list shows at most.
const MOST_LISTED: i64 = 1_000;

/// Why the programme was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ProgrammeError {
    /// A value that cannot be.
    #[error("{field} {message}")]
    Invalid {
        /// The value's name.
        field: &'static str,
        /// What it may be.
        message: String,
    },
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ProgrammeError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|e| e.constraint().map(str::to_owned));
        match constraint.as_deref() {
            Some("schedules_concert_fkey") => invalid("concertId", "is no concert"),
            Some("schedules_room_fkey") => invalid("room", "is no room"),
            _ => Self::Fault(error.into()),
        }
    }
}

fn invalid(field: &'static str, message: impl Into<String>) -> ProgrammeError {
    ProgrammeError::Invalid { field, message: message.into() }
}

/// What is on the poster.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concert {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub concert_id: i64,
    /// Its title.
    pub title: String,
}

/// One performance.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub schedule_id: i64,
    /// The concert that it is a performance of.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub concert_id: i64,
    /// The concert's title.
    pub title: String,
    /// The room whose line leads to it.
    pub room: String,
    /// Where it is.
    pub venue: String,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// From when it is on sale no more; null where its sale has no end of its own.
    pub sale_ends_at: Option<DateTime<Utc>>,
    /// How many seats it has.
    pub seats: i64,
    /// Counts the changes.
    pub plan_version: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_text<S: serde::Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Rows of seats side by side, all of one price.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// Its name, such as `Floor`.
    pub name: String,
    /// The labels of its rows, such as `A`; a seat's label is that of its row and its number: `A1`.
    pub rows: Vec<String>,
    /// Seats of each row, numbered from 1.
    pub seats_per_row: u16,
    /// The first number, where a row goes on in another section.
    #[serde(default = "one")]
    pub first_number: u16,
    /// Points for each seat, at least 1.
    pub price: i64,
}

fn one() -> u16 {
    1
}

/// A performance as an operator wants it.
#[derive(Debug)]
pub struct Wish {
    /// Which one; none for a new one.
    pub id: Option<ScheduleId>,
    /// The concert.
    pub concert_id: i64,
    /// The room.
    pub room: RoomName,
    /// Where it is.
    pub venue: String,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// The end of its sale: none to leave it as it is, some none to take it away.
    pub sale_ends_at: Option<Option<DateTime<Utc>>>,
    /// Its seats; none to leave them as they are.
    pub sections: Option<Vec<Section>>,
}

const CONCERTS: &str = "select id as concert_id, title from concerts order by id desc limit $1";

const ADD_CONCERT: &str = "insert into concerts (title) values ($1) returning id as concert_id, title";

const PUT_CONCERT: &str = "\
insert into concerts (id, title) values ($1, $2)
on conflict on constraint concerts_pkey do update set title = excluded.title
returning id as concert_id, title";

/// A title is in the plans that processes remember.
const RENEW_PLANS: &str = "update schedules set plan_version = plan_version + 1 where concert_id = $1";

const PERFORMANCES: &str = "\
select s.id as schedule_id, s.concert_id, c.title, s.room, s.venue, s.starts_at, s.sale_ends_at, s.plan_version,
    (select count(*) from seats where schedule_id = s.id) as seats
from schedules s join concerts c on c.id = s.concert_id
where $1::bigint is null or s.id = $1
order by s.starts_at desc, s.id limit $2";

const ADD_SCHEDULE: &str = "\
insert into schedules (concert_id, room, venue, starts_at, sale_ends_at) values ($1, $2, $3, $4, $5) returning id";

const PUT_SCHEDULE: &str = "\
insert into schedules (id, concert_id, room, venue, starts_at, sale_ends_at) values ($1, $2, $3, $4, $5, $6)
on conflict on constraint schedules_pkey do update set concert_id = excluded.concert_id, room = excluded.room,
    venue = excluded.venue, starts_at = excluded.starts_at,
    sale_ends_at = case when $7 then excluded.sale_ends_at else schedules.sale_ends_at end, plan_version = schedules.plan_version + 1
returning id";

const LOST_SEAT: &str = "\
select label from seats where schedule_id = $1 and label <> all($2::text[]) order by ordinal limit 1";

/// In the order in which payments lock them: otherwise each could wait for the other.
const LOCK_SEATS: &str = "select from seats where schedule_id = $1 order by label for update";

/// Out of the way of the new order: an ordinal stands once.
const FREE_ORDINALS: &str = "update seats set ordinal = -ordinal where schedule_id = $1";

const PUT_SEATS: &str = "\
insert into seats (schedule_id, label, section, row_label, number, ordinal, price)
select $1, label, section, row_label, number, ordinal, price
from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[]) with ordinality
    as placed (label, section, row_label, number, price, ordinal)
on conflict on constraint seats_pkey do update set section = excluded.section, row_label = excluded.row_label,
    number = excluded.number, ordinal = excluded.ordinal, price = excluded.price";

/// Every concert, the newest first.
pub async fn list_concerts(seats: &Seats) -> Result<Vec<Concert>, Fault> {
    Ok(sqlx::query_as(CONCERTS).bind(MOST_LISTED).fetch_all(seats.db.pool()).await?)
}

/// Makes a concert, or changes the one of this id.
pub async fn put_concert(
    seats: &Seats,
    id: Option<i64>,
    title: &str,
    reason: Option<&str>,
) -> Result<Concert, ProgrammeError> {
    told("title", title, 300)?;
    let mut transaction = seats.db.pool().begin().await?;
    let concert: Concert = match id {
        None => sqlx::query_as(ADD_CONCERT).bind(title).fetch_one(&mut *transaction).await?,
        Some(id) => {
            own_id(&mut transaction, "concertId", id, "select exists (select from concerts where id = $1)").await?;
            let concert = sqlx::query_as(PUT_CONCERT).bind(id).bind(title).fetch_one(&mut *transaction).await?;
            sqlx::query(RENEW_PLANS).bind(id).execute(&mut *transaction).await?;
            concert
        }
    };
    let deed = Deed { action: "put-concert", reason, after: Some(json!(concert)), ..Deed::default() };
    audit::note(&mut transaction, deed).await?;
    transaction.commit().await?;
    refresh_plans(seats).await?;
    Ok(concert)
}

/// Every performance, the latest first.
pub async fn list_performances(seats: &Seats) -> Result<Vec<Performance>, Fault> {
    let listed = sqlx::query_as(PERFORMANCES).bind(None::<i64>).bind(MOST_LISTED);
    Ok(listed.fetch_all(seats.db.pool()).await?)
}

/// Makes a performance with its seats, or changes the one of this id.
pub async fn put_performance(seats: &Seats, wish: &Wish, reason: Option<&str>) -> Result<Performance, ProgrammeError> {
    told("venue", &wish.venue, 300)?;
    let plan = wish.sections.as_deref().map(lay_out).transpose()?;
    let mut transaction = seats.db.pool().begin().await?;
    let put = match wish.id {
        None => sqlx::query_scalar(ADD_SCHEDULE),
        Some(ScheduleId(id)) => {
            own_id(&mut transaction, "scheduleId", id, "select exists (select from schedules where id = $1)").await?;
            sqlx::query_scalar(PUT_SCHEDULE).bind(id)
        }
    };
    let put = put.bind(wish.concert_id).bind(wish.room.as_str()).bind(&wish.venue).bind(wish.starts_at);
    let put = put.bind(wish.sale_ends_at.flatten());
    let put = if wish.id.is_some() { put.bind(wish.sale_ends_at.is_some()) } else { put };
    let id: i64 = put.fetch_one(&mut *transaction).await?;
    if let Some(plan) = &plan {
        put_seats(&mut transaction, id, plan).await?;
    }
    let performance: Performance =
        sqlx::query_as(PERFORMANCES).bind(id).bind(1_i64).fetch_one(&mut *transaction).await?;
    let deed = Deed {
        action: "put-schedule",
        room: Some(wish.room.as_str()),
        reason,
        before: None,
        after: Some(json!({ "schedule": performance, "sections": wish.sections })),
    };
    audit::note(&mut transaction, deed).await?;
    transaction.commit().await?;
    refresh_plans(seats).await?;
    Ok(performance)
}

/// An id that an operator chooses is either there, or below those that are given.
async fn own_id(
    connection: &mut PgConnection,
    field: &'static str,
    id: i64,
    exists: &'static str,
) -> Result<(), ProgrammeError> {
    let known = || async { sqlx::query_scalar::<_, bool>(exists).bind(id).fetch_one(connection).await };
    if (1..FIRST_GIVEN_ID).contains(&id) || known().await? {
        return Ok(());
    }
    Err(invalid(field, format!("is that of one which is there, or a new one from 1 to {}", FIRST_GIVEN_ID - 1)))
}

fn told(field: &'static str, text: &str, most: usize) -> Result<(), ProgrammeError> {
    let fits = !text.trim().is_empty() && text.chars().count() <= most && !text.contains('\0');
    if fits { Ok(()) } else { Err(invalid(field, format!("has 1 to {most} characters"))) }
}

/// Seats in the plan's order, a list for each column.
#[derive(Default)]
struct Columns {
    labels: Vec<String>,
    sections: Vec<String>,
    rows: Vec<String>,
    numbers: Vec<i32>,
    prices: Vec<i64>,
}

fn lay_out(sections: &[Section]) -> Result<Columns, ProgrammeError> {
    let mut plan = Columns::default();
    let mut seen = HashSet::new();
    for section in sections {
        told("sections", &section.name, 100)?;
        if !(1..=1_000_000_000).contains(&section.price) {
            return Err(invalid("sections", "have a price from 1 to 1000000000"));
        }
        for row in &section.rows {
            for number in (section.first_number..).take(usize::from(section.seats_per_row)) {
                let label = format!("{row}{number}");
                SeatId::parse(&label).map_err(|e| invalid("sections", format!("{label}: {e}")))?;
                if !seen.insert(label.clone()) {
                    return Err(invalid("sections", format!("have the seat {label} twice")));
                }
                plan.labels.push(label);
                plan.sections.push(section.name.clone());
                plan.rows.push(row.clone());
                plan.numbers.push(i32::from(number));
                plan.prices.push(section.price);
                if plan.labels.len() > MOST_SEATS {
                    return Err(invalid("sections", format!("have at most {MOST_SEATS} seats")));
                }
            }
        }
    }
    if plan.labels.is_empty() { Err(invalid("sections", "have no seat")) } else { Ok(plan) }
}

async fn put_seats(connection: &mut PgConnection, schedule: i64, plan: &Columns) -> Result<(), ProgrammeError> {
    let lost: Option<String> =
        sqlx::query_scalar(LOST_SEAT).bind(schedule).bind(&plan.labels).fetch_optional(&mut *connection).await?;
    if let Some(seat) = lost {
        return Err(invalid("sections", format!("leave out the seat {seat}, which someone may hold")));
    }
    sqlx::query(LOCK_SEATS).bind(schedule).execute(&mut *connection).await?;
    sqlx::query(FREE_ORDINALS).bind(schedule).execute(&mut *connection).await?;
    let put = sqlx::query(PUT_SEATS).bind(schedule).bind(&plan.labels).bind(&plan.sections).bind(&plan.rows);
    put.bind(&plan.numbers).bind(&plan.prices).execute(connection).await?;
    Ok(())
}
