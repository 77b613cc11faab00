//! What those who listen are told: found for all of a room at once.
//!
//! Redis is asked for the line as it stands, a stretch at a time, and which of those who listen are in line or inside, a
//! thousand in one call. So its work depends on the line and on who moves, not on how many listen. Only who is no longer
//! where they were is looked at alone, once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;

use super::events::{self, Listener};
use super::memo::Who;
use super::place::{self, Answer, Found, PollError, Status};
use super::receipt;
use super::recovery::believing;
use super::{Queue, Room};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Number, UserId};
use crate::store::scripts::queue::{self as scripts, Heard, Stretch};

/// Places in one stretch of the line: Redis tells them in about a millisecond. The first one is looked at each time.
const STRETCH: usize = 5_000;

/// The whole line is looked along in as many seconds as it has stretches, but at least this often, ms.
const WHOLE_LINE_MS: u64 = 10_000;

/// Those who listen are noted as present this often, and count as present for so long: enough to come back elsewhere
/// when this process ends, ms.
const HEAR_EVERY_MS: u64 = 4_000;
const PRESENT_MS: u64 = 20_000;

/// Accounts in one call of `hear`.
const HEARD_AT_ONCE: usize = 1_000;

/// Listeners looked at alone in one round, and how many of them at a time.
const ALONE_AT_MOST: usize = 1_000;
const ALONE_AT_ONCE: usize = 64;

/// A place in line is told again after this long although nothing changed: the waiting time may have, ms.
const AGAIN_AFTER_MS: u64 = 10_000;

/// Beats come a little early or late: what is due within this is due, ms.
const SOON_MS: u64 = 500;

/// Tells everyone who listens to a room what changed for them.
pub async fn announce(queue: &Queue, room: &Arc<Room>) -> Result<(), Fault> {
    for listener in room.hub.all() {
        listener.tend(room);
    }
    let listeners = room.hub.all();
    let count = f64::from(u32::try_from(listeners.len()).unwrap_or(u32::MAX));
    metrics::gauge!("anteroom_listeners", "room" => room.name.to_string()).set(count);
    if listeners.is_empty() {
        return Ok(());
    }
    let heard = hear(queue, room, &listeners).await?;
    let seen = look_along(queue, room, &listeners).await?;
    let round = Round { queue, room, heard, seen, notice: events::notice(&room.view()), now_ms: clock::uptime_ms() };
    let mut alone = Vec::new();
    for listener in &listeners {
        match round.find(listener) {
            Finding::Place(user, found) => {
                let place = place::describe(room, Some(user), &found);
                listener.tell(room, &place::keep(room, &listener.session.value.memo, place)?, round.notice);
            }
            Finding::Moved if alone.len() < ALONE_AT_MOST => alone.push(listener),
            Finding::Same | Finding::Moved => {}
        }
    }
    for some in alone.chunks(ALONE_AT_ONCE) {
        let asked = join_all(some.iter().map(|listener| look_at(&round, listener))).await;
        asked.into_iter().collect::<Result<Vec<()>, Fault>>()?;
    }
    Ok(())
}

/// What is known in one round.
struct Round<'a> {
    queue: &'a Queue,
    room: &'a Arc<Room>,
    /// Nothing where it was not time to ask.
    heard: HashMap<UserId, Heard>,
    seen: Seen,
    notice: u32,
    now_ms: u64,
}

/// The line as far as it was looked along.
#[derive(Default)]
struct Seen {
    /// The position of each who listens, none while positions are unknown, and the number.
    positions: HashMap<UserId, (Option<u64>, Number)>,
    /// Who stands at a position up to this one was seen.
    as_far_as: u64,
    in_line: u64,
}

/// What a round found out about a listener.
enum Finding {
    /// Nothing to tell.
    Same,
    /// This, to be told.
    Place(UserId, Found),
    /// Not where they were: to be looked at alone.
    Moved,
}

impl Round<'_> {
    fn find(&self, listener: &Listener) -> Finding {
        let mut told = listener.told();
        let Some(place) = told.place.clone() else { return Finding::Moved };
        let patience_ms = place.poll_after_ms.saturating_sub(SOON_MS);
        let asked_long_ago = self.now_ms >= told.asked_at_ms.max(told.event_at_ms) + patience_ms;
        let Who::Account(user) = &listener.session.value.who else {
            return if asked_long_ago { Finding::Moved } else { Finding::Same };
        };
        if receipt::ends_soon(self.queue, listener.session.exp) && !told.renewed && asked_long_ago {
            return Finding::Moved;
        }
        if let Some((position, number)) = self.seen.positions.get(user) {
            let same_place = told.number.replace(*number) == Some(*number);
            let position = if same_place { self.no_farther(listener, *position) } else { *position };
            let quiet_ms = self.now_ms.saturating_sub(told.event_at_ms);
            let changed = place.position != position || place.status == Status::Active;
            let due = changed && quiet_ms >= patience_ms || quiet_ms >= AGAIN_AFTER_MS || told.is_news(self.notice);
            let found = Found::InLine { position, in_line: self.seen.in_line };
            return if due { Finding::Place(user.clone(), found) } else { Finding::Same };
        }
        let heard = self.heard.get(user);
        if place.status == Status::Active {
            return match heard.map(|heard| heard.ends_ms) {
                None => Finding::Same,
                Some(Some(ends_ms)) if place.active_until == Some(place::until(ends_ms)) => Finding::Same,
                Some(Some(ends_ms)) => Finding::Place(user.clone(), Found::Active { ends_ms }),
                Some(None) => Finding::Moved,
            };
        }
        let should_be_seen = place.position.is_none_or(|position| position <= self.seen.as_far_as);
        let gone = heard.is_some_and(|heard| !heard.in_line);
        if (should_be_seen || gone) && (told.number.take().is_some() || asked_long_ago) {
            return Finding::Moved;
        }
        Finding::Same
    }

    /// A position that is no farther back than what was told last: a poll may have seen the line later than we did.
    fn no_farther(&self, listener: &Listener, position: Option<u64>) -> Option<u64> {
        let last = listener.session.value.memo.last().filter(|last| last.place.epoch == self.room.epoch());
        let known = last.and_then(|last| last.place.position);
        position.map(|position| known.map_or(position, |known| known.min(position)))
    }
}

/// Notes those who listen as present, and learns who of them is where, when it is time to.
async fn hear(queue: &Queue, room: &Arc<Room>, listeners: &[Arc<Listener>]) -> Result<HashMap<UserId, Heard>, Fault> {
    let now_ms = clock::uptime_ms();
    if now_ms + SOON_MS < room.hub.hear_at_ms.load(Ordering::Relaxed) {
        return Ok(HashMap::new());
    }
    let users: HashSet<&UserId> = listeners.iter().filter_map(|listener| account(listener)).collect();
    let users: Vec<&UserId> = users.into_iter().collect();
    let mut all = HashMap::with_capacity(users.len());
    for some in users.chunks(HEARD_AT_ONCE) {
        let heard = believing!(queue, room, |line| scripts::hear(line, some, PRESENT_MS))?;
        all.extend(some.iter().map(|user| (*user).clone()).zip(heard));
    }
    room.hub.hear_at_ms.store(now_ms + HEAR_EVERY_MS, Ordering::Relaxed);
    Ok(all)
}

fn account(listener: &Arc<Listener>) -> Option<&UserId> {
    match &listener.session.value.who {
        Who::Account(user) => Some(user),
        Who::Attempt(_) => None,
    }
}

/// Looks along the line for those who listen: its first stretch, and the others when it is time to.
async fn look_along(queue: &Queue, room: &Arc<Room>, listeners: &[Arc<Listener>]) -> Result<Seen, Fault> {
    let now_ms = clock::uptime_ms();
    let whole = now_ms + SOON_MS >= room.hub.look_at_ms.load(Ordering::Relaxed);
    let mut sought: HashSet<&UserId> = listeners.iter().filter_map(|listener| account(listener)).collect();
    let (mut seen, mut behind, mut stretches) = (Seen::default(), None, 0);
    loop {
        let stretch = believing!(queue, room, |line| scripts::look_along(line, behind, STRETCH))?;
        stretches += 1;
        behind = seen.add(&stretch, &mut sought);
        if behind.is_none() || !whole || sought.is_empty() {
            break;
        }
    }
    if behind.is_none() {
        seen.as_far_as = u64::MAX;
    }
    if whole {
        room.hub.look_at_ms.store(now_ms + (stretches * 1_000).min(WHOLE_LINE_MS), Ordering::Relaxed);
    }
    Ok(seen)
}

impl Seen {
    /// Adds the next stretch. Answers the number behind which the line goes on; none at its end.
    fn add(&mut self, stretch: &Stretch, sought: &mut HashSet<&UserId>) -> Option<Number> {
        // Where one of the three was cut, the others are known only up to there.
        let cut = |last: Option<&Number>, length| last.copied().filter(|_| length == STRETCH);
        let waiting: Vec<Number> = stretch.waiting.iter().map(|(_, number)| *number).collect();
        let cuts = [&waiting, &stretch.aside, &stretch.pending].map(|line| cut(line.last(), line.len()));
        let end = cuts.into_iter().flatten().min();
        let within = |number: &Number| end.is_none_or(|end| *number <= end);
        self.in_line = stretch.in_line;
        let (mut aside, mut pending) = (0, 0);
        let mut before = 0;
        for (user, number) in stretch.waiting.iter().take_while(|(_, number)| within(number)) {
            aside += stretch.aside[aside..].iter().take_while(|other| *other < number).count();
            pending += stretch.pending[pending..].iter().take_while(|other| *other < number).count();
            if let Ok(user) = UserId::parse(user)
                && sought.remove(&user)
            {
                let position = self.as_far_as + count(before + aside + pending) + 1;
                self.positions.insert(user, (Some(position).filter(|_| !stretch.recovering), *number));
            }
            before += 1;
        }
        let others = [&stretch.aside, &stretch.pending].map(|line| line.iter().take_while(|one| within(one)).count());
        self.as_far_as += count(before + others.iter().sum::<usize>());
        end
    }
}

fn count(places: usize) -> u64 {
    u64::try_from(places).unwrap_or(u64::MAX)
}

/// Looks at one who is not where they were, and tells them.
async fn look_at(round: &Round<'_>, listener: &Listener) -> Result<(), Fault> {
    let session = &listener.session.value;
    listener.told().asked_at_ms = clock::uptime_ms();
    let answer: Answer = match place::look(round.queue, session).await {
        Ok(answer) => answer,
        Err(PollError::Fault(fault)) => return Err(fault),
        Err(PollError::Refused) => {
            listener.refuse(round.room);
            return Ok(());
        }
    };
    listener.tell(round.room, &answer, round.notice);
    if let (Who::Attempt(_), Some(token)) = (&session.who, &answer.place.token)
        && let Ok(opened) = round.queue.open(token)
    {
        round.room.hub.replace(listener.id, opened);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &[i64]) -> Vec<Number> {
        list.iter().copied().map(Number).collect()
    }

    fn users(names: &[&str]) -> Vec<UserId> {
        names.iter().map(|name| UserId::parse(name).unwrap()).collect()
    }

    fn stretch(waiting: &[(&str, i64)], aside: &[i64], pending: &[i64]) -> Stretch {
        let waiting = waiting.iter().map(|(user, number)| ((*user).to_owned(), Number(*number))).collect();
        Stretch { recovering: false, in_line: 9, waiting, aside: numbers(aside), pending: numbers(pending) }
    }

    #[test]
    fn positions_count_those_who_are_aside_or_not_yet_checked() {
        let users = users(&["a", "c", "x"]);
        let (mut seen, mut sought) = (Seen::default(), users.iter().collect());
        let end = seen.add(&stretch(&[("a", 10), ("b", 20), ("c", 30)], &[5, 25, 35], &[7, 8, 29, 31]), &mut sought);
        assert_eq!((end, seen.as_far_as, seen.in_line), (None, 10, 9));
        let found = [&users[0], &users[1]].map(|user| seen.positions[user]);
        assert_eq!(found, [(Some(4), Number(10)), (Some(8), Number(30))]);
        assert_eq!(sought.into_iter().collect::<Vec<_>>(), [&users[2]]);
    }

    #[test]
    fn a_stretch_that_was_cut_is_believed_only_up_to_there() {
        let users = users(&["a", "b"]);
        let many: Vec<i64> = (0..).take(STRETCH).collect();
        let (mut seen, mut sought) = (Seen::default(), users.iter().collect());
        let end = seen.add(&stretch(&[("a", 100), ("b", 9_000)], &many, &[]), &mut sought);
        assert_eq!(end, Some(Number(4_999)));
        assert_eq!((seen.positions[&users[0]].0, seen.positions.len()), (Some(101), 1));
        assert_eq!(seen.as_far_as, 5_001);
        let end = seen.add(&stretch(&[("b", 9_000)], &[5_000], &[]), &mut sought);
        assert_eq!((end, seen.positions[&users[1]].0, seen.as_far_as), (None, Some(5_003), 5_003));
    }

    #[test]
    fn while_the_line_recovers_nobody_has_a_position() {
        let users = users(&["a"]);
        let (mut seen, mut sought) = (Seen::default(), users.iter().collect());
        seen.add(&Stretch { recovering: true, ..stretch(&[("a", 1)], &[], &[]) }, &mut sought);
        assert_eq!(seen.positions[&users[0]].0, None);
    }
}
