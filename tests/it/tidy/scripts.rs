//! A Lua script's header against its body.

use std::sync::LazyLock;

use regex::Regex;

use super::source::{Source, blank, closing, regex, source};

pub(super) fn check(files: &[Source]) -> Vec<String> {
    files.iter().flat_map(|file| Script::read(file).map_or_else(|finding| vec![finding], |s| s.check())).collect()
}

/// A script, cut where its header ends.
pub(super) struct Script<'a> {
    pub(super) file: &'a Source,
    pub(super) room: &'a str,
    pub(super) verb: &'a str,
    pub(super) keys: Slots,
    pub(super) arguments: Slots,
    header: &'a str,
    /// The whole file with header and comments blanked.
    body: String,
}

/// What a header declares of KEYS or of ARGV.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// How many there are always.
    pub(super) fixed: usize,
    /// Whether more may follow, declared as `[n..]`.
    pub(super) more: bool,
}

static PATH: LazyLock<Regex> = LazyLock::new(|| regex(r"^lua/([a-z_]+)/([a-z_]+)\.lua$"));
static SHEBANG: LazyLock<Regex> = LazyLock::new(|| regex(r"^#!lua(?: flags=[a-z,-]+)?\n-- [A-Z]"));
static COMMENT: LazyLock<Regex> = LazyLock::new(|| regex(r"--[^\n]*"));
static WORD: LazyLock<Regex> = LazyLock::new(|| regex(r"(?:[=~]=\s*)?'([a-z][a-z_-]*)'"));
static RETURN: LazyLock<Regex> = LazyLock::new(|| regex(r"\breturn\b[ \t]*"));
static CALL: LazyLock<Regex> = LazyLock::new(|| regex(r"[\w.]+\("));

impl<'a> Script<'a> {
    pub(super) fn read(file: &'a Source) -> Result<Self, String> {
        let Some(names) = PATH.captures(&file.path) else {
            return Err(file.finding(0, "a script is lua/<room>/<verb>.lua"));
        };
        if !SHEBANG.is_match(&file.text) {
            return Err(file.finding(0, "must begin with `#!lua` (and `flags=…`), then a sentence on what it does"));
        }
        let length = file.text.split_inclusive('\n').skip(1).take_while(|line| line.starts_with("--"));
        let end = file.text.find('\n').map_or(0, |at| at + 1) + length.map(str::len).sum::<usize>();
        let header = &file.text[..end];
        let blanked = header.replace(|c| c != '\n', " ");
        // Blanking by characters keeps lines, not bytes; findings count lines.
        let body = blanked + &blank(&COMMENT, &file.text[end..]);
        let (keys, arguments) = (slots(file, header, "KEYS")?, slots(file, header, "ARGV")?);
        let name = |n: usize| names.get(n).map_or("", |name| name.as_str());
        Ok(Self { file, room: name(1), verb: name(2), keys, arguments, header, body })
    }

    /// Whether its first argument is what the caller believes in.
    pub(super) fn checks_incarnation(&self) -> bool {
        self.header.contains("\n-- ARGV[1] incarnation")
    }

    fn check(&self) -> Vec<String> {
        let mut findings = self.uses("KEYS", &self.keys);
        findings.extend(self.uses("ARGV", &self.arguments));
        for label in ["Answers", "Cost"] {
            if self.section(label).is_empty() {
                findings.push(self.file.finding(0, format!("the header has no `-- {label}: …`")));
            }
        }
        findings.extend(self.answers());
        for (at, _) in self.body.match_indices("tostring(") {
            findings.push(self.finding(at, "tostring() rounds large numbers: string.format('%.0f', n)"));
        }
        findings
    }

    fn finding(&self, at: usize, what: impl AsRef<str>) -> String {
        let line = self.body[..at].matches('\n').count() + 1;
        format!("{}:{line}: {}", self.file.path, what.as_ref())
    }

    /// The slots used are those declared.
    fn uses(&self, name: &str, slots: &Slots) -> Vec<String> {
        let mut findings = Vec::new();
        let mut used = vec![false; slots.fixed];
        let mut counted = false;
        for found in regex(&format!(r"\b{name}\b(?:\[(\d+)\])?")).captures_iter(&self.body) {
            let at = found.get(0).map_or(0, |whole| whole.start());
            let Some(number) = found.get(1) else {
                counted = true;
                if !slots.more {
                    findings.push(self.finding(at, format!("{name} is counted, but the header has no {name}[n..]")));
                }
                continue;
            };
            let number: usize = number.as_str().parse().expect("digits");
            match used.get_mut(number.wrapping_sub(1)) {
                Some(slot) => *slot = true,
                None if slots.more && number > slots.fixed => counted = true,
                None => findings.push(self.finding(at, format!("{name}[{number}] is not in the header"))),
            }
        }
        let unused = (1..).zip(&used).filter(|(_, used)| !**used).map(|(number, _)| number.to_string());
        let unused = unused.chain((slots.more && !counted).then(|| format!("{}..", slots.fixed + 1)));
        findings.extend(unused.map(|which| self.file.finding(0, format!("{name}[{which}] is declared, but not used"))));
        findings
    }

    /// What is returned is what the header says, and the reverse.
    fn answers(&self) -> Vec<String> {
        let section = self.section("Answers");
        let promised: Vec<&str> = words(&section).into_iter().map(|(_, word)| word).collect();
        let mut findings = Vec::new();
        for found in RETURN.find_iter(&self.body) {
            let expression = without_calls(returned(&self.body[found.end()..]));
            for (at, word) in words(&expression) {
                if !promised.contains(&word) {
                    let what = format!("answers '{word}', which the header's Answers do not have");
                    findings.push(self.finding(found.end() + at, what));
                }
            }
        }
        for word in promised.iter().filter(|word| !self.body.contains(&format!("'{word}'"))) {
            findings.push(self.file.finding(0, format!("Answers has '{word}', which the body never says")));
        }
        findings
    }

    /// What the header says under a label, up to the next label or its end.
    fn section(&self, label: &str) -> String {
        let from = self.header.lines().skip_while(|line| !line.starts_with(&format!("-- {label}: ")));
        let labelled = |line: &&str| line.starts_with("-- Answers: ") || line.starts_with("-- Cost: ");
        let until = from.enumerate().take_while(|(at, line)| *at == 0 || !labelled(line));
        until.map(|(_, line)| line.trim_start_matches("--")).collect::<Vec<_>>().join("\n")
    }
}

/// The slots of a header: 1, 2, 3 and so on, and at the end perhaps `[4..]`.
fn slots(file: &Source, header: &str, name: &str) -> Result<Slots, String> {
    let mut slots = Slots { fixed: 0, more: false };
    for found in regex(&format!(r"(?m)^-- {name}\[(\d+)(\.\.)?\] \S")).captures_iter(header) {
        let number: usize = found[1].parse().expect("digits");
        if slots.more || number != slots.fixed + 1 {
            let at = found.get(0).map_or(0, |whole| whole.start());
            return Err(file.finding(at, format!("{name}[{number}] is out of order: [1], [2], …, at the end [n..]")));
        }
        if found.get(2).is_some() {
            slots.more = true;
        } else {
            slots.fixed = number;
        }
    }
    Ok(slots)
}

/// The expression that a `return` returns: a table to its end, anything else to the line's.
fn returned(rest: &str) -> &str {
    let table = rest.starts_with('{').then(|| closing(rest)).flatten().map(|end| end + 1);
    &rest[..table.unwrap_or_else(|| rest.find('\n').unwrap_or(rest.len()))]
}

/// An expression with its calls blanked: their quoted words are commands and fields, not answers.
fn without_calls(expression: &str) -> String {
    let mut text = expression.to_owned();
    while let Some(call) = CALL.find(&text) {
        let end = closing(&text[call.end() - 1..]).map_or(text.len(), |length| call.end() + length);
        let blanked = " ".repeat(end - call.start());
        text.replace_range(call.range().start..end, &blanked);
    }
    text
}

/// Quoted words and where they stand, but for those that something is compared with.
fn words(text: &str) -> Vec<(usize, &str)> {
    let found = WORD.captures_iter(text).filter(|found| found[0].starts_with('\''));
    found.filter_map(|found| found.get(1)).map(|word| (word.start(), word.as_str())).collect()
}

const GOOD: &str = "#!lua flags=allow-oom\n-- Frees a seat.\n--\n-- KEYS[1] hash: meta\n-- KEYS[2..] string: holds\n\
    -- ARGV[1] incarnation\n-- ARGV[2] reservation\n-- Answers: 'lost';\n-- 'freed' seats, 'none'.\n-- Cost: O(1).\n\n\
    local meta = KEYS[1]\nif redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then\n  return {'lost'}\nend\n\
    -- return 'silence'\nfor i = 2, #KEYS do redis.call('DEL', KEYS[i], ARGV[2]) end\n\
    return n == 'zero' and {'none'} or {'freed', redis.call('HGET', meta, 'seats')}\n";

fn check_text(text: &str) -> Vec<String> {
    check(&[source("lua/seats/release.lua", text)])
}

#[test]
fn a_good_script_passes() {
    assert_eq!(check_text(GOOD), Vec::<String>::new());
    let file = source("lua/seats/release.lua", GOOD);
    let script = Script::read(&file).expect("a script");
    assert_eq!((script.room, script.verb), ("seats", "release"));
    assert_eq!(script.keys, Slots { fixed: 1, more: true });
    assert_eq!(script.arguments, Slots { fixed: 2, more: false });
    assert!(script.checks_incarnation());
}

#[test]
fn each_way_to_break_a_script_is_seen() {
    for (good, bad) in [
        ("#!lua flags=allow-oom", "-- no shebang"),
        ("-- Frees a seat.\n", ""),
        ("-- KEYS[1] hash: meta\n", ""),
        ("-- KEYS[2..] string: holds\n", ""),
        ("-- ARGV[2] reservation\n", ""),
        ("-- ARGV[2] reservation", "-- ARGV[3] reservation"),
        ("-- ARGV[2] reservation\n", "-- ARGV[2] reservation\n-- ARGV[3] of no use\n"),
        ("local meta = KEYS[1]", "local meta = KEYS[1] .. ARGV[4]"),
        ("#KEYS do redis.call('DEL', KEYS[i], ARGV[2])", "2 do redis.call('DEL', ARGV[2])"),
        ("-- Answers: 'lost';\n-- 'freed' seats, 'none'.\n", ""),
        ("-- Cost: O(1).\n", ""),
        ("return {'lost'}", "return {'gone'}"),
        ("{'none'} or {'freed'", "{'some'} or {'freed'"),
        ("{'freed',", "{"),
        ("for i = 2", "local text = tostring(n)\nfor i = 2"),
    ] {
        assert!(GOOD.contains(good), "{good}");
        assert!(!check_text(&GOOD.replacen(good, bad, 1)).is_empty(), "{good} → {bad}");
    }
    assert_eq!(check(&[source("lua/release.lua", GOOD)]).len(), 1);
}

#[test]
fn a_finding_names_the_line() {
    let findings = check_text(&GOOD.replace("{'lost'}", "{'gone'}"));
    assert_eq!(findings[0], "lua/seats/release.lua:14: answers 'gone', which the header's Answers do not have");
}
