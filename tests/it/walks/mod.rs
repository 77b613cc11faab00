//! Seeded random walks over the real scripts, checked against a model after each step.
//!
//! Time is given: deadlines are moved by rewriting scores, never by sleeping. `WALK_STEPS` and `WALK_SEED` make a walk
//! longer, or another one. The rates that the scripts heed are of the real clock, so that two walks of one seed are not
//! the same: a walk goes on, up to four times its length, while it has not shown all that it must, and fails when that
//! does not do.

mod kept;
mod limits;
mod line;
mod seats;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use deadpool_redis::redis::{self, Connection, Script, Value};
use regex::Regex;

use crate::support::redis_database;

/// The incarnation of an epoch, as the walks write it.
fn incarnation(epoch: i64) -> String {
    format!("{epoch}-walk")
}

/// Steps of a walk, and its seed.
fn plan() -> (usize, u64) {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (
        given("WALK_STEPS").map_or(10_000, |steps| usize::try_from(steps).unwrap()),
        given("WALK_SEED").unwrap_or(20_261_122),
    )
}

/// What happened how often.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, usize>);

impl Seen {
    fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Whether to walk on after so many steps: as far as was asked for, and further for what was seen less often than
    /// once in a thousand of those.
    fn goes_on(&self, walked: usize, asked: usize, words: &[&str]) -> bool {
        walked < asked || walked < 4 * asked && self.rare(asked, words).is_some()
    }

    fn rare<'a>(&self, asked: usize, words: &[&'a str]) -> Option<&'a str> {
        words.iter().copied().find(|word| self.0.get(word).copied().unwrap_or(0) * 1_000 < asked)
    }

    /// Fails where one of these was seen too seldom.
    fn assert_enough(&self, walked: usize, asked: usize, words: &[&str]) {
        assert_eq!(self.rare(asked, words), None, "the walk proves too little of it: {:?}", self.0);
        println!("{walked} steps: {:?}", self.0);
    }
}

/// The scripts of one folder, called as their headers say.
struct Scripts {
    redis: Connection,
    url: String,
    prefix: &'static str,
    known: HashMap<String, (Script, Vec<String>)>,
    called: BTreeSet<String>,
}

impl Scripts {
    /// The scripts of `lua/<room>`, on a Redis database of their own, for keys with this prefix.
    fn load(room: &str, prefix: &'static str) -> Self {
        let key = Regex::new(r"(?m)^-- KEYS\[\d+(?:\.\.)?\] \w+: (.+)$").unwrap();
        let mut known = HashMap::new();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("lua").join(room)).unwrap() {
            let path = entry.unwrap().path();
            let source = fs::read_to_string(&path).unwrap();
            let keys = key.captures_iter(&source).map(|found| found[1].to_owned()).collect();
            let verb = path.file_stem().unwrap().to_str().unwrap().to_owned();
            known.insert(verb, (Script::new(&source), keys));
        }
        Self::at(&redis_database(), prefix, known)
    }

    fn at(url: &str, prefix: &'static str, known: HashMap<String, (Script, Vec<String>)>) -> Self {
        let redis = redis::Client::open(url).unwrap().get_connection().unwrap();
        Self { redis, url: url.to_owned(), prefix, known, called: BTreeSet::new() }
    }

    /// The same scripts over another connection to the same database.
    fn beside(&self) -> Self {
        Self::at(&self.url, self.prefix, self.known.clone())
    }

    /// Calls a script. `name` tells the key, or keys, that a line of its header describes.
    fn call(&mut self, verb: &str, name: impl Fn(&str) -> Vec<String>, args: &[String]) -> Vec<Value> {
        if !self.called.contains(verb) {
            self.called.insert(verb.to_owned());
        }
        let (script, keys) = &self.known[verb];
        let mut call = script.prepare_invoke();
        for key in keys.iter().flat_map(|described| name(described)) {
            call.key(format!("{}{key}", self.prefix));
        }
        for arg in args {
            call.arg(arg);
        }
        call.invoke(&mut self.redis).unwrap()
    }

    /// Fails where a script of the folder was not part of the walk.
    fn assert_all_called(&self) {
        let left: Vec<_> = self.known.keys().filter(|verb| !self.called.contains(*verb)).collect();
        assert!(left.is_empty(), "the walk proves nothing of {left:?}");
    }

    fn key(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// Runs a plain command.
    fn run<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> T {
        redis::cmd(command[0]).arg(&command[1..]).query(&mut self.redis).unwrap()
    }
}

/// A script's answer as texts; lists within it are left out.
fn texts(answer: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Int(number) => Some(number.to_string()),
        Value::BulkString(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
        _ => None,
    };
    answer.iter().filter_map(text).collect()
}
