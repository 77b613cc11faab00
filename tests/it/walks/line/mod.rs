//! A walk through the line: whatever two dozen people do, and whatever time and crashes do to them.

mod limits;
mod looks;
mod people;
mod state;
mod time;

use std::collections::HashMap;

use deadpool_redis::redis::Value;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use self::limits::Advice;
use self::state::Line;
use super::{Scripts, Seen, incarnation, plan, texts};

const PEOPLE: usize = 24;
const WORDS: [&str; 43] = [
    "active at once",
    "waiting",
    "kept",
    "full",
    "closed",
    "admitted",
    "set aside",
    "a phone set aside",
    "back",
    "missed",
    "recalled",
    "admitted again",
    "out after two misses",
    "given up",
    "over",
    "unheard",
    "closed upon",
    "idle",
    "left",
    "claimed",
    "verified",
    "verified late",
    "merged",
    "refused",
    "renewed",
    "lost",
    "said twice",
    "restarted",
    "forgotten",
    "brought back",
    "not brought back",
    "paid",
    "prolonged",
    "prolonged no more",
    "advised",
    "let in under advice",
    "drawn",
    "told of the draw",
    "admitted by hand",
    "looked at",
    "looked around",
    "heard",
    "limited",
];

#[test]
fn whatever_people_do_the_line_is_fair_and_everyone_is_counted() {
    let (steps, seed) = plan();
    let mut walk = Walk::start(seed);
    let mut walked = 0;
    while walk.seen.goes_on(walked, steps, &WORDS) {
        walk.step();
        walked += 1;
    }
    walk.seen.assert_enough(walked, steps, &WORDS);
    walk.scripts.assert_all_called();
}

/// What an account shows: its number, the epoch of that number, and since when it has it.
#[derive(Debug, Clone, Copy)]
struct Token {
    epoch: i64,
    number: i64,
    since_ms: i64,
}

struct Walk {
    scripts: Scripts,
    random: StdRng,
    seen: Seen,
    epoch: i64,
    version: i64,
    attempts: i64,
    tokens: HashMap<String, Token>,
    /// Who lost a place, and when, ms: no token that is older brings them back.
    ended: HashMap<String, i64>,
    /// The position last shown to those who are recalled.
    shown: HashMap<String, i64>,
    /// The own end of those visits that go on for a hold, ms.
    own_ends: HashMap<String, i64>,
    /// The draw that is on, as the processes know it; empty for none.
    draw: String,
    /// An operator admitted in this step: the rate does not count.
    by_hand: bool,
    /// How many may still be admitted, by the rate, as an outsider reckons.
    credit: f64,
    /// What they may be in a second, and whether the last run left nothing of it.
    rate: f64,
    used_up: bool,
    advice: Advice,
    line: Line,
    /// The line after a step, where the step had to look at it already.
    after: Option<Line>,
}

impl Walk {
    fn start(seed: u64) -> Self {
        let scripts = Scripts::load("queue", "anteroom:{walk}:");
        let mut walk = Self {
            scripts,
            random: StdRng::seed_from_u64(seed),
            seen: Seen::default(),
            epoch: 0,
            version: 1,
            attempts: 0,
            tokens: HashMap::new(),
            ended: HashMap::new(),
            shown: HashMap::new(),
            own_ends: HashMap::new(),
            draw: String::new(),
            by_hand: false,
            credit: 0.0,
            rate: 0.0,
            used_up: false,
            advice: Advice::default(),
            line: Line::default(),
            after: None,
        };
        walk.set_up();
        walk.line = Line::read(&mut walk.scripts);
        walk
    }

    fn step(&mut self) {
        let user = format!("user{}", self.random.random_range(0..PEOPLE));
        let what = match self.random.random_range(0..100) {
            0..12 => self.join(&user),
            12..17 => self.begin_login(&user),
            17..24 => self.end_login(),
            24..42 => self.poll(&user),
            42..45 => self.come_back(&user),
            45..48 => self.leave(&user),
            48..55 => self.claim(&user),
            55..57 => self.pay(&user),
            57..60 => self.hold(),
            60..66 if self.line.room["state"] == "closed" => self.end_line(),
            60..72 => self.admit(),
            72 => self.admit_by_hand(),
            73 => self.look(&user),
            74..81 => self.end_visits(),
            81..84 => self.end_line(),
            84..94 => self.pass_time(),
            94..96 => self.advise(),
            96..98 => self.configure(),
            98 => self.call_with_another_belief(&user),
            _ => self.forget(),
        };
        self.judge(&what);
    }

    /// What must be true after each thing that happens.
    fn judge(&mut self, what: &str) {
        let after = self.after.take().unwrap_or_else(|| Line::read(&mut self.scripts));
        after.assert_sound(what);
        after.assert_none_stepped_back(&self.line, what);
        after.assert_in_order(&self.line, what);
        self.assert_within_limits(&after, what);
        self.note_ends(&after);
        self.line = after;
    }

    fn call(&mut self, verb: &str, subject: &str, args: &[String]) -> Vec<String> {
        texts(&self.told(verb, subject, args))
    }

    /// Calls a script, and gives its answer as it came.
    fn told(&mut self, verb: &str, subject: &str, args: &[String]) -> Vec<Value> {
        let name = |described: &str| match described.split(&[',', ':']).next().unwrap() {
            "the room's settings and counters" => vec!["room".to_owned()],
            "what became of the attempt" => vec![format!("attempt:{subject}")],
            name => vec![name.to_owned()],
        };
        self.scripts.call(verb, name, args)
    }

    /// Calls a script of the line for someone, sometimes twice: an answer may be lost, and the call come again.
    fn act(&mut self, verb: &str, subject: &str, args: &[String]) -> Vec<String> {
        let args = [&[incarnation(self.epoch), subject.to_owned()], args].concat();
        self.act_with(verb, subject, &args)
    }

    /// The same, with all arguments given.
    fn act_with(&mut self, verb: &str, subject: &str, args: &[String]) -> Vec<String> {
        let answer = self.call(verb, subject, args);
        if self.random.random_bool(0.2) {
            let once = Line::read(&mut self.scripts);
            self.call(verb, subject, args);
            let twice = Line::read(&mut self.scripts);
            if verb == "join" && twice.active.len() > once.active.len() {
                return answer; // by the time of the second call the rate allowed a visit
            }
            for (one, two) in
                [(&once.waiting, &twice.waiting), (&once.aside, &twice.aside), (&once.grace, &twice.grace)]
            {
                assert_eq!(one, two, "{verb} {subject} twice");
            }
            assert_eq!(once.number("ended"), twice.number("ended"), "{verb} {subject} twice");
            assert_eq!(once.visits, twice.visits, "{verb} {subject} twice");
            self.seen.note("said twice");
        }
        answer
    }

    fn note_ends(&mut self, after: &Line) {
        let same = self.line.number("epoch") == after.number("epoch");
        let gone = |user: &&String| same && self.line.has_place(user) && !after.has_place(user);
        let lines = self.line.waiting.keys().chain(self.line.aside.keys()).chain(self.line.visits.keys());
        self.ended.extend(lines.filter(gone).map(|user| (user.clone(), after.now)));
        self.shown.retain(|user, _| after.recalled.contains_key(user));
        self.own_ends.retain(|user, _| after.phase(user) == "claimed");
    }

    fn some(&mut self, of: impl Fn(&Line) -> Vec<String>) -> Option<String> {
        of(&self.line).choose(&mut self.random).cloned()
    }
}
