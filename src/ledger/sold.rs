//! What Postgres knows of a sale, for setting Redis up again.

use chrono::{DateTime, Utc};

use super::Ledger;
use crate::error::Fault;
use crate::ids::{ReservationId, RoomName, ScheduleId, SeatId, UserId};

const SOLD_SEATS: &str = "\
select s.seat_id, p.reservation_id, p.user_id
from payment_seats as s join payments as p on p.id = s.payment_id
where s.schedule_id = $1";

const PAID_SINCE: &str = "\
select p.user_id, max(p.paid_at)
from payments as p join schedules as s on s.id = p.schedule_id
where s.room = $1 and p.paid_at >= $2
group by p.user_id";

/// A seat that is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// The seat.
    pub seat: SeatId,
    /// Whose it is.
    pub reservation: ReservationId,
    /// Who paid.
    pub user: UserId,
}

/// The sold seats of a schedule, in no order.
pub async fn sold_seats(ledger: &Ledger, schedule: ScheduleId) -> Result<Vec<Sold>, Fault> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as(SOLD_SEATS).bind(schedule.0).fetch_all(ledger.db().pool()).await?;
    rows.iter()
        .map(|(seat, reservation, user)| Ok(Sold { seat: id(seat)?, reservation: id(reservation)?, user: id(user)? }))
        .collect()
}

/// The accounts that paid something in a room since a time, and when they last did.
pub async fn paid_since(
    ledger: &Ledger,
    room: &RoomName,
    since: DateTime<Utc>,
) -> Result<Vec<(UserId, DateTime<Utc>)>, Fault> {
    let rows: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as(PAID_SINCE).bind(room.as_str()).bind(since).fetch_all(ledger.db().pool()).await?;
    rows.iter().map(|(user, at)| Ok((id(user)?, *at))).collect()
}

fn id<T: std::str::FromStr<Err = crate::ids::BadId>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|e| Fault::Defect(format!("{text:?} in Postgres: {e}")))
}
