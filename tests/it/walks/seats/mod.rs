//! A walk through one schedule's seats: holds, payments, sales, and what time and crashes do to them.

mod checks;
mod looks;
mod loss;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::{Scripts, Seen, incarnation, plan, texts};

const SEATS: usize = 30;
const PEOPLE: usize = 10;
const LIMIT: usize = 4;
const HOLD_MS: i64 = 300_000;
const WORDS: [&str; 21] = [
    "held",
    "taken",
    "limit",
    "yours",
    "repeated",
    "cancelled",
    "paying",
    "confirmed",
    "begun",
    "expired",
    "sold to another",
    "other amount",
    "aborted",
    "settled",
    "sold over a hold",
    "swept",
    "forgotten",
    "payment lost",
    "counted",
    "looked after",
    "looked after no longer",
];

#[test]
fn whatever_people_do_a_seat_is_held_and_sold_once() {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Paying,
    Confirmed,
    Cancelled,
}

#[derive(Debug, Clone)]
struct Reservation {
    user: String,
    seats: Vec<String>,
    state: State,
    /// The hold's time is over.
    over: bool,
}

/// What must be in Redis. What is sold is sold for good, as Postgres would have it.
struct Walk {
    scripts: Scripts,
    random: StdRng,
    seen: Seen,
    epoch: i64,
    made: usize,
    reservations: BTreeMap<String, Reservation>,
    sold: BTreeMap<String, String>,
    /// Whose the sold reservations are.
    owners: BTreeMap<String, String>,
    version: i64,
}

impl Walk {
    fn start(seed: u64) -> Self {
        let scripts = Scripts::load("seats", "anteroom:{s:1}:");
        let random = StdRng::seed_from_u64(seed);
        let (reservations, sold, owners) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut walk =
            Self { scripts, random, seen: Seen::default(), epoch: 0, made: 0, reservations, sold, owners, version: 0 };
        walk.set_up();
        walk
    }

    fn step(&mut self) {
        let what = match self.random.random_range(0..100) {
            0..40 => self.hold(),
            40..52 => self.release(),
            52..68 => self.begin_payment(),
            68..76 => self.abort_payment(),
            76..83 => self.settle(),
            83..88 => self.availability(),
            88..90 => self.look(),
            90..96 => self.pass_time(),
            96..98 => self.call_with_another_belief(),
            _ => self.forget(),
        };
        self.assert_sound(&what);
    }

    /// Calls a script for an account, its reservation and its seats.
    fn call(&mut self, verb: &str, of: (&str, &str, &[String]), args: &[String]) -> Vec<String> {
        let (user, id, seats) = of;
        let name = |described: &str| match described.split(&[',', ':', '(']).next().unwrap().trim() {
            "the account's seats" | "the owner's seats" => vec![format!("user:{user}")],
            "the account's reservations" => vec![format!("reservations:{user}")],
            "the reservation" | "the new reservation" => vec![format!("reservation:{id}")],
            "the reservation made under this Idempotency-Key" => vec![format!("key:{user}:{}", seats.join("-"))],
            "for each seat" | "for each of its seats" => seats.iter().map(|seat| format!("hold:{seat}")).collect(),
            name => vec![name.to_owned()],
        };
        texts(&self.scripts.call(verb, name, args))
    }

    /// Calls twice now and then: an answer may be lost, and the call come again.
    fn act(&mut self, verb: &str, of: (&str, &str, &[String]), args: &[String]) -> Vec<String> {
        let args = [&[incarnation(self.epoch)], args, of.2].concat();
        let answer = self.call(verb, of, &args);
        if self.random.random_bool(0.2) {
            self.call(verb, of, &args);
        }
        answer
    }

    fn hold(&mut self) -> String {
        self.made += 1;
        let (id, user) = (format!("r{}", self.made), format!("user{}", self.random.random_range(0..PEOPLE)));
        let first = self.random.random_range(0..SEATS);
        let count = self.random.random_range(1..=2);
        let seats: Vec<_> = (first..first + count).map(|at| format!("A{}", at % SEATS)).collect();
        let free = seats.iter().all(|seat| self.holder(seat).is_none() && !self.sold.contains_key(seat));
        let has = self.seats_of(&user);
        let keyed = if self.random.random_bool(0.1) { "1" } else { "0" };
        let args = [&user, &id, &HOLD_MS.to_string(), &LIMIT.to_string(), &price(&seats), "3600000", keyed];
        let answer = self.act("hold", (&user, &id, &seats), &args.map(str::to_owned));
        match answer[0].as_str() {
            "held" => {
                assert!(free && has.start() + seats.len() <= LIMIT, "{user} {seats:?} {has:?} {:?}", self.reservations);
                let held = Reservation { user, seats, state: State::Held, over: false };
                self.reservations.insert(id.clone(), held);
                self.seen.note("held");
                if keyed == "1" {
                    self.say_again(&id);
                }
            }
            "yours" => {
                let held = &self.reservations[&answer[1]];
                assert!(held.user == user && sorted(&held.seats) == sorted(&seats));
                self.seen.note("yours");
            }
            "repeated" => assert_eq!(keyed, "1"),
            "taken" => {
                assert!(!free);
                for pair in answer[1..].chunks(2) {
                    assert_eq!(self.sold.get(&pair[0]).map_or("", String::as_str), pair[1]);
                }
                self.seen.note("taken");
            }
            "limit" => {
                let told = answer[1].parse().unwrap();
                assert!(told + seats.len() > LIMIT && has.contains(&told), "{answer:?} {has:?}");
                self.seen.note("limit");
            }
            other => panic!("hold answered {other}"),
        }
        format!("hold {id} {answer:?}")
    }

    /// Asking under the same key again gives the same reservation, also where another would be made.
    fn say_again(&mut self, id: &str) {
        let Reservation { user, seats, .. } = self.reservations[id].clone();
        let args = [&user, "another", &HOLD_MS.to_string(), &LIMIT.to_string(), &price(&seats), "3600000", "1"];
        let args = [&[incarnation(self.epoch)], args.map(str::to_owned).as_slice(), &seats].concat();
        assert_eq!(self.call("hold", (&user, "another", &seats), &args), ["repeated", id]);
        self.seen.note("repeated");
    }

    fn release(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        let args = |user: &str| [user, &id, "600000"].map(str::to_owned);
        let stranger = self.act("release", ("nobody", &id, &held.seats), &args("nobody"));
        assert_eq!(stranger, ["unknown"]);
        let answer = self.act("release", (&held.user, &id, &held.seats), &args(&held.user));
        match (held.state, answer[0].as_str()) {
            (State::Paying, "paying") => self.seen.note("paying"),
            (State::Confirmed, "confirmed") => self.seen.note("confirmed"),
            (State::Held | State::Cancelled, "cancelled") => {
                self.set(&id, State::Cancelled);
                self.seen.note("cancelled");
            }
            other => panic!("release {id} {other:?}"),
        }
        format!("release {id} {answer:?}")
    }

    fn begin_payment(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        let amount = if self.random.random_bool(0.9) { price(&held.seats) } else { "1".to_owned() };
        let args = [&held.user, &id, &format!("attempt-{id}"), &amount, "30000"].map(str::to_owned);
        let answer = self.act("begin_payment", (&held.user, &id, &held.seats), &args);
        let lost: Vec<_> =
            held.seats.iter().filter(|seat| self.sold.get(*seat).is_some_and(|by| *by != id)).cloned().collect();
        match (held.state, answer[0].as_str()) {
            (State::Held | State::Cancelled, word) if word == "sold" || !held.over && !lost.is_empty() => {
                assert_eq!((word, &answer[1..]), ("sold", lost.as_slice()), "{id} {held:?}");
                self.seen.note("sold to another");
            }
            (State::Held, "begun") => {
                assert!(!held.over);
                self.set(&id, State::Paying);
                self.seen.note("begun");
            }
            (State::Paying, "begun") => assert_eq!(answer[1], format!("attempt-{id}")),
            (State::Confirmed, "confirmed") | (State::Cancelled, "over") => {}
            (_, "amount") => self.seen.note("other amount"),
            (State::Held, "expired") => {
                assert!(held.over, "{id} {held:?}");
                self.seen.note("expired");
            }
            other => panic!("begin_payment {id} {other:?}"),
        }
        format!("begin_payment {id} {answer:?}")
    }

    fn abort_payment(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        let attempt = if self.random.random_bool(0.9) { format!("attempt-{id}") } else { "another".to_owned() };
        let answer = self.act("abort_payment", (&held.user, &id, &held.seats), &[id.clone(), attempt.clone()]);
        if held.state == State::Paying && attempt != "another" {
            assert_eq!(answer[0], if held.over { "freed" } else { "aborted" });
            self.set(&id, State::Held);
            self.seen.note("aborted");
        } else {
            assert_eq!(answer, ["other"]);
        }
        format!("abort_payment {id} {answer:?}")
    }

    /// Postgres sells to who commits first, whatever Redis says.
    fn settle(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        let sold_to_others = held.seats.iter().any(|seat| self.sold.get(seat).is_some_and(|by| *by != id));
        if sold_to_others || !(held.state == State::Paying || self.random.random_bool(0.3)) {
            return String::new();
        }
        let args = [held.user.clone(), id.clone(), price(&held.seats), "86400000".to_owned()];
        let answer = self.act("settle", (&held.user, &id, &held.seats), &args);
        for seat in &held.seats {
            self.sold.insert(seat.clone(), id.clone());
        }
        self.owners.insert(id.clone(), held.user.clone());
        self.set(&id, State::Confirmed);
        self.seen.note("settled");
        // As the program does: reservations that held one of the seats end, but for those being paid.
        for other in &answer[1..] {
            let of = self.reservations[other].clone();
            assert!(of.seats.iter().any(|seat| held.seats.contains(seat)));
            let args = [&of.user, other, "600000"].map(str::to_owned);
            let told = self.act("release", (&of.user, other, &of.seats), &args);
            if told[0] == "cancelled" {
                self.set(other, State::Cancelled);
            }
            self.seen.note("sold over a hold");
        }
        format!("settle {id} {answer:?}")
    }

    fn availability(&mut self) -> String {
        let (sold, more) = (self.sold.len().to_string(), (self.sold.len() + 1).to_string());
        let args = [incarnation(self.epoch), self.now_version().to_string(), sold.clone()];
        let answer = self.call("availability", ("", "", &[]), &args);
        if answer[1] == "0" {
            assert_eq!(answer[0], "same");
        } else {
            assert_eq!(answer[0], "held");
            self.seen.note("swept");
        }
        let (version, none) = (self.now_version().to_string(), String::new());
        let asked = [([&version, &sold], "same"), ([&none, &sold], "held"), ([&none, &none], "changed")];
        let fewer = self.sold.len().saturating_sub(1).to_string();
        let one_more = if self.sold.is_empty() { "held" } else { "more" };
        let others = [([&none, &more], "changed"), ([&none, &fewer], one_more)];
        for ([version, sold], word) in asked.into_iter().chain(others) {
            let args = [incarnation(self.epoch), version.clone(), sold.clone()];
            assert_eq!(self.call("availability", ("", "", &[]), &args)[..2], [word, "0"]);
        }
        format!("availability {answer:?}")
    }

    /// The time of a hold is over: its keys are gone, and nobody has swept it yet.
    fn pass_time(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        if held.over || held.state != State::Held && held.state != State::Paying {
            return String::new();
        }
        let reservation = self.scripts.key(&format!("reservation:{id}"));
        self.scripts.run::<i64>(&["HSET", &reservation, "expiresAt", "1"]);
        let own = self.scripts.key(&format!("user:{}", held.user));
        for seat in &held.seats {
            let holds = self.holder(seat).as_ref() == Some(&id);
            // What is being paid is kept for longer than the hold's own time, and counts until the payment is over.
            if holds && held.state == State::Held {
                let (all, one) = (self.scripts.key("held"), self.scripts.key(&format!("hold:{seat}")));
                self.scripts.run::<i64>(&["DEL", &one]);
                self.scripts.run::<i64>(&["ZADD", &all, "XX", "1", seat]);
            }
            if held.state == State::Held {
                self.scripts.run::<i64>(&["ZADD", &own, "XX", "1", seat]);
            }
        }
        if let Some(held) = self.reservations.get_mut(&id) {
            held.over = true;
        }
        format!("time for {id}")
    }

    fn call_with_another_belief(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        let verb = *["release", "begin_payment", "abort_payment", "availability", "settle", "hold"]
            .choose(&mut self.random)
            .unwrap();
        let args = [incarnation(self.epoch + 1), held.user.clone(), id.clone(), "1".to_owned(), "1".to_owned()];
        assert_eq!(self.call(verb, (&held.user, &id, &held.seats), &args), ["lost"], "{verb}");
        format!("{verb} in another epoch")
    }

    fn set(&mut self, id: &str, state: State) {
        if let Some(held) = self.reservations.get_mut(id) {
            held.state = state;
        }
    }

    /// One of the latest reservations.
    fn some(&mut self) -> Option<(String, Reservation)> {
        let latest: Vec<_> = self.reservations.iter().rev().take(16).collect();
        latest.choose(&mut self.random).map(|(id, held)| ((*id).clone(), (*held).clone()))
    }
}

fn sorted(seats: &[String]) -> Vec<&String> {
    let mut seats: Vec<_> = seats.iter().collect();
    seats.sort();
    seats
}

fn price(seats: &[String]) -> String {
    (5_000 * seats.len()).to_string()
}
