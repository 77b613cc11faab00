//! What limits admission, whoever runs it and however often.

use std::thread;

use super::{Scripts, incarnation, texts};

const EPOCH: i64 = 1;

/// A room of its own for one test.
struct Hall {
    scripts: Scripts,
}

impl Hall {
    fn open(prefix: &'static str, settings: &[(&str, &str)]) -> Self {
        let mut hall = Self { scripts: Scripts::load("queue", prefix) };
        let fixed = [
            ("version", "1"),
            ("state", "open"),
            ("opensAt", "0"),
            ("closesAt", "9000000000000000"),
            ("claimMs", "60000"),
            ("graceMs", "300000"),
            ("phoneGraceMs", "900000"),
            ("visitMs", "1200000"),
            ("idleMs", "120000"),
            ("holdMs", "300000"),
            ("queueLimit", "100000"),
        ];
        let head = [incarnation(EPOCH), EPOCH.to_string(), "0".into(), "0".into(), "0".into()];
        let pairs = fixed.iter().chain(settings).flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        let args: Vec<_> = head.into_iter().chain(pairs).collect();
        assert_eq!(hall.call("setup_room", &args), ["ready"]);
        hall
    }

    /// Another connection to the same room, as another process has one.
    fn beside(&self) -> Self {
        Self { scripts: self.scripts.beside() }
    }

    fn call(&mut self, verb: &str, args: &[String]) -> Vec<String> {
        let name = |described: &str| match described.split([',', ':']).next().unwrap() {
            "the room's settings and counters" => vec!["room".to_owned()],
            name => vec![name.to_owned()],
        };
        texts(&self.scripts.call(verb, name, args))
    }

    /// How many one run admitted and set aside.
    fn admit(&mut self, most: u32) -> (usize, usize) {
        let answer = self.call("admit", &[incarnation(EPOCH), most.to_string()]);
        (answer[1].parse().unwrap(), answer[2].parse().unwrap())
    }

    fn advise(&mut self, adviser: &str, visits: u32, per_second: &str) {
        let args = [adviser, &visits.to_string(), &visits.to_string(), per_second, "600000"].map(str::to_owned);
        let args = [&[incarnation(EPOCH)][..], &args].concat();
        assert_eq!(self.call("advise", &args), ["noted"]);
    }

    /// Advice of a process that has not counted the seats.
    fn advise_blindly(&mut self, adviser: &str) {
        let epoch = incarnation(EPOCH);
        let args = [epoch.as_str(), adviser, "", "1000000000", "1000000000", "600000"].map(str::to_owned);
        assert_eq!(self.call("advise", &args), ["noted"]);
    }

    fn join(&mut self, user: &str) -> String {
        let nothing_drawn = [String::new(), "0".to_owned(), "0".to_owned()];
        let args = [&[incarnation(EPOCH), user.to_owned(), "1".to_owned()][..], &nothing_drawn].concat();
        self.call("join", &args)[0].clone()
    }

    /// People in line, numbered from `from`, who count as present until then, ms.
    fn line_up(&mut self, from: usize, people: usize, present_until: &str) {
        let (waiting, present) = (self.scripts.key("waiting"), self.scripts.key("present"));
        for number in from..from + people {
            let user = format!("user{number:06}");
            self.scripts.run::<i64>(&["ZADD", &waiting, &number.to_string(), &user]);
            self.scripts.run::<i64>(&["ZADD", &present, present_until, &user]);
        }
    }

    fn count(&mut self, line: &str) -> usize {
        let key = self.scripts.key(line);
        self.scripts.run(&["ZCARD", &key])
    }

    fn field(&mut self, name: &str) -> Option<String> {
        let key = self.scripts.key("room");
        self.scripts.run(&["HGET", &key, name])
    }

    fn now_ms(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = self.scripts.run(&["TIME"]);
        seconds * 1_000 + micros / 1_000
    }

    /// As if that much time had passed since the last admission.
    fn pass(&mut self, ms: u64) {
        let key = self.scripts.key("room");
        self.scripts.run::<i64>(&["HINCRBY", &key, "bucketAt", &format!("-{ms}")]);
    }
}

const FAR: &str = "9000000000000000";
const LONG_AGO: &str = "1";

#[test]
fn however_many_processes_admit_none_comes_in_beyond_capacity_or_rate() {
    let mut hall = Hall::open("anteroom:{many}:", &[("capacity", "150"), ("admitPerSecond", "200")]);
    let began_ms = hall.now_ms();
    hall.admit(500);
    hall.line_up(1, 400, FAR);
    let processes: Vec<_> = (0..6)
        .map(|_| {
            let mut process = hall.beside();
            thread::spawn(move || (0..200).map(|_| process.admit(500).0).sum::<usize>())
        })
        .collect();
    let admitted: usize = processes.into_iter().map(|process| process.join().unwrap()).sum();
    let took_ms = hall.now_ms() - began_ms;
    let allowed = 2 + usize::try_from(200 * (took_ms + 1) / 1_000).unwrap();
    assert!(admitted <= allowed.min(150), "{admitted} in {took_ms} ms");
    while hall.count("active") < 150 {
        hall.pass(100);
        hall.admit(500);
    }
    hall.pass(10_000);
    assert_eq!(hall.admit(500), (0, 0));
    assert_eq!((hall.count("active"), hall.field("overAdmitted")), (150, None));
}

#[test]
fn the_end_of_an_empty_line_is_no_rush() {
    let mut hall = Hall::open("anteroom:{rush}:", &[("capacity", "1000"), ("admitPerSecond", "100")]);
    for _ in 0..100 {
        hall.pass(1_000);
        assert_eq!(hall.admit(500), (0, 0));
    }
    let began_ms = hall.now_ms();
    assert_eq!(hall.admit(500), (0, 0));
    hall.line_up(1, 500, FAR);
    let (admitted, _) = hall.admit(500);
    let took_ms = hall.now_ms() - began_ms;
    let allowed = 1 + usize::try_from(100 * (took_ms + 1) / 1_000).unwrap();
    assert!(admitted <= allowed, "{admitted} in {took_ms} ms");
    // A run that comes late makes up for at most a second.
    hall.pass(60_000);
    assert_eq!(hall.admit(500).0, 100);
}

#[test]
fn who_finds_the_line_empty_comes_in_within_the_rate_too() {
    let mut hall = Hall::open("anteroom:{door}:", &[("capacity", "1000"), ("admitPerSecond", "50")]);
    hall.pass(60_000);
    let began_ms = hall.now_ms();
    let active = (0..200).filter(|number| hall.join(&format!("user{number}")) == "active").count();
    let took_ms = hall.now_ms() - began_ms;
    let allowed = 10 + usize::try_from(50 * (took_ms + 1) / 1_000).unwrap();
    assert!((10..=allowed).contains(&active), "{active} in {took_ms} ms: a fifth of a second's worth, and the rate");
}

#[test]
fn an_abandoned_head_of_thousands_blocks_nobody() {
    let mut hall = Hall::open("anteroom:{gone}:", &[("capacity", "1"), ("admitPerSecond", "1")]);
    hall.line_up(1, 5_000, LONG_AGO);
    hall.line_up(5_001, 2, FAR);
    hall.pass(1_000);
    let runs: Vec<_> = (0..6).map(|_| hall.admit(500)).collect();
    let (admitted, passed) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    assert_eq!((admitted, passed), (1, 5_000), "absence costs no rate and no visit: {runs:?}");
    let active = hall.scripts.key("active");
    assert_eq!(hall.scripts.run::<Vec<String>>(&["ZRANGE", &active, "0", "-1"]), ["user005001"]);
    assert_eq!((hall.count("waiting"), hall.count("aside")), (1, 5_000));
}

#[test]
fn what_the_stock_needs_and_what_the_load_allows_are_heeded_by_every_way_in() {
    let mut hall = Hall::open("anteroom:{advised}:", &[("capacity", "1000"), ("admitPerSecond", "500")]);
    hall.advise("a", 3, "1000000000");
    hall.pass(1_000);
    assert_eq!([hall.join("one"), hall.join("two")], ["active", "active"]);
    hall.line_up(10, 50, FAR);
    hall.pass(1_000);
    assert_eq!(hall.admit(500).0, 1, "three are enough for the seats that are left");
    hall.pass(1_000);
    assert_eq!(hall.admit(500).0, 0);

    hall.advise("a", 1_000, "10");
    hall.pass(1_000);
    assert_eq!(hall.admit(500).0, 10, "the load allows ten in a second");
    hall.advise("b", 1_000, "400");
    assert_eq!(hall.field("loadRate").unwrap(), "10", "the least that any process allows counts");
    hall.advise("b", 1_000, "5");
    hall.advise("a", 1_000, "20");
    assert_eq!(hall.field("loadRate").unwrap(), "5");
    hall.advise("b", 1_000, "1000000000");
    hall.advise("a", 1_000, "20");
    assert_eq!(hall.field("loadRate").unwrap(), "20", "whose advice it was may take it back");

    let room = hall.scripts.key("room");
    hall.scripts.run::<i64>(&["HSET", &room, "advisedUntil", LONG_AGO]);
    hall.pass(1_000);
    assert_eq!(hall.admit(500).0, 39, "advice that is too old does not count");
}

#[test]
fn who_has_not_counted_the_seats_leaves_what_another_says_of_them_while_it_counts() {
    let mut hall = Hall::open("anteroom:{stock}:", &[("capacity", "1000"), ("admitPerSecond", "500")]);
    let stock = |hall: &mut Hall| ["seatsLeft", "stockVisits"].map(|name| hall.field(name).unwrap());
    hall.advise_blindly("b");
    assert_eq!(stock(&mut hall), ["", "1000000000"]);
    hall.advise("a", 3, "1000000000");
    hall.advise_blindly("b");
    assert_eq!(stock(&mut hall), ["3", "3"]);
    let room = hall.scripts.key("room");
    hall.scripts.run::<i64>(&["HSET", &room, "stockUntil", LONG_AGO]);
    hall.advise_blindly("b");
    assert_eq!(stock(&mut hall), ["", "1000000000"], "nobody has counted them for too long");
}
