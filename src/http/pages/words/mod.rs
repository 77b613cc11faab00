//! What the pages say, one file for each language. A text that a language lacks does not compile.

mod en;
mod ja;
mod ko;

use serde::Serialize;

use super::language::Language;

/// Everything that the pages say in one language.
pub(super) struct Words {
    /// The language itself.
    pub(super) language: Language,
    /// The link over the navigation, and what the choice of languages is called.
    pub(super) languages: &'static str,
    /// The way in.
    pub(super) door: Door,
    /// The waiting page.
    pub(super) wait: Wait,
    /// The booking page.
    pub(super) book: Book,
}

/// Signing in, and what is said when that fails.
pub(super) struct Door {
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) enter: &'static str,
    /// One tap for who is signed in.
    pub(super) again: &'static str,
    pub(super) bad_credentials: &'static str,
    pub(super) limited: &'static str,
    pub(super) closed: &'static str,
    pub(super) full: &'static str,
    pub(super) failed: &'static str,
}

/// What a state is called, and what it means for the visitor.
pub(super) struct Told {
    pub(super) heading: &'static str,
    pub(super) text: &'static str,
}

/// The texts of the waiting page. `{n}`, `{a}`, `{b}`, `{s}` and `{room}` are filled in.
pub(super) struct Wait {
    pub(super) door: Told,
    pub(super) soon: Told,
    pub(super) scheduled: Told,
    pub(super) verifying: Told,
    pub(super) waiting: Told,
    pub(super) almost: Told,
    pub(super) admitted: Told,
    pub(super) paused: Told,
    pub(super) full: Told,
    pub(super) soldout: Told,
    pub(super) closed: Told,
    pub(super) expired: Told,
    pub(super) left: Told,
    pub(super) recovering: Told,
    pub(super) unavailable: Told,
    /// The title of the tab while in line.
    pub(super) title: &'static str,
    /// The title of the tab when it is the visitor's turn.
    pub(super) turn: &'static str,
    pub(super) ahead: &'static str,
    pub(super) people: &'static str,
    pub(super) behind: &'static str,
    pub(super) time: &'static str,
    pub(super) number: &'static str,
    pub(super) answered: &'static str,
    pub(super) progress: &'static str,
    pub(super) unknown: &'static str,
    pub(super) under_a_minute: &'static str,
    pub(super) about_minutes: &'static str,
    pub(super) minutes: &'static str,
    pub(super) hours: &'static str,
    /// How long a place is kept: `{n}` minutes, or seconds.
    pub(super) kept_minutes: &'static str,
    pub(super) kept_seconds: &'static str,
    /// `{kept}` is how long.
    pub(super) kept: &'static str,
    pub(super) message: &'static str,
    pub(super) opens: &'static str,
    pub(super) first_come: &'static str,
    /// Before the commitment of a draw.
    pub(super) drawn: &'static str,
    pub(super) until: &'static str,
    pub(super) go: &'static str,
    pub(super) go_back: &'static str,
    pub(super) stay: &'static str,
    pub(super) look: &'static str,
    pub(super) leave: &'static str,
    pub(super) leave_means: &'static str,
    pub(super) leave_now: &'static str,
    pub(super) undo: &'static str,
    pub(super) notify: &'static str,
    pub(super) support: &'static str,
    pub(super) copy: &'static str,
    pub(super) questions: &'static str,
    /// Questions and answers; `{kept}` is how long a place is kept.
    pub(super) answers: [(&'static str, &'static str); 4],
    /// What the page says by itself.
    pub(super) live: Live,
}

/// What the waiting page says by itself, between two answers of the service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    pub(super) unknown: &'static str,
    pub(super) offline: &'static str,
    pub(super) stale: &'static str,
    pub(super) failed: &'static str,
    pub(super) grew: &'static str,
    pub(super) stepping: &'static str,
    pub(super) leaving: &'static str,
    pub(super) copied: &'static str,
    pub(super) notified: &'static str,
    pub(super) say: &'static str,
    pub(super) days: &'static str,
}

/// The texts of the booking page, all of which its scripts may say too. `{n}`, `{s}` and `{seats}` are filled in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Book {
    pub(super) title: &'static str,
    pub(super) dates: &'static str,
    pub(super) none: &'static str,
    pub(super) seats_left: &'static str,
    pub(super) points: &'static str,
    pub(super) points_from: &'static str,
    pub(super) balance: &'static str,
    pub(super) reservations: &'static str,
    pub(super) choose: &'static str,
    pub(super) map: &'static str,
    pub(super) list: &'static str,
    pub(super) best_label: &'static str,
    pub(super) best: &'static str,
    pub(super) find: &'static str,
    pub(super) legend: &'static str,
    pub(super) available: &'static str,
    pub(super) held: &'static str,
    pub(super) sold: &'static str,
    pub(super) mine: &'static str,
    pub(super) chosen: &'static str,
    pub(super) hold_now: &'static str,
    pub(super) limit: &'static str,
    pub(super) lost: &'static str,
    pub(super) nearest: &'static str,
    pub(super) unknown_seat: &'static str,
    pub(super) pay: &'static str,
    pub(super) cancel: &'static str,
    pub(super) charge: &'static str,
    pub(super) amount: &'static str,
    pub(super) charge_now: &'static str,
    pub(super) seats: &'static str,
    pub(super) total: &'static str,
    pub(super) ends_at: &'static str,
    pub(super) left_hold: &'static str,
    pub(super) warn: &'static str,
    pub(super) expired: &'static str,
    pub(super) again: &'static str,
    pub(super) receipt: &'static str,
    pub(super) paid_at: &'static str,
    pub(super) payment_number: &'static str,
    pub(super) more: &'static str,
    pub(super) leave: &'static str,
    pub(super) confirming: &'static str,
    pub(super) said_insufficient: &'static str,
    pub(super) said_other: &'static str,
    pub(super) said_cancelled: &'static str,
    pub(super) said_charged: &'static str,
    pub(super) said_not_known: &'static str,
    pub(super) said_sold: &'static str,
    pub(super) said_limit: &'static str,
    pub(super) said_ended: &'static str,
    pub(super) row: &'static str,
    pub(super) receipt_means: &'static str,
    pub(super) chosen_none: &'static str,
}

/// The words of a language.
pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::Ko => &ko::WORDS,
        Language::En => &en::WORDS,
        Language::Ja => &ja::WORDS,
    }
}

/// Fills a text's places in braces.
pub(super) fn fill(text: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

/// A count with its digits in groups of three, as all our languages write it.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_threes() {
        let grouped: Vec<_> = [0, 999, 1_000, 12_345, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(grouped, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn every_language_fills_the_same_places() {
        for language in Language::ALL {
            let Words { wait, book, .. } = words(language);
            for (text, places) in [
                (wait.title, &["{n}", "{room}"][..]),
                (wait.turn, &["{room}"]),
                (wait.about_minutes, &["{a}"]),
                (wait.minutes, &["{a}", "{b}"]),
                (wait.hours, &["{a}", "{b}"]),
                (wait.live.stepping, &["{s}"]),
                (wait.live.leaving, &["{s}"]),
                (wait.live.say, &["{n}"]),
                (wait.live.days, &["{n}"]),
                (book.seats_left, &["{n}"]),
                (book.points, &["{n}"]),
                (book.points_from, &["{n}"]),
                (book.best, &["{n}"]),
                (book.lost, &["{seats}"]),
                (book.pay, &["{n}"]),
                (book.warn, &["{s}"]),
                (book.row, &["{n}"]),
            ] {
                assert!(places.iter().all(|place| text.contains(place)), "{}: {text}", language.tag());
                assert_eq!(text.matches('{').count(), places.len(), "{}: {text}", language.tag());
            }
        }
    }
}
