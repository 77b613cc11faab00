//! The line as Redis has it at one moment, and what must be true of it at any.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_redis::redis;

use super::super::Scripts;

/// Members and their scores.
pub(super) type Scores = BTreeMap<String, i64>;

/// What Redis tells: the time, the room, the visits, and each line.
type Pairs = Vec<(String, f64)>;
type Fields = HashMap<String, String>;
type Told = ((i64, i64), Fields, Fields, Pairs, Pairs, Pairs, Pairs, Pairs, Pairs, Pairs, Pairs, Pairs);

/// One room at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) now: i64,
    pub(super) room: HashMap<String, String>,
    pub(super) waiting: Scores,
    pub(super) present: Scores,
    pub(super) aside: Scores,
    pub(super) grace: Scores,
    pub(super) pending: Scores,
    pub(super) recalled: Scores,
    pub(super) active: Scores,
    pub(super) idle: Scores,
    pub(super) drawn: Scores,
    pub(super) phones: BTreeSet<String>,
    /// Number and phase.
    pub(super) visits: BTreeMap<String, (i64, String)>,
}

impl Line {
    pub(super) fn read(scripts: &mut Scripts) -> Self {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").cmd("HGETALL").arg(scripts.key("room")).cmd("HGETALL").arg(scripts.key("visits"));
        for line in ["waiting", "present", "aside", "grace", "pending", "recalled", "active", "idle", "drawn"] {
            pipe.cmd("ZRANGE").arg(scripts.key(line)).arg(0).arg(-1).arg("WITHSCORES");
        }
        let told: Told = pipe.query(&mut scripts.redis).unwrap();
        let (time, room, visits, waiting, present, aside, grace, pending, recalled, active, idle, drawn) = told;
        let visits = visits.into_iter().map(|(user, told)| {
            let mut words = told.split(' ');
            (user, (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned()))
        });
        Self {
            now: time.0 * 1_000 + time.1 / 1_000,
            room,
            waiting: scores(waiting),
            present: scores(present),
            aside: scores(aside),
            grace: scores(grace),
            pending: scores(pending),
            recalled: scores(recalled),
            active: scores(active),
            idle: scores(idle),
            drawn: scores(drawn),
            phones: scripts.run(&["ZRANGE", &scripts.key("phones"), "0", "-1"]),
            visits: visits.collect(),
        }
    }

    /// A setting or counter of the room.
    pub(super) fn number(&self, field: &str) -> i64 {
        self.room.get(field).map_or(0, |text| text.parse().unwrap())
    }

    pub(super) fn recovering(&self) -> bool {
        self.now < self.number("recoverUntil")
    }

    /// Whether places are drawn: before the opening of a room that draws.
    pub(super) fn drawing(&self) -> bool {
        self.now < self.number("opensAt")
    }

    pub(super) fn is_present(&self, user: &str) -> bool {
        self.present.get(user).is_some_and(|until| *until >= self.now)
    }

    pub(super) fn phase(&self, user: &str) -> &str {
        self.visits.get(user).map_or("", |(_, phase)| phase)
    }

    /// Whether the visit's end has come, though nobody has swept it yet.
    pub(super) fn is_over(&self, user: &str) -> bool {
        self.active.get(user).is_some_and(|ends| *ends <= self.now)
    }

    /// In line, aside or visiting.
    pub(super) fn has_place(&self, user: &str) -> bool {
        self.waiting.contains_key(user) || self.aside.contains_key(user) || self.visits.contains_key(user)
    }

    /// 1 + those with a smaller number who may still come.
    pub(super) fn position(&self, user: &str) -> Option<i64> {
        let number = self.waiting.get(user)?;
        let lines = [&self.waiting, &self.aside, &self.pending];
        let before = lines.iter().flat_map(|line| line.values()).filter(|other| *other < number).count();
        Some(1 + i64::try_from(before).unwrap())
    }

    /// What must be true at any moment.
    pub(super) fn assert_sound(&self, step: &str) {
        let whole = || format!("after {step}: {self:#?}");
        let counted = self.waiting.len() + self.aside.len() + self.pending.len() + self.visits.len();
        let counted = i64::try_from(counted).unwrap() + self.number("ended");
        assert_eq!(self.number("joined"), counted, "Q6 {}", whole());
        assert_eq!(self.number("overAdmitted"), 0, "Q4 {}", whole());
        for user in self.waiting.keys() {
            assert!(!self.aside.contains_key(user) && !self.visits.contains_key(user), "Q3 {user} {}", whole());
            assert!(!self.active.contains_key(user) && !self.grace.contains_key(user), "Q3 {user} {}", whole());
        }
        for (user, number) in self.waiting.iter().chain(&self.aside).filter(|(_, number)| **number < 0) {
            assert_eq!(self.drawn.get(user), Some(number), "{user} is missing in the list of the draw {}", whole());
        }
        for user in self.aside.keys() {
            assert!(!self.visits.contains_key(user) && !self.active.contains_key(user), "Q3 {user} {}", whole());
            assert!(self.grace.contains_key(user), "{user} is aside for ever {}", whole());
        }
        for (user, (_, phase)) in &self.visits {
            let (inside, recalled) = (self.active.contains_key(user), self.recalled.contains_key(user));
            let missed = phase == "missed";
            assert_eq!(inside, !missed && phase != "recalled", "Q3 {user} {}", whole());
            assert_eq!(recalled, phase == "recalled", "Q3 {user} {}", whole());
            assert_eq!(self.grace.contains_key(user), missed, "{user} {}", whole());
        }
        for user in self.active.keys().chain(self.idle.keys()).chain(self.recalled.keys()) {
            assert!(self.visits.contains_key(user), "{user} is inside without a visit {}", whole());
        }
        for user in self.active.keys() {
            assert!(self.idle.contains_key(user), "{user} never idles {}", whole());
        }
        for attempt in self.pending.keys() {
            assert!(self.grace.contains_key(attempt), "{attempt} is pending for ever {}", whole());
        }
        for user in self.grace.keys() {
            let kept = self.aside.contains_key(user) || self.pending.contains_key(user) || self.phase(user) == "missed";
            assert!(kept, "{user} has grace without a place {}", whole());
        }
    }

    /// Q2: nobody who is here and waits stands further back than before.
    pub(super) fn assert_none_stepped_back(&self, before: &Self, step: &str) {
        let same = before.number("epoch") == self.number("epoch") && !before.recovering() && !self.recovering();
        let same = same && !before.drawing(); // until then, nobody is shown a position
        for user in self.waiting.keys().filter(|user| same && before.is_present(user) && self.is_present(user)) {
            if let (Some(was), Some(is)) = (before.position(user), self.position(user)) {
                assert!(is <= was, "Q2 {user} {was} → {is} after {step}: {before:#?} → {self:#?}");
            }
        }
    }

    /// Q1: among those who were let in, none stood behind someone who was here and was not.
    pub(super) fn assert_in_order(&self, before: &Self, step: &str) {
        let entered = self.active.keys().filter(|user| !before.active.contains_key(*user));
        let last = entered.map(|user| self.visits[user].0).max();
        for (user, number) in self.waiting.iter().chain(&self.recalled) {
            let stood = before.waiting.contains_key(user) || before.recalled.contains_key(user);
            let overtaken = stood && before.is_present(user) && self.is_present(user) && Some(*number) < last;
            assert!(!overtaken, "Q1 {user} was overtaken by {step}: {before:#?} → {self:#?}");
        }
    }
}

fn scores(pairs: Pairs) -> Scores {
    #[expect(clippy::cast_possible_truncation, reason = "numbers and times are whole and below 2^53")]
    let whole = |(member, score): (String, f64)| (member, score as i64);
    pairs.into_iter().map(whole).collect()
}
