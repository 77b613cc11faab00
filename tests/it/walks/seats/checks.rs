//! What must be in Redis after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::{Reservation, SEATS, State, Walk};

impl Walk {
    pub(super) fn assert_sound(&mut self, what: &str) {
        let whole = format!("after {what}: {:#?} {:?}", self.reservations, self.sold);
        let version = self.now_version();
        assert!(version >= self.version || what == "a restart", "the version went back {whole}");
        self.version = version;
        let (held, sold) = (self.scripts.key("held"), self.scripts.key("sold"));
        let held: BTreeSet<String> = self.scripts.run(&["ZRANGE", &held, "2", "+inf", "BYSCORE"]);
        let told: BTreeMap<String, String> = self.scripts.run(&["HGETALL", &sold]);
        assert_eq!(told, self.sold, "I1 {whole}");
        let sales = self.scripts.key("sales");
        let mut sales: Vec<String> = self.scripts.run(&["LRANGE", &sales, "0", "-1"]);
        sales.sort();
        assert!(sales.iter().eq(self.sold.keys()), "each is sold once, in some order: {sales:?} {whole}");
        let seats: Vec<_> = (0..SEATS).map(|at| format!("A{at}")).collect();
        let keys: Vec<_> = seats.iter().map(|seat| self.scripts.key(&format!("hold:{seat}"))).collect();
        let asked: Vec<_> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
        let holds: Vec<Option<String>> = self.scripts.run(&asked);
        for (seat, by) in seats.into_iter().zip(holds) {
            let expected = self.holder(&seat).filter(|_| !self.sold.contains_key(&seat));
            let by = by.map(|hold| hold.split(' ').next().unwrap().to_owned());
            if by.is_some() || !self.sold.contains_key(&seat) {
                assert_eq!(by, expected, "I8 {seat} {whole}");
            }
            assert_eq!(held.contains(&seat), expected.is_some(), "I8 {seat} {whole}");
        }
    }

    /// The reservation that holds a seat now.
    pub(super) fn holder(&self, seat: &String) -> Option<String> {
        let alive = |held: &Reservation| match held.state {
            State::Held => !held.over,
            State::Paying => true,
            State::Confirmed | State::Cancelled => false,
        };
        let mut holders = self.reservations.iter().filter(|(_, held)| alive(held) && held.seats.contains(seat));
        holders.find(|_| !self.sold.contains_key(seat)).map(|(id, _)| id.clone())
    }

    /// How many seats an account holds and owns, at least and at most: a seat that was sold to another while it was being
    /// paid counts until that payment is over, or another reservation of the account with this seat is given back.
    pub(super) fn seats_of(&self, user: &str) -> RangeInclusive<usize> {
        let sold = |seat: &String| self.sold.contains_key(seat);
        let own = || self.reservations.values().filter(|held| held.user == user);
        let seats_in = |state| own().filter(move |held| held.state == state && !(state == State::Held && held.over));
        let held = seats_in(State::Held).chain(seats_in(State::Paying)).flat_map(|held| &held.seats);
        let owned = self.sold.iter().filter(|(_, by)| self.owners[*by] == user).map(|(seat, _)| seat);
        let certain: BTreeSet<_> = held.filter(|seat| !sold(seat)).chain(owned).collect();
        let lost = seats_in(State::Paying).flat_map(|held| &held.seats).filter(|seat| sold(seat));
        certain.len()..=certain.iter().copied().chain(lost).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn now_version(&mut self) -> i64 {
        let meta = self.scripts.key("meta");
        self.scripts.run(&["HGET", &meta, "version"])
    }
}
