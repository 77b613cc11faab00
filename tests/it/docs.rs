//! The documents agree with the program: its settings, and the files that they lead to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anteroom::config::Config;
use regex::Regex;
use serde_json::Value;

/// Folders whose pages are looked through.
const FOLDERS: [&str; 5] = ["", "docs", "docs/decisions", "docs/runbooks", "docs/load"];

/// A file of the repository.
pub(crate) fn document(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The rows of the table under this head, each a list of its cells.
pub(crate) fn table(text: &str, head: &str) -> Vec<Vec<String>> {
    let (_, after) = text.split_once(head).unwrap_or_else(|| panic!("there is no table with the head {head}"));
    let rows = after.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between the first pair of backticks; nothing where there is none.
pub(crate) fn quoted(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_default()
}

/// Every setting with its default, as the tables write them.
fn settings() -> Vec<(String, String)> {
    let Value::Object(settings) = serde_json::to_value(Config::default()).unwrap() else { panic!("settings") };
    let mut all = Vec::new();
    for (name, value) in settings {
        match value {
            Value::Object(inner) => all.extend(inner.iter().map(|(part, v)| (format!("{name}.{part}"), shown(v)))),
            value => all.push((name, shown(&value))),
        }
    }
    all.sort();
    all
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(list) if list.is_empty() => String::new(),
        other => other.to_string(),
    }
}

fn settings_of(path: &str, head: &str) -> Vec<(String, String)> {
    let rows = table(&document(path), head);
    let mut told: Vec<_> = rows.iter().map(|row| (quoted(&row[0]).to_owned(), quoted(&row[1]).to_owned())).collect();
    told.sort();
    told
}

#[test]
fn the_readme_has_every_setting_with_its_default() {
    assert_eq!(settings_of("README.md", "| Setting | Default | Meaning |"), settings());
}

#[test]
fn the_korean_readme_has_every_setting_with_its_default() {
    assert_eq!(settings_of("README.ko.md", "| 설정 | 기본값 | 뜻 |"), settings());
}

#[test]
fn links_lead_somewhere() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for page in files.filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
            let text = std::fs::read_to_string(&page).unwrap();
            let targets = text.split("](").skip(1).filter_map(|after| after.split(')').next());
            for target in targets.filter(|target| !target.contains("://")) {
                let file = target.split('#').next().unwrap();
                assert!(file.is_empty() || folder.join(file).exists(), "{} leads to {target}", page.display());
                links += 1;
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
}

/// The text of every source file below a folder.
fn source(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| if path.is_dir() { source(&path) } else { std::fs::read_to_string(path).unwrap() };
    entries.map(text).collect()
}

#[test]
fn every_metric_in_the_docs_is_emitted_with_the_labels_told() {
    let source = source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let made = Regex::new(r#"(?:counter|gauge|histogram)!\(\s*"(\w+)"((?:,\s*"[a-z]+"\s*=>[^,";]*(?:"[a-z]*")?)*)"#);
    let made: Vec<_> = made.unwrap().captures_iter(&source).map(|one| (one[1].to_owned(), one[2].to_owned())).collect();
    let label = Regex::new(r#""([a-z]+)"\s*=>"#).unwrap();
    for row in table(&document("docs/metrics.md"), "| Name | Kind | Meaning |") {
        let (name, labels) = quoted(&row[0]).split_once('{').unwrap_or((quoted(&row[0]), ""));
        let told: BTreeSet<&str> = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        assert!(made.iter().any(|(one, _)| one == name), "nobody emits {name}");
        for (_, labels) in made.iter().filter(|(one, _)| one == name) {
            let emitted: BTreeSet<&str> =
                label.captures_iter(labels).map(|found| found.get(1).unwrap().as_str()).collect();
            assert_eq!(emitted, told, "labels of {name}");
        }
    }
}
