//! What checks ask of a schedule's seats, and no visitor does.

use std::collections::HashMap;

use deadpool_redis::redis;

use super::{Call, Fault, Hall, Reply, SeatId, script, seat_args};

script!(CENSUS, "seats/census");
script!(LOOK_AT_HOLDS, "seats/look_at_holds");

/// Sold seats read by one command, about: less than a millisecond in which Redis does nothing else.
const SOLD_AT_ONCE: usize = 500;

/// Every hold of a schedule, and how many seats are sold, at one moment.
#[derive(Debug)]
pub(crate) struct Census {
    pub(crate) now_ms: i64,
    pub(crate) version: u64,
    pub(crate) sold: usize,
    pub(crate) held: Vec<(String, i64)>,
}

pub(crate) async fn census(hall: Hall<'_>) -> Result<Census, Fault> {
    let k = hall.keys;
    let reply: Reply = hall.redis.call(Call::new(&CENSUS, &[&k.meta, &k.held, &k.sold])).await?;
    let held = reply.pairs(3)?.into_iter().map(|(seat, ms)| Ok((seat, ms.parse().map_err(|_| reply.unexpected())?)));
    Ok(Census {
        now_ms: reply.number(0)?,
        version: reply.count(1)?,
        sold: usize::try_from(reply.count(2)?).map_err(|_| reply.unexpected())?,
        held: held.collect::<Result<_, Fault>>()?,
    })
}

/// What Redis has of a seat that is not free.
#[derive(Debug)]
pub(crate) struct SeatSeen {
    pub(crate) seat: String,
    /// How long its hold lasts, ms: -1 for ever, -2 where it has none.
    pub(crate) hold_ms: i64,
    /// Whether it is shown as held.
    pub(crate) listed: bool,
    pub(crate) sold: bool,
}

/// Looks at some seats, and tells of those that are not free.
pub(crate) async fn look_at_holds(hall: Hall<'_>, seats: &[SeatId]) -> Result<Vec<SeatSeen>, Fault> {
    let k = hall.keys;
    let holds: Vec<String> = seats.iter().map(|seat| k.hold(seat)).collect();
    let named: [&str; 2] = [&k.held, &k.sold];
    let keys: Vec<&str> = named.into_iter().chain(holds.iter().map(String::as_str)).collect();
    let call = seat_args(Call::new(&LOOK_AT_HOLDS, &keys), seats);
    let reply: Reply = hall.redis.call(call).await?;
    let seen = (0..reply.len()).step_by(4).map(|at| {
        Ok(SeatSeen {
            seat: reply.text(at)?.to_owned(),
            hold_ms: reply.number(at + 1)?,
            listed: reply.number(at + 2)? == 1,
            sold: reply.number(at + 3)? == 1,
        })
    });
    seen.collect()
}

/// The sold seats and their reservations, in steps: all that were sold before the first, and some that were sold since.
pub(crate) async fn read_sold(hall: Hall<'_>) -> Result<HashMap<String, String>, Fault> {
    let (mut sold, mut cursor) = (HashMap::new(), 0_u64);
    loop {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(&hall.keys.sold).arg(cursor).arg("COUNT").arg(SOLD_AT_ONCE);
        let (next, some): (u64, Vec<(String, String)>) = hall.redis.command(&scan).await?;
        sold.extend(some);
        if next == 0 {
            return Ok(sold);
        }
        cursor = next;
    }
}
