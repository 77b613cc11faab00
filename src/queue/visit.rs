//! Visits: whether someone is inside now, and until when.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::memo::{Session, Who};
use super::place::{self, Answer, PollError};
use super::recovery::believing;
use super::{Queue, Room};
use crate::error::Fault;
use crate::ids::UserId;
use crate::store::scripts::queue::{self as scripts, Outlasts};

/// After a new payment the visit goes on for this long, to show the receipt and the balance, ms.
const AFTER_PAYMENT_MS: i64 = 60_000;

/// Visits kept by one call at most.
const KEPT_AT_ONCE: usize = 500;

/// Whether a caller may go on.
#[derive(Debug)]
pub enum Admission {
    /// There is a visit.
    Admitted {
        /// When it ends, as far as is known, ms.
        ends_ms: i64,
    },
    /// There is none: where they stand instead.
    NotAdmitted(Answer),
}

/// Checks that a visitor is inside, and claims the visit. A visit seen less than a second ago needs no second look,
/// and a refusal within the poll interval is answered from memory.
pub async fn check_visit(queue: &Queue, session: &Session) -> Result<Admission, PollError> {
    if let Some(ends_ms) = session.memo.visit() {
        return Ok(Admission::Admitted { ends_ms });
    }
    let Who::Account(user) = &session.who else {
        return place::poll(queue, session).await.map(Admission::NotAdmitted);
    };
    if let Some(last) = session.memo.early().filter(|last| last.place.status != place::Status::Active) {
        return Ok(Admission::NotAdmitted(Answer { place: last.place, body: last.body }));
    }
    let room = queue.room_of(session)?;
    if let Some(ends_ms) = believing!(queue, &room, |line| scripts::visit(line, user))? {
        session.memo.trust_visit(ends_ms);
        return Ok(Admission::Admitted { ends_ms });
    }
    session.memo.forget();
    place::poll(queue, session).await.map(Admission::NotAdmitted)
}

/// Notes that a visit must last until a hold that it made ends, and for `longer_ms` more. What is noted reaches Redis
/// within a tick.
pub fn keep_visit(room: &Room, user: &UserId, hold_ends_ms: i64, longer_ms: i64) {
    let outlasts = Outlasts { until_ms: hold_ends_ms + longer_ms, held_ms: hold_ends_ms - room.view().hold_ms };
    keep_later(&mut room.kept.lock().unwrap_or_else(PoisonError::into_inner), user.clone(), outlasts);
}

fn keep_later(kept: &mut HashMap<UserId, Outlasts>, user: UserId, outlasts: Outlasts) {
    let noted = kept.entry(user).or_insert(outlasts);
    if outlasts.until_ms > noted.until_ms {
        *noted = outlasts;
    }
}

/// Tells Redis which visits must last, in bounded steps.
pub async fn flush_kept_visits(queue: &Queue, room: &Arc<Room>) -> Result<(), Fault> {
    let kept = std::mem::take(&mut *room.kept.lock().unwrap_or_else(PoisonError::into_inner));
    let kept: Vec<_> = kept.into_iter().collect();
    for (done, some) in kept.chunks(KEPT_AT_ONCE).enumerate() {
        if let Err(fault) = believing!(queue, room, |line| scripts::keep_visits(line, some)) {
            // Kept for the next time; to note one twice does no harm.
            let mut again = room.kept.lock().unwrap_or_else(PoisonError::into_inner);
            for (user, outlasts) in kept.into_iter().skip(done * KEPT_AT_ONCE) {
                keep_later(&mut again, user, outlasts);
            }
            return Err(fault);
        }
    }
    Ok(())
}

/// After a new payment: the visit ends soon, and its slot goes to the next in line.
pub async fn end_visit_soon(queue: &Queue, room: &Arc<Room>, user: &UserId) -> Result<(), Fault> {
    // What was noted for the hold that is paid by now would prolong the visit again.
    room.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    believing!(queue, room, |line| scripts::end_visit_soon(line, user, AFTER_PAYMENT_MS))?;
    queue.memos.of(&room.name, user.as_str()).forget();
    Ok(())
}
