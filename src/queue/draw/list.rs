//! The public list of a draw: made once, after the opening, kept in Postgres, and served from memory page by page.

use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;

use super::proof::{self, DrawList};
use super::{Draw, Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::store::scripts::queue as scripts;

/// Tickets of one page; also what one call takes from Redis at most.
const PAGE: u64 = 1_000;
const AT_ONCE: usize = 1_000;

/// Pages that a process remembers, of about 66 kB each. They never change.
const REMEMBERED: u64 = 300;

/// The pages that were asked for.
pub(super) struct Pages(Cache<u64, Bytes>);

impl Default for Pages {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

const ADD: &str = "\
insert into draw_pages (commitment, page, tickets) values ($1, $2, $3)
on conflict on constraint draw_pages_pkey do nothing";

const CLOSE: &str = "update rooms set draw_count = $3 where name = $1 and draw_commitment = $2";

const READ: &str = "select tickets from draw_pages where commitment = $1 and page = $2";

/// Writes the list down, once nobody can be drawn any more: the opening is over, and so is every login that began
/// before it. Every process may do so at once, for what they write is the same. Gives how many were drawn.
pub(super) async fn close(queue: &Queue, room: &Arc<Room>, draw: &Draw) -> Result<u64, Fault> {
    let (mut count, mut pages, mut tickets) = (0, 0_i64, Vec::new());
    for page in 0.. {
        let drawn = scripts::drawn_page(&queue.redis, &room.keys, page, PAGE).await?;
        let last = drawn.len() < AT_ONCE;
        // Who came back after a loss with a number of an earlier draw stands by that one, and is not of this list.
        let of_this = drawn.into_iter().filter(|(user, number)| draw.number(user) == *number);
        tickets.extend(of_this.filter_map(|(user, _)| proof::unhex(&draw.ticket(&user))));
        while tickets.len() >= AT_ONCE || (last && !tickets.is_empty()) {
            let some: Vec<_> = tickets.drain(..tickets.len().min(AT_ONCE)).collect();
            count += some.len();
            let add = sqlx::query(ADD).bind(&draw.commitment).bind(pages).bind(some.concat());
            add.execute(queue.db.pool()).await?;
            pages += 1;
        }
        if last {
            break;
        }
    }
    let (name, all) = (room.name.as_str(), i64::try_from(count).unwrap_or(i64::MAX));
    sqlx::query(CLOSE).bind(name).bind(&draw.commitment).bind(all).execute(queue.db.pool()).await?;
    tracing::info!(room = %room.name, count, "the list of the draw is complete");
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// One page of the list, as JSON; without tickets before the list is complete. None where the room does not draw, or
/// the list has no such page.
pub async fn list(queue: &Queue, room: &Room, page: u64) -> Result<Option<Bytes>, Fault> {
    let Some(draw) = room.draw.load_full() else { return Ok(None) };
    let last = draw.count.map_or(0, |count| count.saturating_sub(1) / PAGE);
    if page > last {
        return Ok(None);
    }
    if let Some(ready) = draw.pages.0.get(&page) {
        return Ok(Some(ready));
    }
    let tickets = match draw.count {
        Some(_) => read(queue, &draw, page).await?,
        None => Vec::new(),
    };
    let json = serde_json::to_vec(&DrawList {
        room: room.name.to_string(),
        commitment: draw.commitment.clone(),
        beacon: draw.beacon.clone(),
        beacon_value: draw.beacon_value.clone(),
        seed: draw.public().seed,
        opens_at: clock::rfc3339(clock::from_unix_ms(draw.opens_ms)),
        count: draw.count,
        tickets,
    });
    let json = Bytes::from(json.map_err(|e| Fault::Defect(e.to_string()))?);
    if draw.count.is_some() {
        draw.pages.0.insert(page, json.clone());
    }
    Ok(Some(json))
}

async fn read(queue: &Queue, draw: &Draw, page: u64) -> Result<Vec<String>, Fault> {
    let page = i64::try_from(page).unwrap_or(i64::MAX);
    let tickets: Option<Vec<u8>> =
        sqlx::query_scalar(READ).bind(&draw.commitment).bind(page).fetch_optional(queue.db.pool()).await?;
    Ok(tickets.unwrap_or_default().chunks(32).map(proof::hex).collect())
}
