//! Every key's name. Braces keep what one script touches in one slot of a Redis Cluster.

use crate::ids::{ReservationId, RoomName, ScheduleId, SeatId, UserId};

/// The keys of one room, named once.
#[derive(Debug)]
pub(crate) struct RoomKeys {
    pub(crate) room: String,
    pub(crate) waiting: String,
    pub(crate) present: String,
    pub(crate) aside: String,
    pub(crate) grace: String,
    pub(crate) pending: String,
    pub(crate) recalled: String,
    pub(crate) visits: String,
    pub(crate) active: String,
    pub(crate) idle: String,
    pub(crate) left: String,
    pub(crate) returned: String,
    pub(crate) paid: String,
    pub(crate) drawn: String,
    pub(crate) phones: String,
    attempt: String,
}

impl RoomKeys {
    pub(crate) fn new(room: &RoomName) -> Self {
        let key = |part: &str| format!("anteroom:{{{room}}}:{part}");
        Self {
            room: key("room"),
            waiting: key("waiting"),
            present: key("present"),
            aside: key("aside"),
            grace: key("grace"),
            pending: key("pending"),
            recalled: key("recalled"),
            visits: key("visits"),
            active: key("active"),
            idle: key("idle"),
            left: key("left"),
            returned: key("returned"),
            paid: key("paid"),
            drawn: key("drawn"),
            phones: key("phones"),
            attempt: key("attempt:"),
        }
    }

    /// What became of a login attempt.
    pub(crate) fn attempt(&self, attempt: &str) -> String {
        format!("{}{attempt}", self.attempt)
    }
}

/// The keys of one schedule, named once.
#[derive(Debug)]
pub(crate) struct ScheduleKeys {
    pub(crate) meta: String,
    pub(crate) held: String,
    pub(crate) sold: String,
    pub(crate) sales: String,
    pub(crate) paying: String,
    prefix: String,
}

impl ScheduleKeys {
    pub(crate) fn new(schedule: ScheduleId) -> Self {
        let prefix = format!("anteroom:{{s:{schedule}}}:");
        let key = |part: &str| format!("{prefix}{part}");
        Self {
            meta: key("meta"),
            held: key("held"),
            sold: key("sold"),
            sales: key("sales"),
            paying: key("paying"),
            prefix,
        }
    }

    /// Who holds a seat.
    pub(crate) fn hold(&self, seat: &SeatId) -> String {
        format!("{}hold:{seat}", self.prefix)
    }

    /// A reservation.
    pub(crate) fn reservation(&self, reservation: &ReservationId) -> String {
        format!("{}reservation:{reservation}", self.prefix)
    }

    /// The seats that an account holds or owns.
    pub(crate) fn user(&self, user: &UserId) -> String {
        format!("{}user:{user}", self.prefix)
    }

    /// The reservations that an account made.
    pub(crate) fn reservations(&self, user: &UserId) -> String {
        format!("{}reservations:{user}", self.prefix)
    }

    /// The reservation made under an Idempotency-Key, by the key's digest.
    pub(crate) fn key(&self, user: &UserId, digest: &str) -> String {
        format!("{}key:{user}:{digest}", self.prefix)
    }
}

/// There while no other process need look at the invariants.
pub(crate) const INVARIANTS: &str = "anteroom:{invariants}:looked";

/// The projection of an account's balance.
pub(crate) fn balance(user: &UserId) -> String {
    format!("anteroom:{{u:{user}}}:balance")
}

/// How many Idempotency-Keys a caller has used of late.
pub(crate) fn keys_used(caller: &str) -> String {
    format!("anteroom:{{u:{caller}}}:keys")
}

/// The answer to a request with an Idempotency-Key, by the digest of route and key.
pub(crate) fn answer(caller: &str, digest: &str) -> String {
    format!("anteroom:{{u:{caller}}}:answer:{digest}")
}

/// The schedules that an account asked for seats of.
pub(crate) fn schedules(user: &UserId) -> String {
    format!("anteroom:{{u:{user}}}:schedules")
}
