//! Files as the rules read them.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A file of the project, its path relative to the project's root.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// What is said about this file's line at a byte of its text.
    pub(super) fn finding(&self, at: usize, what: impl AsRef<str>) -> String {
        let line = self.text[..at].matches('\n').count() + 1;
        format!("{}:{line}: {}", self.path, what.as_ref())
    }

    /// The text with comments and the insides of literals blanked, every byte else at its place.
    pub(super) fn code(&self) -> String {
        blank(&RUST_PROSE, &self.text)
    }

    /// `code` without what is compiled for tests only.
    pub(super) fn shipped(&self) -> String {
        let mut code = self.code();
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return spaces(&code);
        }
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = item_end(&code[start..]).map_or(code.len(), |length| start + length);
            code.replace_range(start..end, &spaces(&code[start..end]));
        }
        code
    }
}

/// A file made up by a test.
pub(super) fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// The files with this extension at and below a folder of the project, sorted; none where there is no such folder.
pub(super) fn read(folder: &str, extension: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                let text = fs::read_to_string(&path).expect("a source file in UTF-8");
                let path = path.strip_prefix(root).expect("a path below the root").display().to_string();
                files.push(Source { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Comments, then literals: what matches first where the scan stands is what it is.
static RUST_PROSE: LazyLock<Regex> = LazyLock::new(|| {
    let raw = (0..=3).map(|n| format!(r#"b?r{0}"(?s:.)*?"{0}"#, "#".repeat(n))).collect::<Vec<_>>().join("|");
    regex(&format!(r#"//[^\n]*|/\*(?s:.)*?\*/|{raw}|b?"(?:\\(?s:.)|[^"\\])*"|b?'(?:\\.[^'\n]*|[^\\'\n])'"#))
});

/// A pattern that is known to be right.
pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

pub(super) fn blank(pattern: &Regex, text: &str) -> String {
    pattern.replace_all(text, |found: &Captures<'_>| spaces(&found[0])).into_owned()
}

fn spaces(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// How far the item reaches whose text begins here: to its semicolon, or to the end of its braces.
pub(super) fn item_end(code: &str) -> Option<usize> {
    let first = code.find(['{', ';'])?;
    if code[first..].starts_with(';') { Some(first + 1) } else { closing(&code[first..]).map(|end| first + end + 1) }
}

/// Where the bracket closes that opens at the first byte.
pub(super) fn closing(code: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in code.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The parts between the commas that stand outside all brackets; an empty last one does not count.
pub(super) fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn prose_is_told_from_code() {
    let text =
        "let a: &'static str = \"x // y\"; // TALK\nlet b = '\"'; let c = r#\"a \" b\"#; /* TALK */ let d = b'\\'';";
    let code = source("a.rs", text).code();
    assert_eq!(code.len(), text.len());
    assert!(!code.contains("TALK") && !code.contains('"') && !code.contains('x'), "{code}");
    assert!(code.contains("let a: &'static str =") && code.contains("let b =") && code.contains("let d ="), "{code}");
}

#[test]
fn tests_are_told_from_what_is_shipped() {
    let shipped = source("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { c(); } }\nfn d() {}").shipped();
    assert!(shipped.contains("fn a") && shipped.contains("fn d") && !shipped.contains("fn b"), "{shipped}");
    assert_eq!(source("src/token/tests.rs", "fn a() {}").shipped().trim(), "");
}

#[test]
fn lists_are_cut_at_their_own_commas() {
    assert_eq!(parts("&a(b, c), [d, e], f,"), ["&a(b, c)", "[d, e]", "f"]);
}
