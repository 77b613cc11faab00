//! Demo data: accounts with points, concerts with seats, and one payment. Safe to run again.

use serde_json::json;
use sqlx::types::Json;
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use crate::accounts::{Password, hash_password};
use crate::error::Fault;
use crate::ids::new_uuid;
use crate::store::Db;

/// Demo accounts are `user00001`, `user00002`, …
pub const USER_PREFIX: &str = "user";

/// What each demo account begins with.
pub const OPENING_POINTS: i64 = 1_000_000;

/// Accounts made by one statement.
const STEP: usize = 10_000;

/// One seeding at a time; any number that nothing else in the database locks.
const LOCK: &str = "select pg_advisory_xact_lock(5204190)";

const ROOM: &str = "\
insert into rooms (name, state, capacity, admit_per_second) values ('main', 'open', 2000, 500)
on conflict on constraint rooms_pkey do nothing";

const CONCERTS: &str = "\
insert into concerts (id, title)
values (1, 'An Evening of Strings'), (2, 'Voices Unplugged'), (3, 'Harbour Lights')
on conflict on constraint concerts_pkey do nothing";

const USERS: &str = include_str!("sql/demo_users.sql");
const SCHEDULES: &str = include_str!("sql/demo_schedules.sql");
const PAY: &str = "select answer from apply_ledger_batch($1, $2, $3)";

/// How much demo data there shall be.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Accounts `user00001` and so on.
    pub users: u32,
    /// The password of all of them.
    pub password: Password,
    /// Schedules beside the named ones.
    pub schedules: u16,
    /// Seats of each of those, at most 35,100: labels have two letters.
    pub seats: u16,
}

/// The name of a demo account, counted from 1.
pub fn user_name(number: u32) -> String {
    format!("{USER_PREFIX}{number:05}")
}

/// Puts the demo data there, in one transaction. Gives how many accounts were new.
pub async fn seed(db: &Db, demo: &Demo) -> Result<u64, Fault> {
    let mut transaction = db.pool().begin().await?;
    let patience = ["set local statement_timeout = '5min'", "set local lock_timeout = '5min'"];
    for statement in patience.into_iter().chain([LOCK, ROOM, CONCERTS]) {
        transaction.execute(statement).await?;
    }
    let schedules = sqlx::query(SCHEDULES).bind(i32::from(demo.schedules)).bind(i32::from(demo.seats));
    schedules.execute(&mut *transaction).await?;
    let made = add_users(&mut transaction, demo).await?;
    buy_first_seat(&mut transaction).await?;
    transaction.commit().await?;
    Ok(made)
}

/// All demo accounts share one hash, salt included: hashing each would take a quarter of a minute of a core for a
/// thousand. That is acceptable because their password is published anyway; a salt protects secrets, and here is none.
async fn add_users(connection: &mut PgConnection, demo: &Demo) -> Result<u64, Fault> {
    let names: Vec<String> = (1..=demo.users).map(user_name).collect();
    let hash = hash_password(&demo.password)?;
    let mut made = 0;
    for names in names.chunks(STEP) {
        made += add(connection, names, &hash).await?;
    }
    let password = Password::parse("testpass").map_err(|e| Fault::Defect(e.to_string()))?;
    made += add(connection, &["testuser".into()], &hash_password(&password)?).await?;
    Ok(made)
}

async fn add(connection: &mut PgConnection, names: &[String], hash: &str) -> Result<u64, Fault> {
    let made: i64 = sqlx::query_scalar(USERS).bind(names).bind(hash).bind(OPENING_POINTS).fetch_one(connection).await?;
    Ok(made.unsigned_abs())
}

/// Seat A1 of schedule 12345 belongs to `testuser`, as reservation `res123`: bought like any other, so it is in the
/// ledger, and buying it again changes nothing.
async fn buy_first_seat(connection: &mut PgConnection) -> Result<(), Fault> {
    let order = json!([{
        "kind": "payment", "user_id": "testuser", "amount": 5_000, "reference": "res123", "attempt_id": "seed",
        "payment_id": new_uuid(), "schedule_id": 12_345, "seats": ["A1"], "room": "main",
    }]);
    let bought = sqlx::query_scalar(PAY).bind(Json(order)).bind(i64::MAX).bind(Vec::<Uuid>::new());
    let Json(answer): Json<serde_json::Value> = bought.fetch_one(connection).await?;
    if answer["outcome"] == "paid" {
        return Ok(());
    }
    Err(Fault::Defect(format!("testuser could not buy the first seat: {answer}")))
}
