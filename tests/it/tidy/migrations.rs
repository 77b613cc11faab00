//! A migration begins by saying what its rows are and why.

use super::source::{Source, source};

pub(super) fn check(files: &[Source]) -> Vec<String> {
    let silent = files.iter().filter(|file| !file.text.trim_start().starts_with("-- "));
    silent.map(|file| file.finding(0, "must begin with a comment that says what it is for")).collect()
}

#[test]
fn a_migration_without_a_word_is_seen() {
    assert_eq!(check(&[source("migrations/1_a.sql", "create table a ();")]).len(), 1);
    assert!(check(&[source("migrations/1_a.sql", "-- A row is …\ncreate table a ();")]).is_empty());
}
