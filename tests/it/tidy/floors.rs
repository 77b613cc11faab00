//! Who may import whom.

use std::sync::LazyLock;

use regex::Regex;

use super::source::{Source, closing, parts, regex, source};

/// From the ground up. Modules of one floor may import each other, but for the rooms', which are on three floors:
/// money and people, what Redis decides, and what leads through several. `refusals` is a macro that `http` exports.
const FLOORS: [&[&str]; 7] = [
    &["clock", "config", "error", "ids"],
    &["store", "token", "limits", "latency", "gzip"],
    &["accounts", "ledger"],
    &["queue", "seats"],
    &["booking", "login"],
    &["app"],
    &["http", "jobs", "cli", "refusals"],
];

const ROOMS: std::ops::RangeInclusive<usize> = 2..=4;

pub(super) fn check(files: &[Source]) -> Vec<String> {
    files.iter().flat_map(|file| imports(file).into_iter().filter_map(|found| refused(file, &found))).collect()
}

/// One mention of a module of the crate.
struct Import {
    at: usize,
    module: String,
}

fn refused(file: &Source, import: &Import) -> Option<String> {
    let from = module_of(&file.path)?;
    let to = import.module.as_str();
    if from == to {
        return None;
    }
    let unplaced = |name: &str| format!("`{name}` stands on no floor: place it in tests/it/tidy/floors.rs");
    let what = match (floor_of(from), floor_of(to)) {
        (None, _) => unplaced(from),
        (_, None) => unplaced(to),
        (Some(low), Some(high)) if low < high => format!("`{from}` may not import `{to}`: imports look down only"),
        (Some(floor), Some(beside)) if floor == beside && ROOMS.contains(&floor) => {
            format!("`{from}` may not import `{to}`: rooms of one floor do not know each other")
        }
        _ => return None,
    };
    Some(file.finding(import.at, what))
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The module of the crate that a file belongs to. The crate's root and `main` stand outside the house.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let module = inside.split('/').next()?.trim_end_matches(".rs");
    (!matches!(module, "lib" | "main")).then_some(module)
}

/// How many times `super` must be said in a file to stand in the crate's root.
fn depth_of(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

static CLIMB: LazyLock<Regex> = LazyLock::new(|| regex(r"\bcrate::|\b(?:super::)+"));

fn imports(file: &Source) -> Vec<Import> {
    let code = file.code();
    let mut imports = Vec::new();
    for climb in CLIMB.find_iter(&code) {
        let supers = climb.as_str().matches("super").count();
        for module in first_names(&code[climb.end()..]) {
            // Inside a module within a file `super` is said once more; there only the name of a floor's module counts.
            let named = supers == 0 || (supers >= depth_of(&file.path) && floor_of(module).is_some());
            if named {
                imports.push(Import { at: climb.start(), module: module.to_owned() });
            }
        }
    }
    imports
}

/// The names that a path goes on with: one, or those in its braces.
fn first_names(path: &str) -> Vec<&str> {
    if path.starts_with('{') {
        let inside = &path[1..closing(path).unwrap_or(path.len())];
        parts(inside).into_iter().flat_map(first_names).collect()
    } else {
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
        if end == 0 { Vec::new() } else { vec![&path[..end]] }
    }
}

#[test]
fn every_way_to_look_up_is_seen() {
    for (path, text) in [
        ("src/clock.rs", "use crate::store::Db;"),
        ("src/store/mod.rs", "use crate::{clock, queue::{join, leave}};"),
        ("src/queue/join.rs", "fn a() {\n    crate::app::App::new();\n}"),
        ("src/queue/join.rs", "use super::super::http::reply;"),
        ("src/seats.rs", "use crate::queue;"),
        ("src/ledger/charge.rs", "use crate::booking::pay;"),
        ("src/booking/pay.rs", "use crate::login;"),
        ("src/app.rs", "use crate::http;"),
        ("src/parking.rs", "use crate::clock;"),
        ("src/http/mod.rs", "use crate::parking;"),
    ] {
        assert_eq!(check(&[source(path, text)]).len(), 1, "{path}: {text}");
    }
}

#[test]
fn looking_down_is_allowed() {
    for (path, text) in [
        ("src/booking/pay.rs", "use crate::{clock, ledger, seats::{self, Hold}, store};"),
        ("src/app.rs", "use crate::booking::Booking;"),
        ("src/http/mod.rs", "use crate::app::App; use crate::jobs;"),
        ("src/queue/join.rs", "use super::place; // not crate::http"),
        ("src/queue/mod.rs", "mod tests {\n    use super::*;\n    use super::join;\n}"),
        ("src/lib.rs", "use crate::http;"),
    ] {
        assert_eq!(check(&[source(path, text)]), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_finding_names_file_and_line() {
    let findings = check(&[source("src/ids.rs", "//! Ids.\n\nuse crate::app;\n")]);
    assert_eq!(findings, ["src/ids.rs:3: `ids` may not import `app`: imports look down only"]);
}
