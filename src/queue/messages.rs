//! What operators tell visitors, in the languages of the pages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A language that visitors are told things in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Korean.
    Ko,
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::Ko, Self::En, Self::Ja];

    /// Its tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// The language that `Accept-Language` (RFC 9110, 12.5.4) wants most among ours: the first of the highest weight.
    /// None where it wants none of them; regions are not told apart.
    pub fn wanted(accepted: &str) -> Option<Self> {
        let weighed = accepted.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next()?.split('-').next()?;
            let language = Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(tag))?;
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight: f64 = weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?;
            (weight > 0.0).then_some((language, weight))
        });
        // `max_by` takes the last of equals; the first is wanted more.
        let mut all: Vec<_> = weighed.collect();
        all.reverse();
        all.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).map(|(language, _)| language)
    }
}

/// One message in up to three languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Messages {
    /// In Korean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ko: Option<String>,
    /// In English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub en: Option<String>,
    /// In Japanese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ja: Option<String>,
}

impl Messages {
    /// The message in a language.
    pub fn in_language(&self, language: Language) -> Option<&str> {
        match language {
            Language::Ko => self.ko.as_deref(),
            Language::En => self.en.as_deref(),
            Language::Ja => self.ja.as_deref(),
        }
    }

    /// Every message that there is.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        Language::ALL.into_iter().filter_map(|language| self.in_language(language))
    }
}
