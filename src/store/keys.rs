//! Every key's name. Braces keep what one script touches in one slot of a Redis Cluster.

use crate::ids::{ReservationId, RoomName, ScheduleId, SeatId, UserId};

/// A key of a room, such as `anteroom:{main}:waiting`.
pub(crate) fn room(room: &RoomName, part: &str) -> String {
    format!("anteroom:{{{room}}}:{part}")
}

/// A key of a schedule, such as `anteroom:{s:42}:held`.
pub(crate) fn schedule(schedule: ScheduleId, part: &str) -> String {
    format!("anteroom:{{s:{schedule}}}:{part}")
}

/// Who holds a seat.
pub(crate) fn hold(schedule: ScheduleId, seat: &SeatId) -> String {
    format!("anteroom:{{s:{schedule}}}:hold:{seat}")
}

/// A reservation of a schedule.
pub(crate) fn reservation(schedule: ScheduleId, reservation: &ReservationId) -> String {
    format!("anteroom:{{s:{schedule}}}:reservation:{reservation}")
}

/// The seats of a schedule that an account holds or owns.
pub(crate) fn user_seats(schedule: ScheduleId, user: &UserId) -> String {
    format!("anteroom:{{s:{schedule}}}:user:{user}")
}

/// A key of an account, such as `anteroom:{u:user00001}:balance`.
pub(crate) fn user(user: &UserId, part: &str) -> String {
    format!("anteroom:{{u:{user}}}:{part}")
}
