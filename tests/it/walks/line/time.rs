//! What time, operators and crashes do.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use super::super::incarnation;
use super::Walk;
use super::limits::Advice;
use super::state::Line;

const TOKEN_MS: i64 = 3_600_000;
const LONG_AGO: &str = "1";

impl Walk {
    pub(super) fn admit(&mut self) -> String {
        let most = self.random.random_range(0..6).to_string();
        let answer = self.call("admit", "", &[incarnation(self.epoch), most.clone()]);
        self.used_up = answer[0] == "admitted" && answer[1] != most;
        let (before, after) = (&self.line, Line::read(&mut self.scripts));
        if before.room.get("ranAt").is_some_and(|at| at == LONG_AGO) {
            assert_eq!(answer[..3], ["held", "0", "0"], "a call that came late: {before:#?}");
        }
        for user in after.active.keys().filter(|user| !before.active.contains_key(*user)) {
            self.seen.note(if after.phase(user) == "again" { "admitted again" } else { "admitted" });
        }
        for user in after.aside.keys().filter(|user| !before.aside.contains_key(*user)) {
            assert!(!before.is_present(user) || before.present[user] < after.now, "{user} was here: {before:#?}");
            let (kept_ms, word) =
                if before.phones.contains(user) { (900_000, "a phone set aside") } else { (300_000, "set aside") };
            assert!(
                (0..1_000).contains(&(after.now + kept_ms - after.grace[user])),
                "{user} is kept for {kept_ms}: {after:#?}"
            );
            self.seen.note(word);
        }
        self.after = Some(after);
        format!("admit {answer:?}")
    }

    /// An operator admits by hand: not faster than there is room, but without waiting for the rate.
    pub(super) fn admit_by_hand(&mut self) -> String {
        let most = self.random.random_range(1..4);
        let answer = self.call("admit_now", "", &[incarnation(self.epoch), most.to_string()]);
        let (before, after) = (&self.line, Line::read(&mut self.scripts));
        let entered = after.active.keys().filter(|user| !before.active.contains_key(*user)).count();
        let shut = before.room["state"] == "closed" || before.drawing() || before.now < before.number("admitFrom");
        assert_eq!(answer[0] == "shut", shut, "{before:#?}");
        assert!(entered <= most && (answer[0] == "shut") <= (entered == 0), "{answer:?} {after:#?}");
        if entered > 0 {
            self.seen.note("admitted by hand");
        }
        self.by_hand = true;
        self.after = Some(after);
        format!("admit_now {answer:?}")
    }

    pub(super) fn end_visits(&mut self) -> String {
        let args = [incarnation(self.epoch), "500".to_owned(), TOKEN_MS.to_string()];
        let answer = self.call("end_visits", "", &args);
        let (before, after) = (&self.line, Line::read(&mut self.scripts));
        if before.room.get("ranAt").is_some_and(|at| at == LONG_AGO) && before.number("joined") > before.number("ended")
        {
            assert!(after.number("admitFrom") > after.now, "nobody was heard: {before:#?} → {after:#?}");
            self.seen.note("unheard");
        }
        if after.now < after.number("admitFrom") {
            let over = before.visits.keys().filter(|user| before.is_over(user) || after.is_over(user));
            let gone = after.number("ended") - before.number("ended");
            assert!(gone <= i64::try_from(over.count()).unwrap(), "ended unheard: {before:#?} → {after:#?}");
            assert_eq!((&before.waiting, &before.aside), (&after.waiting, &after.aside), "ended unheard");
        }
        assert_eq!((&before.waiting, &before.recalled), (&after.waiting, &after.recalled), "the line goes on");
        for user in before.visits.keys() {
            match (before.phase(user), after.phase(user)) {
                ("offered", "missed") => self.seen.note("missed"),
                ("again", "") if !before.is_over(user) => self.seen.note("out after two misses"),
                ("claimed", "") if !before.is_over(user) => self.seen.note("idle"),
                ("missed", "") => self.seen.note("given up"),
                (_, "") => self.seen.note("over"),
                _ => {}
            }
        }
        self.after = Some(after);
        format!("end_visits {answer:?}")
    }

    /// The line of a closed room ends, but for those who are there.
    pub(super) fn end_line(&mut self) -> String {
        let answer = self.call("end_line", "", &[incarnation(self.epoch), "500".to_owned()]);
        let (before, after) = (&self.line, Line::read(&mut self.scripts));
        let open = before.room["state"] != "closed" || before.now < before.number("admitFrom");
        for user in before.waiting.keys().chain(before.recalled.keys()) {
            let stands = after.waiting.contains_key(user) || after.recalled.contains_key(user);
            let gone = !open && before.present.get(user).is_some_and(|until| *until <= before.now - 900_000);
            assert_eq!(stands, !gone, "{user}: {before:#?} → {after:#?}");
            if gone {
                self.seen.note("closed upon");
            }
        }
        assert_eq!(answer[0] == "open", open, "{before:#?}");
        self.after = Some(after);
        format!("end_line {answer:?}")
    }

    /// An attempt's lease ends before anyone says what became of it.
    pub(super) fn give_up(&mut self, attempt: &str) {
        let (key, room) = (self.scripts.key("grace"), self.scripts.key("room"));
        self.scripts.run::<i64>(&["ZADD", &key, "XX", LONG_AGO, attempt]);
        // The silence of a time in which nobody was heard ends no lease.
        self.scripts.run::<i64>(&["HDEL", &room, "ranAt"]);
        self.scripts.run::<i64>(&["HSET", &room, "admitFrom", LONG_AGO]);
        self.line = Line::read(&mut self.scripts);
        let what = self.end_visits();
        self.judge(&what);
        assert!(!self.line.pending.contains_key(attempt), "{attempt} is kept: {:#?}", self.line);
    }

    /// Time passes for someone: they are absent, or a deadline of theirs is here.
    pub(super) fn pass_time(&mut self) -> String {
        let (line, most) =
            *[("present", 8), ("idle", 3), ("active", 1), ("grace", 1)].choose(&mut self.random).unwrap();
        for _ in 0..most {
            let members = |state: &Line| match line {
                "present" => state.present.keys().cloned().collect(),
                "idle" => state.idle.keys().cloned().collect(),
                "active" => state.active.keys().cloned().collect(),
                _ => state.grace.keys().cloned().collect::<Vec<_>>(),
            };
            let Some(member) = self.some(members) else { continue };
            let key = self.scripts.key(line);
            self.scripts.run::<i64>(&["ZADD", &key, "XX", LONG_AGO, &member]);
        }
        if self.line.number("recoverUntil") > self.line.now || self.line.number("admitFrom") > self.line.now {
            let key = self.scripts.key("room");
            self.scripts.run::<i64>(&["HSET", &key, "recoverUntil", LONG_AGO, "admitFrom", LONG_AGO]);
        }
        if self.random.random_bool(0.03) {
            let key = self.scripts.key("room");
            self.scripts.run::<i64>(&["HSET", &key, "ranAt", LONG_AGO]);
        }
        if self.line.drawing() && self.random.random_bool(0.2) {
            let key = self.scripts.key("room");
            self.scripts.run::<i64>(&["HSET", &key, "opensAt", LONG_AGO]);
            self.draw.clear();
            self.seen.note("opened");
        }
        format!("time for {line}")
    }

    pub(super) fn configure(&mut self) -> String {
        self.version += 1;
        let state =
            *["open", "open", "open", "open", "open", "draining", "paused", "closed"].choose(&mut self.random).unwrap();
        let capacity = self.random.random_range(0..24).to_string();
        let rate = *["5000", "5000", "5000", "50", "0.5", "0"].choose(&mut self.random).unwrap();
        let limit = *["12", "100"].choose(&mut self.random).unwrap();
        let settings = ["state", state, "capacity", &capacity, "admitPerSecond", rate, "queueLimit", limit];
        let head = [incarnation(self.epoch), self.version.to_string()];
        let args: Vec<_> = head.into_iter().chain(settings.map(str::to_owned)).collect();
        let answer = self.call("configure_room", "", &args);
        assert_eq!(self.call("configure_room", "", &args), ["newer"]);
        format!("configure_room {settings:?} {answer:?}")
    }

    pub(super) fn call_with_another_belief(&mut self, user: &str) -> String {
        let verb = *["join", "place", "come_back", "leave", "visit", "admit", "end_visits", "end_line", "join_attempt"]
            .choose(&mut self.random)
            .unwrap();
        let args = [incarnation(self.epoch + 1), user.to_owned(), "1".to_owned(), "1".to_owned(), "0".to_owned()];
        assert_eq!(self.call(verb, user, &args), ["lost"], "{verb}");
        let line = Line::read(&mut self.scripts);
        assert_eq!((&line.waiting, &line.visits, &line.room), (&self.line.waiting, &self.line.visits, &self.line.room));
        self.seen.note("lost");
        format!("{verb} in another epoch")
    }

    /// Redis is back after a restart, with its data or without.
    pub(super) fn forget(&mut self) -> String {
        if !self.random.random_bool(0.5) {
            return String::new();
        }
        let keeps = self.random.random_bool(0.5);
        if !keeps {
            self.scripts.run::<()>(&["FLUSHDB"]);
            self.advice = Advice::default();
            self.ended.clear();
        }
        self.seen.note(if keeps { "restarted" } else { "forgotten" });
        self.draw = if !keeps && self.random.random_bool(0.4) { format!("draw-{}", self.epoch) } else { String::new() };
        self.set_up();
        // The order of those who come back is that of their numbers, as it was.
        if !keeps {
            self.line = Line::read(&mut self.scripts);
        }
        format!("a restart, data kept: {keeps}")
    }

    pub(super) fn set_up(&mut self) {
        self.epoch += 1;
        self.shown.clear();
        let head = [incarnation(self.epoch), self.epoch.to_string()];
        let settings = [
            "60000",
            "60000",
            "3600000",
            "version",
            "1",
            "state",
            "open",
            "capacity",
            "3",
            "admitPerSecond",
            "5000",
            "opensAt",
            if self.draw.is_empty() { "0" } else { "8000000000000000" },
            "drawId",
            &self.draw,
            "closesAt",
            "9000000000000000",
            "claimMs",
            "60000",
            "graceMs",
            "300000",
            "phoneGraceMs",
            "900000",
            "visitMs",
            "1200000",
            "idleMs",
            "120000",
            "holdMs",
            "300000",
            "queueLimit",
            "100",
        ];
        let args: Vec<_> = head.into_iter().chain(settings.map(str::to_owned)).collect();
        assert_eq!(self.call("setup_room", "", &args), ["ready"]);
        assert_eq!(self.call("setup_room", "", &args), ["older"]);
        self.version = 1;
    }
}
