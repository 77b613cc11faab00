//! Sizes, and words that have no place.

use super::source::{Source, regex, source};

pub(super) fn sizes(files: &[Source], most: usize) -> Vec<String> {
    let lines = |file: &Source| file.text.lines().count();
    let large = files.iter().filter(|file| lines(file) > most);
    large.map(|file| format!("{}:{}: over {most} lines; a file is one noun", file.path, lines(file))).collect()
}

/// Promises in the text: what is worth doing is done, or is an issue.
pub(super) fn unfinished(files: &[Source]) -> Vec<String> {
    let promise = regex(concat!(r"\b(TO", r"DO|FIX", r"ME|X", r"XX)\b"));
    find(files, &promise, "a promise for later: do it, or write it where work is planned", |file| file.text.clone())
}

/// Attributes and macros that silence a check or help only while one is debugging.
pub(super) fn silenced(files: &[Source]) -> Vec<String> {
    let silence = regex(r"#!?\[(?:allow|ignore)\b|\bdbg!|\btodo!|\bunimplemented!");
    find(files, &silence, "silenced or left over; a lint that must give way is `#[expect(…, reason)]`", Source::code)
}

/// Code that is shipped returns its errors.
pub(super) fn hopes(files: &[Source]) -> Vec<String> {
    let hope = regex(r"\.(?:unwrap|unwrap_err|expect|expect_err)\(");
    find(files, &hope, "may panic: return the error", Source::shipped)
}

fn find(files: &[Source], pattern: &regex::Regex, what: &str, text: impl Fn(&Source) -> String) -> Vec<String> {
    let findings = |file: &Source| {
        let text = text(file);
        pattern.find_iter(&text).map(|found| file.finding(found.start(), what)).collect::<Vec<_>>()
    };
    files.iter().flat_map(findings).collect()
}

#[test]
fn a_file_over_its_size_is_seen() {
    let files = [source("src/a.rs", "a\nb\n"), source("src/b.rs", "a\nb\nc\n")];
    assert_eq!(sizes(&files, 2), ["src/b.rs:3: over 2 lines; a file is one noun"]);
}

#[test]
fn a_promise_is_seen_in_code_and_comments() {
    for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")] {
        assert_eq!(unfinished(&[source("lua/queue/join.lua", &format!("-- {word}: later"))]).len(), 1, "{word}");
    }
    assert!(unfinished(&[source("src/a.rs", "let todos = 1;")]).is_empty());
}

#[test]
fn a_silenced_check_is_seen_but_not_talk_of_it() {
    for text in ["#[allow(dead_code)]", "#![allow(missing_docs)]", "#[ignore = \"slow\"]", "dbg!(x);", "todo!()"] {
        assert_eq!(silenced(&[source("src/a.rs", text)]).len(), 1, "{text}");
    }
    assert!(silenced(&[source("src/a.rs", "// never #[allow]\n#[expect(dead_code, reason = \"\")]")]).is_empty());
}

#[test]
fn a_hope_is_seen_unless_a_test_has_it() {
    assert_eq!(hopes(&[source("src/a.rs", "fn a() {\n    b().unwrap();\n    c().expect(\"d\");\n}")]).len(), 2);
    assert!(
        hopes(&[source("src/a.rs", "a().unwrap_or(1);\n#[cfg(test)]\nmod tests { fn b() { c().unwrap(); } }")])
            .is_empty()
    );
}
