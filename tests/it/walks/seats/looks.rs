//! Looks from outside: what is held and sold, what an account owns, which payments take long.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_redis::redis;
use rand::RngExt as _;

use super::super::{incarnation, texts};
use super::{PEOPLE, SEATS, State, Walk};

impl Walk {
    pub(super) fn look(&mut self) -> String {
        self.count();
        self.look_after()
    }

    /// Every seat is counted as what it is.
    fn count(&mut self) {
        let told = self.scripts.call("census", |described| vec![described.split(',').next().unwrap().to_owned()], &[]);
        let [_, _, sold, held] = told.as_slice() else { panic!("{told:?}") };
        let held: Vec<(String, f64)> = redis::from_redis_value(held.clone()).unwrap();
        let alive: BTreeSet<_> = held.into_iter().filter(|(_, ends)| *ends > 1.0).map(|(seat, _)| seat).collect();
        let holders = (0..SEATS).map(|at| format!("A{at}")).filter(|seat| self.holder(seat).is_some());
        assert_eq!(alive, holders.collect());
        assert_eq!(redis::from_redis_value::<usize>(sold.clone()).unwrap(), self.sold.len());
        assert_eq!(texts(&told)[1], self.now_version().to_string());
        self.look_at_holds(&alive);

        let user = format!("user{}", self.random.random_range(0..PEOPLE));
        let owns = self.sold.values().filter(|by| self.owners[*by] == user).count();
        let told = self.call("count_owned", (&user, "", &[]), &[incarnation(self.epoch)]);
        assert_eq!(told, ["owns".to_owned(), owns.to_string()], "{user}");
        self.seen.note("counted");
    }

    /// What is told of each seat is what it is: free, held by a hold with an end, or sold.
    fn look_at_holds(&mut self, alive: &BTreeSet<String>) {
        let seats: Vec<_> = (0..SEATS).map(|at| format!("A{at}")).collect();
        let told = self.call("look_at_holds", ("", "", &seats), &seats);
        let told: BTreeMap<_, _> = told.chunks(4).map(|seat| (seat[0].clone(), &seat[1..])).collect();
        for seat in &seats {
            let held = alive.contains(seat);
            match told.get(seat) {
                Some([lasts, listed, sold]) => {
                    let lasts: i64 = lasts.parse().unwrap();
                    assert_eq!((sold == "1", lasts > 0 || lasts == -2), (self.sold.contains_key(seat), true), "{seat}");
                    assert!(!held || (lasts > 0 && listed == "1"), "{seat} {told:?}");
                }
                _ => assert!(!held && !self.sold.contains_key(seat), "{seat} {told:?}"),
            }
        }
    }

    /// A payment takes long, or its reservation is paid, gone or free again: only one that is under way is looked after on.
    fn look_after(&mut self) -> String {
        let Some((id, held)) = self.some() else { return String::new() };
        let paying = self.scripts.key("paying");
        self.scripts.run::<i64>(&["ZADD", &paying, "1", &id]);
        let told = self.scripts.call("stale_payments", |_| vec!["paying".to_owned()], &["1000".to_owned()]);
        let stale = texts(&told);
        assert!(stale.contains(&id), "{stale:?}");
        for other in stale.iter().filter(|other| **other != id) {
            assert_eq!(self.reservations[other].state, State::Paying, "{other} is looked after");
        }
        let args = [incarnation(self.epoch), id.clone()];
        let told = self.call("forget_payment", (&held.user, &id, &held.seats), &args);
        let left: Option<i64> = self.scripts.run(&["ZSCORE", &paying, &id]);
        if held.state == State::Paying {
            assert_eq!((told[0].as_str(), left), ("paying", Some(1)));
            self.seen.note("looked after");
        } else {
            assert_eq!((told[0].as_str(), left), ("forgotten", None));
            self.seen.note("looked after no longer");
        }
        format!("forget_payment {id} {told:?}")
    }
}
