//! What the waiting page shows now: one state, and the words and figures that go with it.

use serde::Serialize;

use super::words::{Told, Wait, Words, fill, grouped};
use crate::clock;
use crate::queue::{Eta, Place, Room, Session, State, Status, Who};

/// Who is this near is told that it is almost their turn: by position, or by the time that nine in ten wait at most.
const ALMOST_POSITION: u64 = 50;
const ALMOST_SECONDS: u64 = 60;

/// How often who has no place looks at the room, ms.
const OUTSIDE_POLL_MS: u64 = 10_000;

/// The low bits of a number are the counter that everyone has a value of; the high ones are the epoch.
const COUNTER_BITS: i64 = 0xffff_ffff;

/// The states of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    /// No place yet.
    Door,
    /// No place yet, and the room is not open.
    Soon,
    /// In line before the opening.
    Scheduled,
    Verifying,
    Waiting,
    Almost,
    Admitted,
    Paused,
    /// The line is as long as it may be.
    Full,
    Soldout,
    Closed,
    Expired,
    Left,
    Recovering,
    /// The service cannot tell where the visitor stands.
    Unavailable,
}

impl View {
    /// The state as it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Soon => "soon",
            Self::Scheduled => "scheduled",
            Self::Verifying => "verifying",
            Self::Waiting => "waiting",
            Self::Almost => "almost",
            Self::Admitted => "admitted",
            Self::Paused => "paused",
            Self::Full => "full",
            Self::Soldout => "soldout",
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::Left => "left",
            Self::Recovering => "recovering",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether there is a place that will change by itself.
    pub(super) fn in_line(self) -> bool {
        use View::{Almost, Paused, Recovering, Scheduled, Unavailable, Verifying, Waiting};
        matches!(self, Scheduled | Verifying | Waiting | Almost | Paused | Recovering | Unavailable)
    }

    fn told(self, words: &Wait) -> &Told {
        match self {
            Self::Door => &words.door,
            Self::Soon => &words.soon,
            Self::Scheduled => &words.scheduled,
            Self::Verifying => &words.verifying,
            Self::Waiting => &words.waiting,
            Self::Almost => &words.almost,
            Self::Admitted => &words.admitted,
            Self::Paused => &words.paused,
            Self::Full => &words.full,
            Self::Soldout => &words.soldout,
            Self::Closed => &words.closed,
            Self::Expired => &words.expired,
            Self::Left => &words.left,
            Self::Recovering => &words.recovering,
            Self::Unavailable => &words.unavailable,
        }
    }
}

/// What is known of a visitor and their room.
pub(super) struct Seen<'a> {
    pub(super) room: &'a Room,
    pub(super) session: Option<&'a Session>,
    pub(super) place: Standing<'a>,
    /// The line just refused them, being as long as it may be.
    pub(super) full: bool,
    /// No seat of the room is left, nor held by anyone who may give it up.
    pub(super) sold_out: bool,
}

/// A visitor's place, as far as it is known.
#[derive(Clone, Copy)]
pub(super) enum Standing<'a> {
    /// They have none, or not in this room.
    None,
    /// This.
    Known(&'a Place),
    /// A store does not tell.
    Untold,
}

impl Seen<'_> {
    pub(super) fn view(&self) -> View {
        let state = self.room.view().state;
        let place = match self.place {
            Standing::Untold => return View::Unavailable,
            Standing::None => return self.view_outside(state),
            Standing::Known(place) => place,
        };
        match place.status {
            Status::Active => View::Admitted,
            Status::Expired => View::Expired,
            Status::Left => View::Left,
            Status::Verifying | Status::Scheduled | Status::Waiting if self.sold_out => View::Soldout,
            Status::Verifying => View::Verifying,
            Status::Scheduled => View::Scheduled,
            Status::Waiting => waiting(place, state),
        }
    }

    fn view_outside(&self, state: State) -> View {
        match state {
            State::Closed | State::Draining => View::Closed,
            _ if self.sold_out => View::Soldout,
            _ if self.full => View::Full,
            State::SoldOut => View::Soldout,
            State::Scheduled => View::Soon,
            State::Open | State::Paused | State::Recovering => View::Door,
        }
    }
}

fn waiting(place: &Place, state: State) -> View {
    match (state, place.position) {
        (State::Closed, _) => View::Closed,
        (State::Paused, _) => View::Paused,
        (State::SoldOut, _) => View::Soldout,
        (State::Recovering, _) | (_, None) => View::Recovering,
        (_, Some(position)) => {
            let soon = place.eta.is_some_and(|eta| eta.p90_seconds <= ALMOST_SECONDS);
            if position <= ALMOST_POSITION || soon { View::Almost } else { View::Waiting }
        }
    }
}

/// What the page shows, in words: on the first answer as HTML, then as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Now {
    pub(super) view: View,
    pub(super) heading: &'static str,
    pub(super) text: &'static str,
    /// The title of the tab.
    pub(super) title: String,
    position: Option<u64>,
    pub(super) ahead: Option<String>,
    pub(super) behind: Option<String>,
    /// The waiting time as a range; null when unknown.
    pub(super) wait: Option<String>,
    p90_seconds: Option<u64>,
    pub(super) number: Option<String>,
    pub(super) support: Option<String>,
    pub(super) message: Option<String>,
    pub(super) opens_at: Option<String>,
    pub(super) active_until: Option<String>,
    pub(super) server_time: String,
    pub(super) poll_after_ms: u64,
    /// The last answer given again, because Redis does not serve.
    stale: bool,
}

impl Now {
    pub(super) fn of(seen: &Seen<'_>, words: &'static Words) -> Self {
        let (view, room) = (seen.view(), seen.room.view());
        let told = view.told(&words.wait);
        let place = if let Standing::Known(place) = seen.place { Some(place) } else { None };
        let position = place.and_then(|place| place.position);
        let behind = place.zip(position).map(|(place, position)| place.waiting.saturating_sub(position));
        let eta = place.and_then(|place| place.eta);
        Self {
            view,
            heading: told.heading,
            text: told.text,
            title: title(seen, view, words),
            position,
            ahead: position.map(|position| grouped(position.saturating_sub(1))),
            behind: behind.map(grouped),
            wait: eta.map(|eta| range(eta, &words.wait)),
            p90_seconds: eta.map(|eta| eta.p90_seconds),
            number: seen.session.and_then(counter).map(grouped),
            support: seen.session.map(support_code),
            message: place.map_or_else(|| room.message.clone(), |place| place.message.clone()),
            opens_at: room.opens_at.map(clock::rfc3339),
            active_until: place.and_then(|place| place.active_until.clone()),
            server_time: clock::rfc3339(clock::utc()),
            poll_after_ms: place.map_or(OUTSIDE_POLL_MS, |place| place.poll_after_ms),
            stale: place.is_some_and(|place| place.stale),
        }
    }
}

fn title(seen: &Seen<'_>, view: View, words: &Words) -> String {
    let room = seen.room.name.as_str();
    match (view, seen.place) {
        (View::Admitted, _) => fill(words.wait.turn, &[("{room}", room)]),
        (View::Waiting | View::Almost | View::Paused, Standing::Known(place)) if place.position.is_some() => {
            let position = grouped(place.position.unwrap_or_default());
            fill(words.wait.title, &[("{n}", &position), ("{room}", room)])
        }
        _ => format!("{} · {room}", view.told(&words.wait).heading),
    }
}

/// A waiting time as people say it: never more exact than it is known.
fn range(eta: Eta, words: &Wait) -> String {
    let (from, to) = (eta.p50_seconds.div_ceil(60).max(1), eta.p90_seconds.div_ceil(60).max(1));
    let (text, from, to) = match (from, to) {
        (_, 1) => (words.under_a_minute, from, to),
        (from, to) if from == to => (words.about_minutes, from, to),
        (_, ..=180) => (words.minutes, from, to),
        _ => (words.hours, eta.p50_seconds / 3_600, eta.p90_seconds.div_ceil(3_600)),
    };
    fill(text, &[("{a}", &grouped(from)), ("{b}", &grouped(to))])
}

/// The visitor's own number, as it was given at arrival. What was drawn, or is kept from before, has none to show.
fn counter(session: &Session) -> Option<u64> {
    let number = session.claims.number.filter(|number| number.0 > 0)?;
    u64::try_from(number.0 & COUNTER_BITS).ok()
}

/// What a visitor tells support: room, account, epoch and number, as operators look places up.
fn support_code(session: &Session) -> String {
    let claims = &session.claims;
    let user = match &session.who {
        Who::Account(user) => user.as_str(),
        Who::Attempt(attempt) => attempt,
    };
    format!("{}/{user}/{}.{}", claims.room, claims.epoch.0, counter(session).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::language::Language;
    use crate::http::pages::words::words;

    #[test]
    fn a_waiting_time_is_a_range_in_whole_minutes() {
        let wait = &words(Language::En).wait;
        for (p50_seconds, p90_seconds, text) in [
            (0, 2, "less than a minute"),
            (45, 60, "less than a minute"),
            (61, 119, "about 2 min"),
            (180, 236, "3–4 min"),
            (7_200, 9_362, "120–157 min"),
            (36_000, 46_802, "10–14 hours"),
        ] {
            assert_eq!(range(Eta { p50_seconds, p90_seconds }, wait), text);
        }
    }
}
