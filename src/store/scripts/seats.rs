//! The seats' scripts: one function each.

mod checks;

use deadpool_redis::redis;

use super::{Reply, script};
use crate::error::Fault;
use crate::ids::{Epoch, Points, ReservationId, SeatId, UserId};
use crate::store::Redis;
use crate::store::keys::ScheduleKeys;
use crate::store::script::{Call, incarnation};

pub(crate) use checks::*;

script!(HOLD, "seats/hold");
script!(RELEASE, "seats/release");
script!(BEGIN_PAYMENT, "seats/begin_payment");
script!(ABORT_PAYMENT, "seats/abort_payment");
script!(SETTLE, "seats/settle");
script!(AVAILABILITY, "seats/availability");
script!(SETUP_SCHEDULE, "seats/setup_schedule");
script!(RESTORE_SOLD, "seats/restore_sold");
script!(STALE_PAYMENTS, "seats/stale_payments");
script!(FORGET_PAYMENT, "seats/forget_payment");
script!(COUNT_OWNED, "seats/count_owned");

/// Reservations of one account in one schedule that are listed.
const LISTED: isize = 50;

/// When the hold of a seat ends that its account owns, as the scripts write it.
const NEVER_MS: i64 = 9_000_000_000_000_000;

/// A schedule's seats as a caller knows them: their keys, and the epoch it believes in.
#[derive(Clone, Copy)]
pub(crate) struct Hall<'a> {
    pub(crate) redis: &'a Redis,
    pub(crate) keys: &'a ScheduleKeys,
    pub(crate) epoch: Epoch,
}

/// One reservation, by whom and of what.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) reservation: &'a ReservationId,
    pub(crate) seats: &'a [SeatId],
    pub(crate) amount: Points,
}

/// How a hold is limited.
#[derive(Clone, Copy)]
pub(crate) struct HoldLimits<'a> {
    pub(crate) hold_ms: i64,
    pub(crate) keep_ms: i64,
    pub(crate) seats_per_user: usize,
    /// The digest of the request's Idempotency-Key.
    pub(crate) key_digest: Option<&'a str>,
}

/// A seat that is not free, and the reservation that it was sold in.
pub(crate) type TakenSeat = (SeatId, Option<ReservationId>);

/// A seat that is sold, in which reservation, and to whom.
pub(crate) type SoldSeat = (SeatId, ReservationId, UserId);

/// What asking for seats gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HoldAnswer {
    Repeated { reservation: ReservationId },
    Yours { reservation: ReservationId },
    Taken { seats: Vec<TakenSeat> },
    Limit { has: u64 },
    Held { expires_ms: i64 },
}

pub(crate) async fn hold(hall: Hall<'_>, claim: Claim<'_>, limits: HoldLimits<'_>) -> Result<HoldAnswer, Fault> {
    let k = hall.keys;
    let (own, made) = (k.user(claim.user), k.reservations(claim.user));
    let (reservation, key) = (k.reservation(claim.reservation), k.key(claim.user, limits.key_digest.unwrap_or("-")));
    let holds: Vec<String> = claim.seats.iter().map(|seat| k.hold(seat)).collect();
    let named: [&str; 7] = [&k.meta, &k.held, &k.sold, &own, &made, &reservation, &key];
    let keys: Vec<&str> = named.into_iter().chain(holds.iter().map(String::as_str)).collect();
    let call = Call::new(&HOLD, &keys);
    let reply: Reply = hall
        .redis
        .call_in(hall.epoch.0, call, |c| {
            let c = c.arg(claim.user.as_str()).arg(claim.reservation.as_str()).arg(limits.hold_ms);
            let c = c.arg(limits.seats_per_user).arg(claim.amount.0).arg(limits.keep_ms);
            seat_args(c.arg(i32::from(limits.key_digest.is_some())), claim.seats)
        })
        .await?;
    match reply.word()? {
        "repeated" => Ok(HoldAnswer::Repeated { reservation: reservation_at(&reply, 1)? }),
        "yours" => Ok(HoldAnswer::Yours { reservation: reservation_at(&reply, 1)? }),
        "taken" => Ok(HoldAnswer::Taken { seats: taken(&reply)? }),
        "limit" => Ok(HoldAnswer::Limit { has: reply.count(1)? }),
        "held" => Ok(HoldAnswer::Held { expires_ms: reply.number(1)? }),
        _ => Err(reply.unexpected()),
    }
}

/// What asking to cancel gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    Unknown,
    Paying,
    Confirmed,
    Cancelled,
}

pub(crate) async fn release(hall: Hall<'_>, claim: Claim<'_>, keep_ms: i64) -> Result<Released, Fault> {
    let k = hall.keys;
    let (own, reservation) = (k.user(claim.user), k.reservation(claim.reservation));
    let holds: Vec<String> = claim.seats.iter().map(|seat| k.hold(seat)).collect();
    let named: [&str; 4] = [&k.meta, &k.held, &own, &reservation];
    let keys: Vec<&str> = named.into_iter().chain(holds.iter().map(String::as_str)).collect();
    let call = Call::new(&RELEASE, &keys);
    let reply: Reply = hall
        .redis
        .call_in(hall.epoch.0, call, |c| {
            seat_args(c.arg(claim.user.as_str()).arg(claim.reservation.as_str()).arg(keep_ms), claim.seats)
        })
        .await?;
    match reply.word()? {
        "unknown" => Ok(Released::Unknown),
        "paying" => Ok(Released::Paying),
        "confirmed" => Ok(Released::Confirmed),
        "cancelled" => Ok(Released::Cancelled),
        _ => Err(reply.unexpected()),
    }
}

/// What asking to begin a payment gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BeginAnswer {
    Unknown,
    Confirmed,
    Sold { seats: Vec<SeatId> },
    Over,
    OtherAmount { amount: Points },
    Begun { attempt: String },
    Expired,
}

pub(crate) async fn begin_payment(
    hall: Hall<'_>,
    claim: Claim<'_>,
    attempt: &str,
    payment_ms: i64,
) -> Result<BeginAnswer, Fault> {
    let k = hall.keys;
    let (own, reservation) = (k.user(claim.user), k.reservation(claim.reservation));
    let holds: Vec<String> = claim.seats.iter().map(|seat| k.hold(seat)).collect();
    let named: [&str; 6] = [&k.meta, &k.held, &own, &reservation, &k.paying, &k.sold];
    let keys: Vec<&str> = named.into_iter().chain(holds.iter().map(String::as_str)).collect();
    let call = Call::new(&BEGIN_PAYMENT, &keys);
    let reply: Reply = hall
        .redis
        .call_in(hall.epoch.0, call, |c| {
            let c = c.arg(claim.user.as_str()).arg(claim.reservation.as_str()).arg(attempt);
            seat_args(c.arg(claim.amount.0).arg(payment_ms), claim.seats)
        })
        .await?;
    match reply.word()? {
        "unknown" => Ok(BeginAnswer::Unknown),
        "confirmed" => Ok(BeginAnswer::Confirmed),
        "sold" => Ok(BeginAnswer::Sold { seats: seats_from(&reply, 1)? }),
        "over" => Ok(BeginAnswer::Over),
        "amount" => Ok(BeginAnswer::OtherAmount { amount: Points(reply.number(1)?) }),
        "begun" => Ok(BeginAnswer::Begun { attempt: reply.text(1)?.to_owned() }),
        "expired" => Ok(BeginAnswer::Expired),
        _ => Err(reply.unexpected()),
    }
}

/// Ends an attempt. Nothing happens where another attempt runs, or none.
pub(crate) async fn abort_payment(hall: Hall<'_>, claim: Claim<'_>, attempt: &str) -> Result<(), Fault> {
    let k = hall.keys;
    let (own, reservation) = (k.user(claim.user), k.reservation(claim.reservation));
    let holds: Vec<String> = claim.seats.iter().map(|seat| k.hold(seat)).collect();
    let named: [&str; 5] = [&k.meta, &k.held, &own, &reservation, &k.paying];
    let keys: Vec<&str> = named.into_iter().chain(holds.iter().map(String::as_str)).collect();
    let call = Call::new(&ABORT_PAYMENT, &keys);
    let reply: Reply = hall
        .redis
        .call_in(hall.epoch.0, call, |c| seat_args(c.arg(claim.reservation.as_str()).arg(attempt), claim.seats))
        .await?;
    match reply.word()? {
        "other" | "aborted" | "freed" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}

/// Marks seats sold. Answers the other reservations that held one of them.
pub(crate) async fn settle(hall: Hall<'_>, claim: Claim<'_>, keep_ms: i64) -> Result<Vec<ReservationId>, Fault> {
    let k = hall.keys;
    let (own, reservation) = (k.user(claim.user), k.reservation(claim.reservation));
    let holds: Vec<String> = claim.seats.iter().map(|seat| k.hold(seat)).collect();
    let named: [&str; 7] = [&k.meta, &k.held, &k.sold, &own, &reservation, &k.paying, &k.sales];
    let keys: Vec<&str> = named.into_iter().chain(holds.iter().map(String::as_str)).collect();
    let call = Call::new(&SETTLE, &keys);
    let reply: Reply = hall
        .redis
        .call_in(hall.epoch.0, call, |c| {
            let c = c.arg(claim.user.as_str()).arg(claim.reservation.as_str()).arg(claim.amount.0);
            seat_args(c.arg(keep_ms), claim.seats)
        })
        .await?;
    if reply.word()? != "settled" {
        return Err(reply.unexpected());
    }
    (1..=reply.texts_from(1)?.len()).map(|at| reservation_at(&reply, at)).collect()
}

/// What a caller knows of a schedule's seats in the epoch it believes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) version: u64,
    /// How many are sold.
    pub(crate) sold: usize,
}

/// What is held and what is sold, where that changed.
#[derive(Debug)]
pub(crate) struct Availability {
    pub(crate) swept: u64,
    pub(crate) changed: Option<Changed>,
}

/// The seats of a schedule that are not free, at a version.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) version: u64,
    pub(crate) held: Vec<String>,
    pub(crate) sold: Sold,
}

/// Which seats are sold, as far as the caller does not know it.
#[derive(Debug)]
pub(crate) enum Sold {
    /// Those that the caller knows.
    Known,
    /// These too.
    More(Vec<String>),
    /// These.
    All(Vec<String>),
}

pub(crate) async fn availability(hall: Hall<'_>, known: Option<Known>) -> Result<Availability, Fault> {
    let k = hall.keys;
    let version = known.map(|known| known.version.to_string()).unwrap_or_default();
    let sold = known.map(|known| known.sold.to_string()).unwrap_or_default();
    let call = Call::new(&AVAILABILITY, &[&k.meta, &k.held, &k.sold, &k.sales]);
    let reply: Reply = hall.redis.call_in(hall.epoch.0, call, |c| c.arg(version).arg(sold)).await?;
    let sold = match reply.word()? {
        "same" => return Ok(Availability { swept: reply.count(1)?, changed: None }),
        "held" => Sold::Known,
        "more" => Sold::More(reply.list(4)?),
        "changed" => Sold::All(reply.list(4)?),
        _ => return Err(reply.unexpected()),
    };
    let changed = Changed { version: reply.count(2)?, held: reply.list(3)?, sold };
    Ok(Availability { swept: reply.count(1)?, changed: Some(changed) })
}

/// Answers whether this call set the schedule up; it did not where it is at this epoch or a later one.
pub(crate) async fn setup_schedule(hall: Hall<'_>) -> Result<bool, Fault> {
    let k = hall.keys;
    let run = hall.redis.run(&k.meta).await?;
    let call = Call::new(&SETUP_SCHEDULE, &[&k.meta]).arg(incarnation(hall.epoch.0, &run)).arg(hall.epoch.0);
    let reply: Reply = hall.redis.call(call).await?;
    match reply.word()? {
        "older" => Ok(false),
        "ready" => Ok(true),
        _ => Err(reply.unexpected()),
    }
}

/// Marks seats sold and their owners' own, before the schedule is set up for a new epoch. Nothing happens where it is.
pub(crate) async fn restore_sold(hall: Hall<'_>, sold: &[SoldSeat]) -> Result<(), Fault> {
    let k = hall.keys;
    let of_seats = sold.iter().flat_map(|(seat, by, user)| [k.user(user), k.reservation(by), k.hold(seat)]);
    let of_seats: Vec<String> = of_seats.collect();
    let named: [&str; 5] = [&k.meta, &k.held, &k.sold, &k.paying, &k.sales];
    let keys: Vec<&str> = named.into_iter().chain(of_seats.iter().map(String::as_str)).collect();
    let call = Call::new(&RESTORE_SOLD, &keys).arg(hall.epoch.0);
    let call = sold.iter().fold(call, |call, (seat, by, _)| call.arg(seat.as_str()).arg(by.as_str()));
    let reply: Reply = hall.redis.call(call).await?;
    match reply.word()? {
        "older" | "restored" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}

pub(crate) async fn stale_payments(hall: Hall<'_>, most: u32) -> Result<Vec<ReservationId>, Fault> {
    let k = hall.keys;
    let reply: Reply = hall.redis.call(Call::new(&STALE_PAYMENTS, &[&k.paying]).arg(most)).await?;
    (0..reply.texts_from(0)?.len()).map(|at| reservation_at(&reply, at)).collect()
}

/// Nothing happens where the payment is under way.
pub(crate) async fn forget_payment(hall: Hall<'_>, id: &ReservationId) -> Result<(), Fault> {
    let k = hall.keys;
    let call = Call::new(&FORGET_PAYMENT, &[&k.meta, &k.reservation(id), &k.paying]);
    let reply: Reply = hall.redis.call_in(hall.epoch.0, call, |c| c.arg(id.as_str())).await?;
    match reply.word()? {
        "paying" | "forgotten" => Ok(()),
        _ => Err(reply.unexpected()),
    }
}

/// How many seats of the schedule an account owns.
pub(crate) async fn count_owned(hall: Hall<'_>, user: &UserId) -> Result<u64, Fault> {
    let k = hall.keys;
    let call = Call::new(&COUNT_OWNED, &[&k.meta, &k.user(user)]);
    let reply: Reply = hall.redis.call_in(hall.epoch.0, call, |c| c).await?;
    match reply.word()? {
        "owns" => reply.count(1),
        _ => Err(reply.unexpected()),
    }
}

/// The fields of a reservation; none where there is none.
pub(crate) async fn read_reservation(hall: Hall<'_>, id: &ReservationId) -> Result<Vec<(String, String)>, Fault> {
    hall.redis.command(redis::cmd("HGETALL").arg(hall.keys.reservation(id))).await
}

/// Whether an account has seats that are not its own for good.
pub(crate) async fn holds_any(hall: Hall<'_>, user: &UserId) -> Result<bool, Fault> {
    let mut count = redis::cmd("ZCOUNT");
    count.arg(hall.keys.user(user)).arg("-inf").arg(format!("({NEVER_MS}"));
    Ok(hall.redis.command::<u64>(&count).await? > 0)
}

/// The reservations that an account made, the latest first.
pub(crate) async fn list_reservations(hall: Hall<'_>, user: &UserId) -> Result<Vec<ReservationId>, Fault> {
    let mut range = redis::cmd("ZRANGE");
    range.arg(hall.keys.reservations(user)).arg(0).arg(LISTED - 1).arg("REV");
    let ids: Vec<String> = hall.redis.command(&range).await?;
    Ok(ids.iter().filter_map(|id| ReservationId::parse(id).ok()).collect())
}

/// What the schedule says its incarnation is; nothing where there is none.
pub(crate) async fn read_incarnation(redis: &Redis, keys: &ScheduleKeys) -> Result<Option<String>, Fault> {
    redis.command(redis::cmd("HGET").arg(&keys.meta).arg("incarnation")).await
}

fn seat_args(call: Call, seats: &[SeatId]) -> Call {
    seats.iter().fold(call, |call, seat| call.arg(seat.as_str()))
}

fn reservation_at(reply: &Reply, at: usize) -> Result<ReservationId, Fault> {
    ReservationId::parse(reply.text(at)?).map_err(|_| reply.unexpected())
}

fn seats_from(reply: &Reply, at: usize) -> Result<Vec<SeatId>, Fault> {
    reply.texts_from(at)?.into_iter().map(|seat| SeatId::parse(seat).map_err(|_| reply.unexpected())).collect()
}

fn taken(reply: &Reply) -> Result<Vec<TakenSeat>, Fault> {
    let texts = reply.texts_from(1)?;
    let pairs = texts.chunks_exact(2).map(|pair| {
        let seat = SeatId::parse(pair[0]).map_err(|_| reply.unexpected())?;
        Ok((seat, ReservationId::parse(pair[1]).ok()))
    });
    pairs.collect()
}
