//! When Redis forgets: one process sets the room up for a new epoch; the others see that and believe it.

use std::sync::Arc;
use std::time::Duration;

use super::settings::{self, Settings};
use super::{Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::ids::Epoch;
use crate::ledger;
use crate::store::script::incarnation;
use crate::store::scripts::queue::{self as scripts, Recovery};

/// Positions are unknown for longer than any poll interval, so that all who are there are back before anyone is shown
/// a position, ms.
const POSITIONS_UNKNOWN_MS: i64 = 12_000;
/// And nobody is admitted until a moment after that, ms. With the second that a loss may take to be noticed, and the one until the
/// next run, admission goes on within 15 s of the loss (`docs/decisions/0013-thirteen-seconds.md`).
const NOBODY_ADMITTED_MS: i64 = 13_000;

/// How often to look whether another process is done with what we wanted to do, and how long between looks.
const LOOKS: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Runs a step of the line; where Redis lost the room, recovers it and runs the step once more.
macro_rules! believing {
    ($queue:expr, $room:expr, |$line:ident| $step:expr) => {{
        let $line = $room.line(&$queue.redis);
        let believed = $line.epoch;
        match $step.await {
            Err($crate::error::Fault::Lost) => {
                // Boxed: it is rare, and would make every future of a visitor ten times as large.
                Box::pin($crate::queue::recovery::recover($queue, $room, believed)).await?;
                let $line = $room.line(&$queue.redis);
                $step.await
            }
            other => other,
        }
    }};
}
pub(super) use believing;

/// Sets the room up again where Redis no longer has the epoch that the caller believed in, or learns that another has.
/// Returns when the room can be used.
pub(super) async fn recover(queue: &Queue, room: &Arc<Room>, believed: Epoch) -> Result<(), Fault> {
    let turn = room.mending.turn().await?;
    // All who polled meanwhile found the same loss: only the first of them asks Postgres.
    if room.epoch() != believed {
        return Ok(());
    }
    turn.end(agree(queue, room).await)
}

/// Learns the epoch that another process set up, or sets one up where none does.
async fn agree(queue: &Queue, room: &Arc<Room>) -> Result<(), Fault> {
    for _ in 0..LOOKS {
        let settings = settings::read(queue, &room.name).await?.ok_or(Fault::Lost)?;
        let run = queue.redis.run(&room.keys.room).await?;
        let told = scripts::read_incarnation(&queue.redis, &room.keys).await?;
        if settings.epoch.0 > 0 && told.as_deref() == Some(incarnation(settings.epoch.0, &run).as_str()) {
            room.set_epoch(settings.epoch);
            return Ok(());
        }
        if let Some(epoch) = settings::raise_epoch(queue, &settings).await? {
            return set_up(queue, room, &settings, epoch).await;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Err(Fault::Lost)
}

async fn set_up(queue: &Queue, room: &Arc<Room>, settings: &Settings, epoch: Epoch) -> Result<(), Fault> {
    let first = settings.epoch.0 == 0;
    let token_ms = queue.token_seconds * 1_000;
    let recovery = if first {
        Recovery { positions_unknown: 0, nobody_admitted: 0, old_tokens: 0 }
    } else {
        tracing::warn!(room = %room.name, epoch = epoch.0, "Redis forgot the line; it is set up for a new epoch");
        let since = clock::from_unix_ms(clock::unix_ms() - token_ms);
        let paid = ledger::paid_since(&queue.ledger, &room.name, since).await?;
        let paid: Vec<_> = paid.into_iter().map(|(user, at)| (user, at.timestamp_millis())).collect();
        scripts::note_paid(&queue.redis, &room.keys, &paid).await?;
        Recovery { positions_unknown: POSITIONS_UNKNOWN_MS, nobody_admitted: NOBODY_ADMITTED_MS, old_tokens: token_ms }
    };
    let line = scripts::Line { redis: &queue.redis, keys: &room.keys, epoch };
    let mut pairs = settings.pairs();
    pairs.push(("version", settings.version.to_string()));
    pairs.push(("queueLimit", settings::LONGEST_LINE.to_string()));
    scripts::setup_room(line, recovery, &pairs).await?;
    room.set_epoch(epoch);
    Ok(())
}

/// Gives Redis the room's settings, where it has older ones.
pub(super) async fn configure(queue: &Queue, room: &Arc<Room>, settings: &Settings) -> Result<(), Fault> {
    believing!(queue, room, |line| scripts::configure_room(line, settings.version, &settings.pairs()))?;
    room.wake();
    Ok(())
}

/// Limits the line to what Redis' memory holds now.
pub(super) async fn limit(queue: &Queue, room: &Arc<Room>) -> Result<(), Fault> {
    believing!(queue, room, |line| scripts::limit_line(line, settings::LONGEST_LINE))?;
    Ok(())
}
