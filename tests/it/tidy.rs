//! The rules of the house, read off its source: what the compiler and clippy cannot know.
//!
//! A rule is a function from files to findings, `path:line: what is wrong and what is right`. Beside each rule stands a
//! test that feeds it a violation, so that a rule which no longer sees anything fails too.

mod floors;
mod migrations;
mod pairs;
mod scripts;
mod source;
mod words;

use source::read;

/// Fails with every finding, one a line.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn imports_look_down_only() {
    none(&floors::check(&read("src", "rs")));
}

#[test]
fn files_are_small() {
    let mut files = read("src", "rs");
    files.extend(read("tests", "rs"));
    files.extend(read("benches", "rs"));
    files.extend(read("k6", "js"));
    files.extend(read("web", "js"));
    none(&words::sizes(&files, 400));
    none(&words::sizes(&read("lua", "lua"), 80));
}

#[test]
fn nothing_is_left_for_later_and_nothing_is_silenced() {
    let rust = [read("src", "rs"), read("tests", "rs"), read("benches", "rs")].concat();
    let others = [
        read("lua", "lua"),
        read("migrations", "sql"),
        read("src", "sql"),
        read("k6", "js"),
        read("web", "js"),
        read("web", "html"),
        read("web", "css"),
    ];
    none(&words::unfinished(&[rust.clone(), others.concat()].concat()));
    none(&words::silenced(&rust));
    none(&words::hopes(&read("src", "rs")));
}

#[test]
fn scripts_say_what_they_take_and_answer() {
    none(&scripts::check(&read("lua", "lua")));
}

#[test]
fn scripts_and_their_functions_agree() {
    none(&pairs::check(&read("lua", "lua"), &read("src/store/scripts", "rs")));
}

#[test]
fn every_script_is_registered() {
    let names: Vec<&str> = anteroom::store::scripts::ALL.iter().map(|script| script.name).collect();
    none(&pairs::registered(&read("lua", "lua"), &names));
}

#[test]
fn migrations_say_why() {
    none(&migrations::check(&read("migrations", "sql")));
}
