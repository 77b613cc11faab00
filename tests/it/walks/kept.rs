//! A walk through what Redis keeps for an account: answers under Idempotency-Keys, the schedules it asked for seats of, and a
//! copy of its balance.

use std::collections::{BTreeMap, HashMap};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::{Scripts, Seen, plan, texts};

const CALLERS: [&str; 3] = ["one", "two", "three"];
const KEYS_A_DAY: i64 = 12;
const DAY_MS: i64 = 86_400_000;
const CLAIM_MS: i64 = 30_000;
const SCHEDULES: i64 = 160;
const SCHEDULES_KEPT: usize = 100;
const WORDS: [&str; 13] = [
    "new",
    "reused",
    "in flight",
    "answered",
    "limited",
    "kept",
    "given up",
    "noted",
    "let go",
    "no room",
    "written",
    "older",
    "another run",
];

#[test]
fn whatever_is_kept_for_an_account_is_the_first_answer_the_latest_schedules_and_the_newest_balance() {
    let (steps, seed) = plan();
    let mut walk = Walk::start(seed);
    let mut walked = 0;
    while walk.seen.goes_on(walked, steps, &WORDS) {
        walk.step();
        walked += 1;
    }
    walk.seen.assert_enough(walked, steps, &WORDS);
    walk.booking.assert_all_called();
    walk.ledger.assert_all_called();
}

/// The first request under a key, and what it was answered.
struct First {
    body: String,
    answer: Option<(String, String)>,
}

/// A copy of a balance.
struct Copied {
    run: String,
    version: i64,
    balance: i64,
}

struct Walk {
    booking: Scripts,
    ledger: Scripts,
    random: StdRng,
    seen: Seen,
    answers: HashMap<String, First>,
    used: HashMap<&'static str, i64>,
    schedules: HashMap<&'static str, BTreeMap<String, i64>>,
    copies: HashMap<&'static str, Copied>,
}

impl Walk {
    fn start(seed: u64) -> Self {
        Self {
            booking: Scripts::load("booking", "anteroom:{u:1}:"),
            ledger: Scripts::load("ledger", "anteroom:{u:1}:"),
            random: StdRng::seed_from_u64(seed),
            seen: Seen::default(),
            answers: HashMap::new(),
            used: HashMap::new(),
            schedules: HashMap::new(),
            copies: HashMap::new(),
        }
    }

    fn step(&mut self) {
        let caller = *CALLERS.choose(&mut self.random).unwrap();
        let key = format!("answer:{caller}:{}", self.random.random_range(0..60));
        match self.random.random_range(0..100) {
            0..35 => self.begin(caller, &key),
            35..50 => self.finish(&key),
            50..55 => self.end_of_claim(&key),
            55 => self.end_of_day(caller),
            56..80 => self.note(caller),
            80..84 => self.forget_when_noted(caller),
            84..99 => self.copy(caller),
            _ => self.forget_copy(caller),
        }
    }

    fn begin(&mut self, caller: &'static str, key: &str) {
        let body = (*["body", "body", "other"].choose(&mut self.random).unwrap()).to_owned();
        let name = |described: &str| match described.split([',', ':']).next().unwrap() {
            "the answer under this key" => vec![key.to_owned()],
            _ => vec![format!("used:{caller}")],
        };
        let args = [body.clone(), CLAIM_MS.to_string(), KEYS_A_DAY.to_string(), DAY_MS.to_string()];
        let told = texts(&self.booking.call("begin_answer", name, &args));
        let used = self.used.entry(caller).or_default();
        let expected = match self.answers.get(key) {
            Some(first) if first.body != body => vec!["reused".to_owned()],
            Some(First { answer: Some((status, answer)), .. }) => {
                vec!["answered".to_owned(), status.clone(), answer.clone()]
            }
            Some(_) => vec!["in-flight".to_owned()],
            None => {
                *used += 1;
                vec![if *used > KEYS_A_DAY { "limited" } else { "new" }.to_owned()]
            }
        };
        let word = expected[0].as_str();
        if word == "limited" {
            assert!((1..=DAY_MS).contains(&told[1].parse().unwrap()), "{told:?}");
            assert_eq!(told[0], word);
        } else {
            assert_eq!(told, expected);
        }
        if word == "new" {
            self.answers.insert(key.to_owned(), First { body, answer: None });
            assert!((1..=CLAIM_MS).contains(&self.lives_ms(key)), "a claim is void after a while");
        }
        assert_eq!(self.exists(key), word != "limited", "{key} {told:?}");
        self.seen.note(match word {
            "new" => "new",
            "reused" => "reused",
            "limited" => "limited",
            "answered" => "answered",
            _ => "in flight",
        });
    }

    /// The request that claimed the key is answered, or failed; now and then its claim was void by then.
    fn finish(&mut self, key: &str) {
        let body = self.answers.get(key).map_or("body".to_owned(), |first| first.body.clone());
        if self.answers.get(key).is_some_and(|first| first.answer.is_some()) {
            return;
        }
        let keeps = self.random.random_bool(0.7);
        let (status, answer) =
            (if keeps { "200" } else { "0" }, format!("answer {}", self.random.random_range(0..1_000)));
        let args = [body.clone(), status.to_owned(), answer.clone(), DAY_MS.to_string()];
        let told = texts(&self.booking.call("finish_answer", |_| vec![key.to_owned()], &args));
        assert_eq!(told, [if keeps { "kept" } else { "given-up" }]);
        if keeps {
            self.answers.insert(key.to_owned(), First { body, answer: Some((status.to_owned(), answer)) });
            assert!((CLAIM_MS..=DAY_MS).contains(&self.lives_ms(key)), "an answer is kept for a day");
        } else {
            self.answers.remove(key);
            assert!(!self.exists(key));
        }
        self.seen.note(if keeps { "kept" } else { "given up" });
    }

    /// A claim whose request died is void, a day after an answer it is forgotten.
    fn end_of_claim(&mut self, key: &str) {
        let whole = self.booking.key(key);
        self.booking.run::<i64>(&["DEL", &whole]);
        self.answers.remove(key);
    }

    fn end_of_day(&mut self, caller: &'static str) {
        let used = self.booking.key(&format!("used:{caller}"));
        let lives_ms: i64 = self.booking.run(&["PTTL", &used]);
        assert!(self.used.get(caller).is_none_or(|used| *used == 0) || lives_ms > 0, "counted for a day, not for ever");
        self.booking.run::<i64>(&["DEL", &used]);
        self.used.insert(caller, 0);
    }

    fn note(&mut self, user: &'static str) {
        let schedule = self.random.random_range(1..=SCHEDULES).to_string();
        let key = format!("schedules:{user}");
        let before = self.now_ms();
        let told = self.booking.call("note_schedule", |_| vec![key.clone()], &[schedule.clone(), DAY_MS.to_string()]);
        assert_eq!(texts(&told), ["noted"]);
        let after = self.now_ms();
        let whole = self.booking.key(&key);
        let there: Vec<(String, f64)> = self.booking.run(&["ZRANGE", &whole, "0", "-1", "WITHSCORES"]);
        #[expect(clippy::cast_possible_truncation, reason = "times are whole and below 2^53")]
        let there: BTreeMap<_, _> = there.into_iter().map(|(schedule, asked)| (schedule, asked as i64)).collect();
        assert!((before..=after).contains(&there[&schedule]), "{there:?}");

        let expected = self.schedules.entry(user).or_default();
        expected.insert(schedule.clone(), there[&schedule]);
        let known = expected.len();
        expected.retain(|_, asked| *asked > after - DAY_MS);
        if expected.len() < known {
            self.seen.note("let go");
        }
        if expected.len() > SCHEDULES_KEPT {
            let oldest = expected.iter().min_by_key(|(schedule, asked)| (**asked, (*schedule).clone()));
            let oldest = oldest.unwrap().0.clone();
            expected.remove(&oldest);
            self.seen.note("no room");
        }
        assert_eq!(there, *expected);
        assert!((1..=DAY_MS).contains(&self.lives_ms(&key)));
        self.seen.note("noted");
    }

    /// It is a day ago that the account asked for seats there.
    fn forget_when_noted(&mut self, user: &'static str) {
        let known: Vec<_> = self.schedules.get(user).into_iter().flat_map(|known| known.keys().cloned()).collect();
        let Some(schedule) = known.choose(&mut self.random).cloned() else { return };
        let whole = self.booking.key(&format!("schedules:{user}"));
        self.booking.run::<i64>(&["ZADD", &whole, "XX", "1", &schedule]);
        self.schedules.entry(user).or_default().insert(schedule, 1);
    }

    fn copy(&mut self, user: &'static str) {
        let run = if self.random.random_bool(0.9) { "this" } else { "another" }.to_owned();
        let known = self.copies.get(user);
        let version = (known.map_or(5, |known| known.version) + self.random.random_range(-3..=3)).max(1);
        let balance = self.random.random_range(0..1_000_000_000_000);
        let args = [run.clone(), balance.to_string(), version.to_string(), DAY_MS.to_string()];
        let key = format!("balance:{user}");
        let told = texts(&self.ledger.call("project_balance", |_| vec![key.clone()], &args));
        if known.is_some_and(|known| known.run == run && known.version >= version) {
            assert_eq!(told, ["older"]);
            self.seen.note("older");
        } else {
            assert_eq!(told, ["written"]);
            self.seen.note(if known.is_some_and(|known| known.run != run) { "another run" } else { "written" });
            self.copies.insert(user, Copied { run, version, balance });
        }
        let known = &self.copies[user];
        let whole = self.ledger.key(&key);
        let there: (i64, i64, String) = self.ledger.run(&["HMGET", &whole, "balance", "version", "run"]);
        assert_eq!(there, (known.balance, known.version, known.run.clone()));
        assert!((1..=DAY_MS).contains(&self.ledger.run::<i64>(&["PTTL", &whole])));
    }

    fn forget_copy(&mut self, user: &'static str) {
        let whole = self.ledger.key(&format!("balance:{user}"));
        self.ledger.run::<i64>(&["DEL", &whole]);
        self.copies.remove(user);
    }

    fn now_ms(&mut self) -> i64 {
        let (seconds, micros): (i64, i64) = self.booking.run(&["TIME"]);
        seconds * 1_000 + micros / 1_000
    }

    fn lives_ms(&mut self, key: &str) -> i64 {
        let whole = self.booking.key(key);
        self.booking.run(&["PTTL", &whole])
    }

    fn exists(&mut self, key: &str) -> bool {
        let whole = self.booking.key(key);
        self.booking.run(&["EXISTS", &whole])
    }
}
