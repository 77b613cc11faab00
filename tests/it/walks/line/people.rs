//! What people do: log in, ask where they stand, come back, go in, pay, leave.

use rand::RngExt as _;
use rand::seq::IteratorRandom as _;

use super::super::incarnation;
use super::state::Line;
use super::{Token, Walk};

/// How long an attempt keeps its number unless renewed, ms.
const LEASE_MS: &str = "30000";

impl Walk {
    pub(super) fn join(&mut self, user: &str) -> String {
        let had_place = self.line.has_place(user) && !self.line.is_over(user);
        let door = if self.random.random_bool(0.8) { "1" } else { "0" };
        let [draw, number] = self.draws(user);
        let phone = self.phone();
        let answer = self.act("join", user, &[door.to_owned(), draw, number, phone]);
        let number = answer.get(1).and_then(|number| number.parse().ok());
        match answer[0].as_str() {
            "active" if !had_place => self.seen.note("active at once"),
            "waiting" => {
                self.seen.note("waiting");
                let now = Line::read(&mut self.scripts);
                let let_in = now.active.contains_key(user); // by a second call
                assert!(let_in || now.position(user) == answer[2].parse().ok(), "{answer:?} {now:#?}");
            }
            "kept" => self.seen.note("kept"),
            "full" => self.seen.note("full"),
            "closed" => self.seen.note("closed"),
            "draws" => {
                assert_eq!(answer.get(1).map_or("", String::as_str), self.draw, "{:#?}", self.line);
                self.seen.note("told of the draw");
                return format!("join {user} {answer:?}");
            }
            _ => {}
        }
        if number.is_some_and(|number: i64| number < 0) && !had_place {
            self.seen.note("drawn");
        }
        if let Some(number) = number {
            self.give_token(user, number);
        }
        format!("join {user} {answer:?}")
    }

    /// For how long to remember that someone came by phone, ms, which some do.
    fn phone(&mut self) -> String {
        if self.random.random_bool(0.3) { "86400000".to_owned() } else { "0".to_owned() }
    }

    /// What a process believes of the draw, which is sometimes not so, and the number that an account draws in it.
    fn draws(&mut self, user: &str) -> [String; 2] {
        let wrong = if self.draw.is_empty() { "over" } else { "" };
        let believed = if self.random.random_bool(0.1) { wrong.to_owned() } else { self.draw.clone() };
        let mix =
            user.bytes().chain(self.draw.bytes()).fold(7_i64, |mix, byte| (mix * 31 + i64::from(byte)) % (1 << 40));
        [believed, (mix - (1 << 52)).to_string()]
    }

    pub(super) fn give_token(&mut self, user: &str, number: i64) {
        let before = self.line.waiting.get(user).or(self.line.visits.get(user).map(|(number, _)| number));
        if let Some(before) = before.filter(|_| !self.line.is_over(user)) {
            assert_eq!(*before, number, "{user} has another number than before");
        }
        self.tokens.insert(user.to_owned(), Token { epoch: self.epoch, number, since_ms: self.line.now });
    }

    pub(super) fn begin_login(&mut self, user: &str) -> String {
        self.attempts += 1;
        let attempt = format!("attempt-{}.{user}", self.attempts);
        let [draw, number] = self.draws(user);
        let args = [incarnation(self.epoch), attempt.clone(), "600000".to_owned(), LEASE_MS.to_owned(), draw, number];
        let answer = self.call("join_attempt", &attempt, &args);
        let now = Line::read(&mut self.scripts);
        if let Some(until) = now.grace.get(&attempt) {
            assert!(until - now.now <= 30_000, "kept for longer than its process is heard of");
        }
        format!("join_attempt {attempt} {answer:?}")
    }

    pub(super) fn end_login(&mut self) -> String {
        let Some(attempt) = self.some(|line| line.pending.keys().cloned().collect()) else { return String::new() };
        let user = &attempt.split_once('.').unwrap().1.to_owned();
        let number = self.line.pending[&attempt].to_string();
        if self.random.random_bool(0.3) {
            let grace = self.line.grace[&attempt];
            let args = [incarnation(self.epoch), attempt.clone(), LEASE_MS.to_owned()];
            let answer = self.call("renew_attempt", &attempt, &args);
            let now = Line::read(&mut self.scripts);
            assert!(now.grace.get(&attempt).is_none_or(|until| *until >= grace), "renewed, it lasts no shorter");
            self.seen.note(if answer[0] == "renewed" { "renewed" } else { "not renewed" });
        }
        let late = self.random.random_bool(0.2);
        if late {
            self.give_up(&attempt);
        }
        let life = ["600000".to_owned(), self.phone()];
        if self.random.random_bool(0.3) {
            let word = if self.random.random_bool(0.5) { "!" } else { "-" };
            let answer = self.act("refuse_attempt", &attempt, &[word.to_owned(), life[0].clone()]);
            let told = self.call("attempt_place", &attempt, &[incarnation(self.epoch), attempt.clone()]);
            assert_eq!(told, [if word == "!" { "refused" } else { "left" }]);
            self.seen.note("refused");
            return format!("refuse_attempt {attempt} {answer:?}");
        }
        let was_over = self.line.is_over(user);
        let answer = self.act("verify_attempt", &attempt, &[&[user.to_owned()][..], &life, &[number]].concat());
        self.seen.note(match (answer[0].as_str(), late) {
            ("merged", _) => "merged",
            (_, true) => "verified late",
            _ => "verified",
        });
        let told = self.call("attempt_place", &attempt, &[incarnation(self.epoch), attempt.clone()]);
        let now = Line::read(&mut self.scripts);
        assert!(now.has_place(user) && !now.is_over(user), "{user} was let in by a login, {was_over} {told:?}");
        assert_eq!((told[0].as_str(), told[1].as_str()), ("verified", user.as_str()));
        let place = [&now.waiting, &now.aside].into_iter().find_map(|line| line.get(user)).copied();
        let number = place.unwrap_or_else(|| now.visits[user].0);
        assert_eq!(told[2], number.to_string(), "the number of the place that {user} has");
        self.tokens.insert(user.to_owned(), Token { epoch: self.epoch, number, since_ms: self.line.now });
        format!("verify_attempt {attempt} {user} {answer:?}")
    }

    /// As the program polls: place, for all who ask together, and where there is none, come back.
    pub(super) fn poll(&mut self, user: &str) -> String {
        let mut users = vec![user.to_owned()];
        users.extend(self.line.visits.keys().chain(self.line.waiting.keys()).cloned().sample(&mut self.random, 2));
        let args = [&[incarnation(self.epoch), "20".to_owned()], users.as_slice()].concat();
        let answer = self.act_with("place", user, &args);
        let line = &self.line;
        let in_line = (line.waiting.len() + line.aside.len() + line.pending.len()).to_string();
        assert_eq!(
            (answer[0].as_str(), &answer[1], answer.len()),
            ("told", &in_line, 2 + 2 * users.len()),
            "{line:#?}"
        );
        for (user, told) in users.iter().zip(answer[2..].chunks(2)) {
            match told[0].as_str() {
                "absent" => assert!(!line.waiting.contains_key(user)),
                "waiting" => assert_eq!(Some(told[1].parse().unwrap()), line.position(user), "{user} {answer:?}"),
                "recovering" => assert!(line.recovering() && line.waiting.contains_key(user)),
                "active" => assert_eq!(line.active.get(user).map(i64::to_string).as_ref(), Some(&told[1])),
                other => panic!("place {user} answered {other}"),
            }
        }
        if answer[2] == "absent" { self.come_back(user) } else { format!("place {users:?} {answer:?}") }
    }

    pub(super) fn come_back(&mut self, user: &str) -> String {
        let token = self.tokens.get(user).copied().unwrap_or(Token { epoch: 0, number: 0, since_ms: 0 });
        let shown = [token.epoch, token.number, token.since_ms].map(|number| number.to_string());
        let before = self.line.clone();
        let answer = self.act("come_back", user, &shown);
        let had_place = before.has_place(user) && !before.is_over(user);
        match answer[0].as_str() {
            "back" | "recalled" if !had_place => {
                let ended = self.ended.get(user).is_some_and(|ended| *ended >= token.since_ms);
                assert!(token.epoch < self.epoch && !ended, "{user} {token:?} {before:#?}");
                assert_eq!(answer[1], token.number.to_string(), "not where {user} stood");
                self.seen.note("brought back");
            }
            "back" if before.aside.contains_key(user) => self.seen.note("back"),
            "recalled" => {
                self.seen.note("recalled");
                assert_eq!(answer[1], before.visits[user].0.to_string(), "not where {user} stood");
                self.see_position(user, answer[2].parse().unwrap());
            }
            "gone" | "left" => {
                assert!(!had_place, "{user} has a place: {before:#?}");
                self.seen.note("not brought back");
            }
            _ => {}
        }
        format!("come_back {user} {answer:?}")
    }

    /// A recalled visitor's position never grows, and is unknown, 0, while the room recovers.
    pub(super) fn see_position(&mut self, user: &str, position: i64) {
        assert_eq!(position == 0, self.line.recovering());
        let before = self.shown.insert(user.to_owned(), position).unwrap_or(0);
        assert!(before == 0 || position <= before, "Q2 {user} {before} → {position}: {:#?}", self.line);
    }

    /// Others look, and someone listens.
    pub(super) fn look(&mut self, user: &str) -> String {
        let looked = self.look_at(user);
        self.look_around();
        self.listen(user);
        self.limit_line();
        self.after = None;
        looked
    }

    /// An operator looks at a place: it is as the model says, and nothing is touched by it.
    fn look_at(&mut self, user: &str) -> String {
        let answer = self.call("find_place", user, &[incarnation(self.epoch), user.to_owned()]);
        let line = &self.line;
        assert_eq!(answer[0] == "place", line.has_place(user) && !line.is_over(user), "{answer:?} {line:#?}");
        if answer[0] == "place" {
            let standing = [("waiting", &line.waiting), ("aside", &line.aside)];
            let standing =
                standing.iter().find(|(_, of)| of.contains_key(user)).map_or(line.phase(user), |(word, _)| word);
            assert_eq!(answer[1], standing);
            let position = if line.recovering() { Some(0) } else { line.position(user) };
            assert!(position.is_none_or(|position| answer[3] == position.to_string()), "{answer:?} {line:#?}");
            self.seen.note("looked at");
        }
        let after = Line::read(&mut self.scripts);
        assert_eq!((&after.waiting, &after.present, &after.visits), (&line.waiting, &line.present, &line.visits));
        self.after = Some(after);
        format!("find_place {user} {answer:?}")
    }

    pub(super) fn leave(&mut self, user: &str) -> String {
        let answer = self.act("leave", user, &[]);
        if answer[0] != "none" {
            self.seen.note("left");
        }
        // Also who had no place now does not come back by a token of an earlier epoch.
        self.ended.insert(user.to_owned(), self.line.now);
        format!("leave {user} {answer:?}")
    }

    pub(super) fn claim(&mut self, user: &str) -> String {
        let answer = self.act("visit", user, &[]);
        if answer[0] == "visit" {
            assert!(!self.line.phase(user).is_empty());
            self.seen.note("claimed");
        }
        format!("visit {user} {answer:?}")
    }

    /// A hold, which claims the visit, within the visit's own time or after it: only the former prolongs the visit.
    pub(super) fn hold(&mut self) -> String {
        let Some(user) = self.some(|line| line.active.keys().cloned().collect()) else { return String::new() };
        self.claim(&user);
        let before = Line::read(&mut self.scripts);
        let (hold_ms, ends) = (before.number("holdMs"), before.active[&user]);
        let own = self.own_ends.get(&user).copied().unwrap_or(ends);
        let first = before.now.max(own - hold_ms);
        let within = self.random.random_bool(0.7) && own > first;
        let held_at = if within { self.random.random_range(first..own) + 1 } else { own.max(before.now) + 1 };
        let args = [incarnation(self.epoch), user.clone(), (held_at + hold_ms).to_string(), held_at.to_string()];
        assert_eq!(self.call("keep_visits", &user, &args), ["kept"]);
        let after = Line::read(&mut self.scripts);
        if within && before.phase(&user) == "claimed" {
            assert_eq!(after.active[&user], ends.max(held_at + hold_ms), "{user} held a seat at {held_at}: {after:#?}");
            if after.active[&user] > ends {
                self.own_ends.insert(user.clone(), own);
                self.seen.note("prolonged");
            }
        } else {
            assert_eq!(after.active[&user], ends, "the visit of {user} has no end of its own: {after:#?}");
            self.seen.note("prolonged no more");
        }
        self.after = Some(after);
        format!("keep_visits {user}: held at {held_at}, own end {own}")
    }

    /// A payment: the visit ends soon, and a hold made before it keeps it no longer.
    pub(super) fn pay(&mut self, user: &str) -> String {
        let held_at = self.line.now - self.random.random_range(0..300_000);
        let inside = self.line.active.contains_key(user) && !self.line.is_over(user);
        let answer = self.act("end_visit_soon", user, &["60000".to_owned()]);
        let args = [incarnation(self.epoch), user.to_owned(), (held_at + 300_000).to_string(), held_at.to_string()];
        self.call("keep_visits", user, &args);
        self.seen.note("paid");
        let line = Line::read(&mut self.scripts);
        let ends = line.active.get(user).copied().unwrap_or(0);
        assert!(ends <= line.now + 60_000, "the visit of {user} lasts on after a payment: {line:#?}");
        assert!(!inside || answer[0] == "ending");
        format!("end_visit_soon {user} {answer:?}")
    }
}
