//! The ledger, on a real Redis and Postgres.

mod answers;
mod batches;
mod doubts;
mod invariants;
mod proxy;
mod reads;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anteroom::config::Config;
use anteroom::ids::{Points, ReservationId, RoomName, ScheduleId, SeatId, UserId};
use anteroom::ledger::{self, Key, Ledger, Pace, PayOrder, Settings};
use anteroom::store::db::Limits;
use anteroom::store::{Db, Redis};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{sleep, timeout};

use crate::support;

const SCHEDULE: ScheduleId = ScheduleId(7);
const SEATS: i64 = 200;
const PRICE: Points = Points(100);

/// A database with one schedule and some accounts, and any number of processes' ledgers on it.
struct House {
    url: String,
    /// Accounts of different tests share a Redis, so they have names of their own.
    prefix: String,
}

impl House {
    /// Accounts 0 to `accounts` − 1 with so many points each, and a schedule of 200 seats `S1` to `S200`.
    async fn with(accounts: i64, points: i64) -> Self {
        static HOUSES: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("l{}-{}-", std::process::id(), HOUSES.fetch_add(1, Ordering::Relaxed));
        let house = Self { url: support::database().await, prefix };
        let mut connection = house.connection().await;
        for statement in [
            "insert into rooms (name) values ('main')",
            "insert into concerts (id, title) values (1, 'A concert')",
            "insert into schedules (id, concert_id, room, venue, starts_at) values (7, 1, 'main', 'A hall', now())",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        sqlx::query("insert into seats select 7, 'S' || n, 'S', 'A', n, n, 100 from generate_series(1, $1) as n")
            .bind(SEATS)
            .execute(&mut connection)
            .await
            .unwrap();
        for statement in [
            "insert into users select $1 || n, '-' from generate_series(0, $2 - 1) as n where $3 >= 0",
            "insert into accounts select $1 || n, $3, 1 from generate_series(0, $2 - 1) as n",
            "insert into ledger_entries (kind, reference, side, user_id, amount)
             select 'opening', $1 || n, 'user', $1 || n, $3 from generate_series(0, $2 - 1) as n where $3 > 0
             union all
             select 'opening', $1 || n, 'shop', null, -$3 from generate_series(0, $2 - 1) as n where $3 > 0",
        ] {
            let statement = sqlx::query(statement).bind(&house.prefix).bind(accounts).bind(points);
            statement.execute(&mut connection).await.unwrap();
        }
        house
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// One process' ledger.
    fn ledger(&self) -> Ledger {
        ledger_at(&self.url, Settings::of(&Config::default()))
    }

    fn user(&self, number: usize) -> UserId {
        UserId::parse(&format!("{}{number}", self.prefix)).unwrap()
    }

    /// Seats `S<n>` at 100 points each, paid by an account as reservation `r<reservation>`.
    fn order(&self, user: usize, reservation: &str, seats: &[usize]) -> PayOrder {
        PayOrder {
            user: self.user(user),
            reservation: ReservationId::parse(reservation).unwrap(),
            attempt: "first".into(),
            schedule: SCHEDULE,
            seats: seats.iter().map(|n| SeatId::parse(&format!("S{n}")).unwrap()).collect(),
            amount: Points(PRICE.0 * i64::try_from(seats.len()).unwrap()),
            room: RoomName::parse("main").unwrap(),
        }
    }

    async fn count(&self, what: &str) -> i64 {
        let statement = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}")));
        statement.fetch_one(&mut self.connection().await).await.unwrap()
    }

    async fn balance(&self, user: usize) -> i64 {
        sqlx::query_scalar("select balance from accounts where user_id = $1")
            .bind(self.user(user).as_str())
            .fetch_one(&mut self.connection().await)
            .await
            .unwrap()
    }

    /// Every invariant that Postgres can answer for.
    async fn sound(&self, ledger: &Ledger) {
        let broken: Vec<_> =
            ledger::check(ledger, Pace { rests: 0 }).await.unwrap().into_iter().filter(|check| !check.ok).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }

    /// Makes every batch wait that touches these accounts, until what is returned is dropped.
    async fn hold_back(&self, users: &[usize]) -> PgConnection {
        let mut connection = self.connection().await;
        sqlx::query("begin").execute(&mut connection).await.unwrap();
        for user in users {
            sqlx::query("select from accounts where user_id = $1 for update")
                .bind(self.user(*user).as_str())
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection
    }

    /// Returns when so many sessions of this database wait for a lock.
    async fn until_waiting(&self, sessions: i64) {
        let asked = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let waiting = async {
            while self.count(asked).await < sessions {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), waiting).await.expect("sessions wait for a lock");
    }
}

fn ledger_at(url: &str, settings: Settings) -> Ledger {
    let redis = Redis::new(&support::stores().redis_url, 1, Duration::from_secs(5)).unwrap();
    Ledger::new(db(url), Arc::new(redis), settings)
}

fn db(url: &str) -> Db {
    // A fifth of a statement's time may go to a lock, and these tests hold some for as long as a busy machine takes.
    let limits = Limits { connections: 5, wait: Duration::from_secs(5), statement: Duration::from_secs(25) };
    Db::new(url, limits).unwrap()
}

fn key(name: &str, body: u8) -> Key {
    Key { route: "test".into(), key: name.into(), body_hash: [body; 32] }
}
