//! The audit: what operators did and why, written in the transaction that did it, and never changed.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;

use super::Db;
use crate::error::Fault;

/// Who acts: whoever has the operators' token.
const ACTOR: &str = "admin";

/// One thing that an operator does.
#[derive(Debug, Default)]
pub struct Deed<'a> {
    /// What kind of thing, such as `change-room`.
    pub action: &'static str,
    /// The room that it is done to, where it is done to one.
    pub room: Option<&'a str>,
    /// Why, in the operator's words.
    pub reason: Option<&'a str>,
    /// What was before.
    pub before: Option<Value>,
    /// What is after.
    pub after: Option<Value>,
}

/// One thing that an operator did.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Grows with each entry.
    pub id: i64,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `change-room`.
    pub action: String,
    /// The room that it was done to.
    pub room: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What was before.
    #[schema(value_type = Option<serde_json::Value>)]
    pub before: Option<Json<Value>>,
    /// What was after.
    #[schema(value_type = Option<serde_json::Value>)]
    pub after: Option<Json<Value>>,
}

const NOTE: &str = "\
insert into audit_log (actor, action, room, reason, before, after) values ($1, $2, $3, $4, $5, $6)";

const LIST: &str = "\
select id, at, actor, action, room, reason, before, after from audit_log
where ($1::text is null or room = $1) and ($2::bigint is null or id < $2)
order by id desc limit $3";

/// Writes a deed down. It stands when the connection's transaction does.
pub async fn note(connection: &mut PgConnection, deed: Deed<'_>) -> Result<(), Fault> {
    noting(deed).execute(connection).await?;
    Ok(())
}

/// Writes a deed down that no transaction of Postgres does. Called first: what cannot be written down is not done.
pub async fn note_alone(db: &Db, deed: Deed<'_>) -> Result<(), Fault> {
    noting(deed).execute(db.pool()).await?;
    Ok(())
}

fn noting(deed: Deed<'_>) -> Query<'static, Postgres, PgArguments> {
    let noted = sqlx::query(NOTE).bind(ACTOR).bind(deed.action).bind(deed.room).bind(deed.reason);
    noted.bind(deed.before.map(Json)).bind(deed.after.map(Json))
}

/// The latest deeds, those before an id where one is given.
pub async fn list(db: &Db, room: Option<&str>, before: Option<i64>, most: i64) -> Result<Vec<Done>, Fault> {
    Ok(sqlx::query_as(LIST).bind(room).bind(before).bind(most).fetch_all(db.pool()).await?)
}
