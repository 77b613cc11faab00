//! What is said of a job that fails: that it did, once, as a warning; that it goes on to, once, as an error; and when
//! that is over.

use std::time::{Duration, Instant};

/// What passes within this time, such as a moment without a free connection, is no error.
const PASSING: Duration = Duration::from_secs(10);

/// The failures of one job since it last succeeded.
#[derive(Debug, Default)]
pub(super) struct Failures {
    since: Option<Instant>,
    lasting: bool,
}

/// What is to be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It begins to fail.
    Failed,
    /// It still fails.
    Lasts,
    /// After it was said to last, it is over.
    Over,
}

impl Failures {
    /// Takes note of a run that ended now.
    pub(super) fn note(&mut self, succeeded: bool, now: Instant) -> Option<News> {
        if succeeded {
            return std::mem::take(self).lasting.then_some(News::Over);
        }
        let Some(since) = self.since else {
            self.since = Some(now);
            return Some(News::Failed);
        };
        let news = (!self.lasting && now.saturating_duration_since(since) > PASSING).then_some(News::Lasts);
        self.lasting |= news.is_some();
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_failure_is_a_warning_and_an_error_only_when_it_lasts() {
        let (mut failures, began) = (Failures::default(), clock::now());
        let mut at = |seconds, succeeded| failures.note(succeeded, began + Duration::from_secs(seconds));
        assert_eq!(at(0, true), None);
        assert_eq!(at(1, false), Some(News::Failed));
        assert_eq!(at(2, true), None);
        assert_eq!(at(3, false), Some(News::Failed));
        assert_eq!(at(13, false), None);
        assert_eq!(at(14, false), Some(News::Lasts));
        assert_eq!(at(60, false), None);
        assert_eq!(at(61, true), Some(News::Over));
        assert_eq!(at(62, false), Some(News::Failed));
    }
}
