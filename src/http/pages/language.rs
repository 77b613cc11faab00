//! Which language a page speaks: `?lang`, else the cookie of an earlier choice, else what the browser asks for.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};

/// The cookie that keeps a choice.
pub(super) const COOKIE_NAME: &str = "anteroom_lang";

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Korean.
    Ko,
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// Every language; the first is for those who want none of them.
    pub(super) const ALL: [Self; 3] = [Self::Ko, Self::En, Self::Ja];

    /// Its tag (RFC 5646).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// Its own name for itself.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ko => "한국어",
            Self::En => "English",
            Self::Ja => "日本語",
        }
    }

    /// A language by its tag; regions are not told apart.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let language = tag.split('-').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|known| known.tag().eq_ignore_ascii_case(language))
    }

    /// The language of an answer to this request.
    pub(super) fn wanted(asked: Option<&str>, headers: &HeaderMap) -> Self {
        let chosen = asked.and_then(Self::of_tag);
        let chosen = chosen.or_else(|| cookie(headers, COOKIE_NAME).and_then(Self::of_tag));
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok());
        chosen.or_else(|| accepted.and_then(accepted_most)).unwrap_or(Self::ALL[0])
    }
}

/// The language that `Accept-Language` (RFC 9110, 12.5.4) wants most among ours: the first of those with the highest weight.
fn accepted_most(accepted: &str) -> Option<Language> {
    let mut best: Option<(f64, Language)> = None;
    for range in accepted.split(',') {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse().ok()).unwrap_or(0.0);
        if let Some(language) = Language::of_tag(tag)
            && weight > best.map_or(0.0, |(most, _)| most)
        {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(asked: Option<&str>, cookie: &str, accepted: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers.insert(ACCEPT_LANGUAGE, accepted.parse().unwrap());
        Language::wanted(asked, &headers).tag()
    }

    #[test]
    fn a_choice_wins_over_the_cookie_and_that_over_the_browser() {
        assert_eq!(wanted(Some("ja"), "anteroom_lang=en", "ko"), "ja");
        assert_eq!(wanted(Some("xx"), "a=b; anteroom_lang=en", "ko"), "en");
        assert_eq!(wanted(None, "", "fr, ja;q=0.5, en-GB;q=0.8, ko;q=0"), "en");
        assert_eq!(wanted(None, "anteroom_lang=fr", "ja,en"), "ja");
        assert_eq!(wanted(None, "", "fr;q=1, ko;q=zero"), "ko");
    }
}
