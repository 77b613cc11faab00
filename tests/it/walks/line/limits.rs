//! What limits admission, as an outsider reckons: the settings, advice, and credit that is never kept.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use super::super::incarnation;
use super::Walk;
use super::state::Line;

/// More visits than any room has: what is advised where the stock is not known.
const MANY: i64 = 1_000_000_000;

/// What was advised last, and what of it counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Advice {
    counts: bool,
    visits: i64,
    stock_counts: bool,
    per_second: f64,
    by: &'static str,
    load_counts: bool,
}

impl Advice {
    fn rate(&self, set: f64) -> f64 {
        if self.counts { set.min(self.per_second) } else { set }
    }

    fn visits(&self, capacity: i64) -> i64 {
        if self.counts { capacity.min(self.visits) } else { capacity }
    }
}

impl Walk {
    /// Two processes advise, sometimes what is too old at once, and sometimes without knowing the stock.
    pub(super) fn advise(&mut self) -> String {
        let adviser = *["one", "two"].choose(&mut self.random).unwrap();
        let known = *[Some(0), Some(2), Some(4), Some(6), Some(MANY), None].choose(&mut self.random).unwrap();
        let visits = known.unwrap_or(MANY);
        let per_second = *[0.5, 100.0, 1e9, 1e9, 1e9, 1e9].choose(&mut self.random).unwrap();
        let counts = self.random.random_bool(0.7);
        let valid_ms = if counts { "3600000" } else { "0" };
        let seats_left = known.map(|seats: i64| seats.to_string()).unwrap_or_default();
        let told = [adviser.to_owned(), seats_left, visits.to_string(), per_second.to_string()];
        let args = [&[incarnation(self.epoch)][..], &told, &[valid_ms.to_owned()]].concat();
        assert_eq!(self.call("advise", "", &args), ["noted"]);
        let advice = &mut self.advice;
        if advice.by == adviser || !advice.load_counts || per_second < advice.per_second {
            (advice.per_second, advice.by, advice.load_counts) = (per_second, adviser, counts);
        }
        if known.is_some() || !advice.stock_counts {
            (advice.visits, advice.stock_counts) = (visits, counts && known.is_some());
        }
        advice.counts = counts;
        let room = Line::read(&mut self.scripts).room;
        let stored: f64 = room["loadRate"].parse().unwrap();
        assert!((stored - self.advice.per_second).abs() < 1e-9, "{stored} {:?}", self.advice);
        assert_eq!(room["stockVisits"], self.advice.visits.to_string(), "{:?}", self.advice);
        self.seen.note("advised");
        format!("advise {args:?}")
    }

    /// Q4 and Q5: never more inside than there is room and need for, nor more in a time than the rate allows and one
    /// tick; and after a run that left no one whom it could have let in, nothing is left of the rate but a part of one.
    pub(super) fn assert_within_limits(&mut self, after: &Line, what: &str) {
        let entered = after.active.keys().filter(|user| !self.line.active.contains_key(*user)).count();
        let most = self.advice.visits(after.number("capacity"));
        let inside = i64::try_from(after.active.len()).unwrap();
        assert!(entered == 0 || inside <= most, "Q4 {:?} after {what}: {after:#?}", self.advice);
        if entered > 0 && most < after.number("capacity") {
            self.seen.note("let in under advice");
        }
        let rate = self.advice.rate(after.room["admitPerSecond"].parse().unwrap());
        let tick = if rate > 0.0 { rate.max(1.0) } else { 0.0 };
        let passed = f64::from(i32::try_from(after.now - self.line.now).unwrap()) + 1.0;
        let new_rate = (rate - self.rate).abs() > 1e-9;
        self.credit = if new_rate { tick } else { (self.credit + passed * rate / 1_000.0).min(tick) };
        let by_rate = if std::mem::take(&mut self.by_hand) { 0 } else { entered };
        self.credit -= f64::from(u32::try_from(by_rate).unwrap());
        assert!(self.credit > -0.01, "Q5 {} {:?} after {what}: {after:#?}", self.credit, self.advice);
        if std::mem::take(&mut self.used_up) {
            self.credit = self.credit.min(1.0 + passed * rate / 1_000.0); // the run was some time in this step
        }
        self.rate = rate;
    }
}
