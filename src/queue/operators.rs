//! What operators do by hand: admit, look at a place, take one away. Each deed is written down before it is done.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::place::{self, Found, Place};
use super::recovery::believing;
use super::{Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Number, UserId};
use crate::store::audit::{self, Deed};
use crate::store::scripts::queue::{self as scripts, ByHand, Left};

/// Admitted by one call of Redis at most: it keeps Redis for about a millisecond.
const AT_ONCE: u32 = 500;

/// What admitting by hand did.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Admitted {
    /// Visits that began.
    pub admitted: u64,
    /// Those who were absent, and keep their number aside for the grace time.
    pub set_aside: u64,
}

/// Why nobody was admitted by hand.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The room is closed, not open yet, or recovering.
    #[error("the room is closed, not open yet, or recovering")]
    Shut,
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Admits the next `count` in line who are present, within the free visits: without waiting for the rate, and also where
/// the room is paused.
pub async fn admit_now(
    queue: &Queue,
    room: &Arc<Room>,
    count: u32,
    reason: Option<&str>,
) -> Result<Admitted, AdmitError> {
    let after = Some(json!({ "count": count }));
    let deed = Deed { action: "admit", room: Some(room.name.as_str()), reason, before: None, after };
    audit::note_alone(&queue.db, deed).await?;
    let mut all = Admitted::default();
    loop {
        let left = count - u32::try_from(all.admitted).unwrap_or(count).min(count);
        let most = left.min(AT_ONCE);
        match believing!(queue, room, |line| scripts::admit_now(line, most))? {
            ByHand::Shut => return Err(AdmitError::Shut),
            ByHand::Admitted { admitted, set_aside } => {
                all.admitted += admitted;
                all.set_aside += set_aside;
                if admitted < u64::from(most) && set_aside == 0 || all.admitted >= u64::from(count) {
                    break;
                }
            }
        }
    }
    metrics::counter!("anteroom_admissions_total", "room" => room.name.to_string()).increment(all.admitted);
    room.wake();
    Ok(all)
}

/// A place as operators see it: what the visitor sees, and what the order is made of.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenPlace {
    /// What the visitor sees.
    #[serde(flatten)]
    pub place: Place,
    /// `waiting` or `aside` (absent at their turn), or how far the visit is: `offered`, `claimed`, `again` (offered for the
    /// second time), `missed`, `recalled` (back after missing a visit).
    pub standing: String,
    /// What decides the order: smaller stands before.
    pub number: Number,
    /// Until when they count as present.
    pub present_until: Option<String>,
    /// Until when a place is kept for who is absent.
    pub kept_until: Option<String>,
}

/// Where an account stands. Nobody counts as present by being looked at.
pub async fn look_at_place(queue: &Queue, room: &Arc<Room>, user: &UserId) -> Result<Option<SeenPlace>, Fault> {
    let Some(seen) = believing!(queue, room, |line| scripts::find_place(line, user))? else { return Ok(None) };
    let found = match seen.ends_ms {
        Some(ends_ms) => Found::Active { ends_ms },
        None => Found::InLine { position: seen.position, in_line: seen.in_line },
    };
    let time = |ms: Option<i64>| ms.map(|ms| clock::rfc3339(clock::from_unix_ms(ms)));
    Ok(Some(SeenPlace {
        place: place::describe(room, Some(user.clone()), &found),
        standing: seen.standing,
        number: seen.number,
        present_until: time(seen.present_until_ms),
        kept_until: time(seen.kept_until_ms),
    }))
}

/// Takes an account's place and visit away, as leaving does. Gives false where it had none.
pub async fn remove_place(queue: &Queue, room: &Arc<Room>, user: &UserId, reason: Option<&str>) -> Result<bool, Fault> {
    let Some(seen) = look_at_place(queue, room, user).await? else { return Ok(false) };
    let deed = Deed {
        action: "remove-place",
        room: Some(room.name.as_str()),
        reason,
        before: Some(json!({ "userId": user, "standing": seen.standing, "number": seen.number })),
        after: None,
    };
    audit::note_alone(&queue.db, deed).await?;
    let left = believing!(queue, room, |line| scripts::leave(line, user))?;
    queue.memos.of(&room.name, user.as_str()).forget();
    if left == Left::Visit {
        room.wake();
    }
    metrics::counter!("anteroom_leaves_total", "room" => room.name.to_string(), "reason" => "removed").increment(1);
    Ok(left != Left::Nothing)
}
