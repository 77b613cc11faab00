//! Settings as they are typed: `capacity=500`, `opensAt=+10m`, `message=Back soon`, `closesAt=null`.

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::clock;

const NUMBERS: [&str; 8] = [
    "capacity",
    "admitPerSecond",
    "claimSeconds",
    "graceSeconds",
    "phoneGraceSeconds",
    "visitSeconds",
    "idleSeconds",
    "holdSeconds",
];
const SWITCHES: [&str; 2] = ["draw", "adaptive"];
const TIMES: [&str; 2] = ["opensAt", "closesAt"];
const TEXTS: [&str; 4] = ["state", "message", "drawBeacon", "drawBeaconValue"];

/// A message in one language is `messages.ko`, `messages.en` or `messages.ja`.
const MESSAGES: &str = "messages.";
const LANGUAGES: [&str; 3] = ["ko", "en", "ja"];

/// The change that was typed. Messages in languages that are not named stay as they are in `current`.
pub(super) fn change(settings: &[(String, String)], current: &Value, reason: Option<&str>) -> anyhow::Result<Value> {
    let mut change = Map::new();
    let mut messages = current["messages"].as_object().cloned().unwrap_or_default();
    for (name, value) in settings {
        if let Some(language) = name.strip_prefix(MESSAGES) {
            anyhow::ensure!(LANGUAGES.contains(&language), "messages are told in ko, en and ja, not in {language}");
            if value == "null" {
                messages.remove(language);
            } else {
                messages.insert(language.to_owned(), json!(value));
            }
            change.insert("messages".to_owned(), json!(messages));
        } else {
            change.insert(name.clone(), typed(name, value)?);
        }
    }
    if let Some(reason) = reason {
        change.insert("reason".to_owned(), json!(reason));
    }
    Ok(Value::Object(change))
}

fn typed(name: &str, value: &str) -> anyhow::Result<Value> {
    if value == "null" {
        return Ok(Value::Null);
    }
    if NUMBERS.contains(&name) {
        let number: Value = serde_json::from_str(value).with_context(|| format!("{name} is a number, not {value}"))?;
        anyhow::ensure!(number.is_number(), "{name} is a number, not {value}");
        return Ok(number);
    }
    if SWITCHES.contains(&name) {
        return Ok(json!(value.parse::<bool>().with_context(|| format!("{name} is true or false, not {value}"))?));
    }
    if TIMES.contains(&name) {
        return Ok(json!(clock::rfc3339(time(value).with_context(|| format!("{name} is {TIME}, not {value}"))?)));
    }
    if TEXTS.contains(&name) {
        return Ok(json!(value));
    }
    let known: Vec<_> = [&NUMBERS[..], &SWITCHES, &TIMES, &TEXTS].concat();
    bail!("there is no setting {name}; there are {}, messages.ko, messages.en and messages.ja", known.join(", "))
}

const TIME: &str = "a time such as 2026-12-01T11:00:00Z, now, or +90s, +10m, +2h, +1d from now";

fn time(text: &str) -> Option<DateTime<Utc>> {
    if text == "now" {
        return Some(clock::utc());
    }
    let Some(ahead) = text.strip_prefix('+') else {
        return DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    };
    let unit = ahead.chars().last()?;
    let count: i64 = ahead[..ahead.len() - unit.len_utf8()].parse().ok()?;
    let ahead = match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        _ => None,
    };
    clock::utc().checked_add_signed(ahead?)
}
