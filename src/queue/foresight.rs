//! What a change of settings would mean, for who decides on it: above all for the last in line.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::settings::{Settings, State};
use super::{Changed, Room, View};
use crate::clock;

/// A line that moves at this share of the rate is held back by the rate; one that is slower, by what leaves.
const AT_THE_RATE: f64 = 0.9;

/// What a change would mean.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Foresight {
    /// Nothing was changed.
    pub dry_run: bool,
    /// The settings that would be others.
    pub changes: Vec<Difference>,
    /// How many are in line.
    pub waiting: u64,
    /// How long the last in line would wait.
    pub last_in_line: LastInLine,
    /// The same in sentences, with what else follows.
    pub means: Vec<String>,
}

/// One setting before and after.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Difference {
    /// The setting.
    pub setting: String,
    /// Before; null where there is no room yet.
    pub from: Value,
    /// After.
    pub to: Value,
}

/// How long the last in line waits, in seconds; null where that is unknown or never.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastInLine {
    /// As the line moves now.
    pub before_seconds: Option<u64>,
    /// After the change.
    pub after_seconds: Option<u64>,
}

/// What a change would mean for the room as it was seen last.
pub fn foresee(room: Option<&Room>, changed: &Changed) -> Foresight {
    let view = room.map(Room::view).unwrap_or_default();
    let counts = view.counts;
    let waiting = counts.waiting + counts.aside + counts.pending + counts.recalled;
    let (now, then) = (per_second(&view, changed.before.as_ref()), future(&view, changed));
    let last_in_line = LastInLine { before_seconds: seconds(waiting, now), after_seconds: seconds(waiting, then) };
    let mut means = sentences(&view, changed);
    if waiting > 0 {
        means.insert(0, last(waiting, &last_in_line));
    }
    if means.is_empty() {
        means.push("Nobody is in line, and nobody inside loses their visit.".to_owned());
    }
    Foresight { dry_run: true, changes: differences(changed), waiting, last_in_line, means }
}

/// Turns of the line in a second, as measured; without a measure as the settings allow.
fn per_second(view: &View, settings: Option<&Settings>) -> Option<f64> {
    let admits = settings.is_some_and(admits);
    let measured = view.wait_per_place_ms().filter(|ms| *ms > 0.0).map(|ms| 1_000.0 / ms);
    if admits { measured.or(settings.map(|settings| settings.admit_per_second)) } else { None }
}

/// Turns of the line in a second after the change. A line at its rate moves at the new one. A slower one moves as visits
/// end, which there are more of the more are inside (Little's law: turns = inside / length of a visit).
fn future(view: &View, changed: &Changed) -> Option<f64> {
    let after = &changed.after;
    if !admits(after) || after.capacity == 0 {
        return None;
    }
    let before = changed.before.as_ref();
    let measured = view.wait_per_place_ms().filter(|ms| *ms > 0.0).map(|ms| 1_000.0 / ms);
    let leaving = match (measured, before) {
        (Some(turns), Some(before)) if turns < AT_THE_RATE * before.admit_per_second && before.capacity > 0 => {
            turns * f64::from(after.capacity) / f64::from(before.capacity)
        }
        _ => f64::INFINITY,
    };
    Some(after.admit_per_second.min(leaving)).filter(|turns| *turns > 0.0)
}

fn admits(settings: &Settings) -> bool {
    matches!(settings.state, State::Open | State::Draining)
}

fn seconds(waiting: u64, per_second: Option<f64>) -> Option<u64> {
    let per_second = per_second.filter(|turns| *turns > 0.0)?;
    #[expect(clippy::cast_precision_loss, reason = "a line is shorter than 2^53")]
    let seconds = (waiting as f64 / per_second).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, never negative")]
    let whole = seconds as u64;
    Some(whole)
}

fn last(waiting: u64, wait: &LastInLine) -> String {
    let say = |seconds: Option<u64>| seconds.map_or("an unknown time".to_owned(), |s| format!("about {s} s"));
    match (wait.before_seconds, wait.after_seconds) {
        (before, None) => {
            format!("The last of {waiting} in line would wait without an end in sight; now {}.", say(before))
        }
        (before, after) => format!("The last of {waiting} in line would wait {}; now {}.", say(after), say(before)),
    }
}

fn sentences(view: &View, changed: &Changed) -> Vec<String> {
    let (before, after) = (changed.before.as_ref(), &changed.after);
    let mut means = Vec::new();
    let now = clock::utc();
    let state = before.map(|before| before.state);
    if state != Some(after.state) {
        means.push(match after.state {
            State::Paused => "People may still join; nobody is admitted.".to_owned(),
            State::Draining => "Nobody joins any more; those in line are admitted.".to_owned(),
            State::Closed => format!(
                "Nobody joins and nobody is admitted any more; {} in line stay outside, and {} visits go on to their end.",
                view.counts.waiting + view.counts.aside,
                view.counts.active
            ),
            _ => "People may join, and are admitted.".to_owned(),
        });
    }
    if let Some(opens) = after.opens_at.filter(|opens| *opens > now && after.state != State::Closed) {
        means.push(format!("Nobody is admitted before {}.", clock::rfc3339(opens)));
    }
    if let Some(closes) = after.closes_at.filter(|closes| Some(*closes) != before.and_then(|before| before.closes_at)) {
        means.push(format!("It closes at {}; who is in line then stays outside.", clock::rfc3339(closes)));
    }
    let inside = i64::try_from(view.counts.active).unwrap_or(i64::MAX);
    if inside > i64::from(after.capacity) {
        let over = inside - i64::from(after.capacity);
        means.push(format!(
            "{over} more are inside than the capacity: nobody loses a visit, and that many leave first."
        ));
    }
    if after.draw && before.is_none_or(|before| !before.draw) {
        means.push("Places before the opening are drawn; the commitment is public as soon as this is done.".to_owned());
    }
    means
}

fn differences(changed: &Changed) -> Vec<Difference> {
    let json = |settings: &Settings| serde_json::to_value(settings).unwrap_or_default();
    let (before, after) = (changed.before.as_ref().map(json).unwrap_or_default(), json(&changed.after));
    let Value::Object(after) = after else { return Vec::new() };
    let own = ["version", "epoch", "drawCommitment"];
    let told = after.into_iter().filter(|(setting, _)| !own.contains(&setting.as_str()));
    told.filter(|(setting, to)| before.get(setting) != Some(to))
        .map(|(setting, to)| Difference { from: before.get(&setting).cloned().unwrap_or_default(), setting, to })
        .collect()
}
