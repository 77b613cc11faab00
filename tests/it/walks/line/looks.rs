//! Looks from outside, which find what the line is and touch nothing; those who listen; the line's limit.

use deadpool_redis::redis::Value;

use super::super::{incarnation, texts};
use super::Walk;
use super::state::{Line, Scores};

/// How far a look along the line goes.
const STRETCH: usize = 5;

/// For how long those who listen count as present, ms.
const LISTENS_MS: i64 = 20_000;

/// The shortest limit that this walk sets.
const SHORTEST: &str = "12";

impl Walk {
    /// Whoever looks at the room sees the line as it is.
    pub(super) fn look_around(&mut self) {
        let line = self.line.clone();
        let counted = [line.waiting.len(), line.aside.len(), line.pending.len(), line.visits.len(), line.active.len()];
        let told = ["joined", "ended", "capacity", "overAdmitted"].map(|field| line.number(field).to_string());
        let expected: Vec<_> = counted.map(|count| count.to_string()).into_iter().chain(told).collect();
        assert_eq!(self.call("counts", "", &[]), expected, "{line:#?}");

        let told = self.call("draw_time", "", &[]);
        let drawing = line.pending.values().filter(|number| **number < 0).count() + usize::from(line.recovering());
        assert_eq!(told[1..], [line.number("opensAt").to_string(), drawing.to_string()], "{line:#?}");

        let first = line.waiting.values().min();
        for after in [None, first] {
            let args = [incarnation(self.epoch), after.map_or("-inf".to_owned(), i64::to_string), STRETCH.to_string()];
            let told = self.told("look_along", "", &args);
            let in_line = line.waiting.len() + line.aside.len() + line.pending.len();
            let word = if line.recovering() { "recovering" } else { "line" };
            assert_eq!(texts(&told), [word.to_owned(), in_line.to_string()], "{line:#?}");
            for (told, of) in told[2..].iter().zip([&line.waiting, &line.aside, &line.pending]) {
                let behind = in_order(of).filter(|(_, number)| after.is_none_or(|after| *number > after));
                let behind = behind.take(STRETCH).flat_map(|(member, number)| [member.clone(), number.to_string()]);
                assert_eq!(list(told), behind.collect::<Vec<_>>(), "{line:#?}");
            }
        }
        self.look_at_the_order(&line);
        self.seen.note("looked around");
    }

    /// Who was let in and has claimed nothing yet, and who of those at the head is here.
    fn look_at_the_order(&mut self, line: &Line) {
        let told = self.told("order", "", &[incarnation(self.epoch), "1".to_owned(), "100".to_owned()]);
        let now: i64 = texts(&told)[1].parse().unwrap();
        let since = 1 + line.number("claimMs");
        let offered = in_order(&line.idle).filter(|(_, ends)| **ends > since);
        let offered = offered.filter(|(user, _)| ["offered", "again"].contains(&line.phase(user)));
        let offered: Vec<_> = offered.map(|(user, _)| line.visits[user].0.to_string()).collect();
        assert_eq!(list(&told[3]), offered, "{line:#?}");
        let heads = in_order(&line.recalled).chain(in_order(&line.waiting));
        let here = heads.filter_map(|(user, number)| Some((user, number, *line.present.get(user)?)));
        let here = here.filter(|(.., until)| *until >= now);
        let here = here.flat_map(|(user, number, until)| [user.clone(), number.to_string(), until.to_string()]);
        assert_eq!(list(&told[4]), here.collect::<Vec<_>>(), "{line:#?}");
    }

    /// Someone listens: in line they are here from now on, and hear where they stand.
    pub(super) fn listen(&mut self, user: &str) {
        let args = [incarnation(self.epoch), LISTENS_MS.to_string(), user.to_owned(), "nobody".to_owned()];
        let told = self.told("hear", "", &args);
        let (line, after) = (&self.line, Line::read(&mut self.scripts));
        let number = line.waiting.get(user);
        assert_eq!(list(&told[1]), [number.map_or(String::new(), i64::to_string), String::new()], "{line:#?}");
        let ends = line.active.get(user).filter(|ends| **ends > after.now);
        assert_eq!(list(&told[2]), [ends.map_or(String::new(), i64::to_string), String::new()], "{line:#?}");
        if number.is_some() {
            assert!(after.present[user] >= line.now + LISTENS_MS, "{user} listens: {after:#?}");
            self.seen.note("heard");
        } else {
            assert_eq!(after.present.get(user), line.present.get(user));
        }
        assert!(!after.present.contains_key("nobody"));
    }

    /// Memory is no matter here: the line may be as long as it may be at most.
    pub(super) fn limit_line(&mut self) {
        let args = [incarnation(self.epoch), SHORTEST.to_owned()];
        assert_eq!(self.call("limit_line", "", &args), ["limited", SHORTEST]);
        let room = Line::read(&mut self.scripts).room;
        assert_eq!(room["queueLimit"], SHORTEST);
        self.seen.note("limited");
    }
}

/// As Redis has them: by score, and those of one score by name.
fn in_order(of: &Scores) -> impl Iterator<Item = (&String, &i64)> {
    let mut members: Vec<_> = of.iter().collect();
    members.sort_by_key(|(member, score)| (**score, (*member).clone()));
    members.into_iter()
}

fn list(told: &Value) -> Vec<String> {
    let Value::Array(values) = told else { panic!("{told:?} is no list") };
    texts(values)
}
