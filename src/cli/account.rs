//! Accounts for visitors, made from a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, stderr, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde::Deserialize;

use super::{SetArgs, database};
use crate::accounts::{Existing, Imported, NewPassword, import};
use crate::config::Config;
use crate::ids::UserId;

/// Wrong lines that are told at most.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct AccountArgs {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Makes an account for each line of a file: {"username": "kim", "password": "…"}. Those that exist stay as they are.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The file, of one JSON object a line; - reads from the standard input.
    file: PathBuf,
    /// Give accounts that exist the password of the file.
    #[arg(long)]
    change_passwords: bool,
    #[command(flatten)]
    set: SetArgs,
}

/// One line of the file. Its password is not shown when it is wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    username: String,
    password: String,
}

type Given = (UserId, NewPassword);

/// Runs `anteroom account`.
pub(super) async fn account(args: AccountArgs, config: Option<&str>) -> anyhow::Result<()> {
    let Deed::Import(args) = args.deed;
    let config = Config::load(config, &args.set.set)?;
    let given = read(&args.file)?;
    let db = database(&config)?;
    db.migrate().await.context("cannot bring the tables up to date")?;
    let existing = if args.change_passwords { Existing::Changed } else { Existing::Kept };
    let progress = stderr().is_terminal();
    let all = given.len();
    let imported = import(&db, &given, existing, |done| {
        if progress {
            eprintln!("{done} of {all}");
        }
    });
    let Imported { new, existing: there } =
        imported.await.context("not all accounts are made; the same command goes on where it stopped")?;
    let became =
        if args.change_passwords { "have another password now" } else { "were there already, and stay as they are" };
    println!("{new} new accounts; {there} {became}");
    Ok(())
}

/// Reads all lines before anything is done, so that a file with a wrong one changes nothing.
fn read(file: &Path) -> anyhow::Result<Vec<Given>> {
    if file.as_os_str() == "-" {
        return read_lines(stdin().lock());
    }
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    read_lines(BufReader::new(opened))
}

fn read_lines(lines: impl BufRead) -> anyhow::Result<Vec<Given>> {
    let (mut given, mut wrong) = (Vec::new(), Vec::new());
    let mut seen: HashMap<UserId, usize> = HashMap::new();
    for (at, line) in lines.lines().enumerate() {
        let (number, line) = (at + 1, line.with_context(|| format!("cannot read line {}", at + 1))?);
        if line.trim().is_empty() {
            continue;
        }
        match read_line(&line) {
            Ok((user, password)) => match seen.insert(user.clone(), number) {
                Some(first) => wrong.push(format!("line {number}: {user} is in line {first} already")),
                None => given.push((user, password)),
            },
            Err(why) => wrong.push(format!("line {number}: {why}")),
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(TOLD);
        wrong.truncate(TOLD);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        bail!("nothing was imported:\n{}", wrong.join("\n"));
    }
    ensure!(!given.is_empty(), "there is no account in it");
    Ok(given)
}

fn read_line(line: &str) -> Result<Given, String> {
    let shape = |_| r#"it is not of the form {"username": "kim", "password": "…"}"#.to_owned();
    let Line { username, password } = serde_json::from_str(line).map_err(shape)?;
    let user = UserId::parse(&username).map_err(|e| e.to_string())?;
    Ok((user, NewPassword::parse(&password).map_err(|e| e.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lines_are_told_by_their_number_without_what_is_secret_in_them() {
        let lines = [
            r#"{"username":"kim","password":"long enough"}"#,
            r#"{"username":"lee","password":"secret"}"#,
            "",
            r#"{"username":"kim","password":"another one"}"#,
            r#"{"username":"no name","password":"long enough"}"#,
            r#"{"username":"park","password":12345678}"#,
        ];
        let told = read_lines(lines.join("\n").as_bytes()).unwrap_err().to_string();
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told[0], "nothing was imported:");
        assert!(told[1].starts_with("line 2: a new password has at least 8 characters"), "{told:?}");
        assert_eq!(told[2], "line 4: kim is in line 1 already");
        assert!(told[3].starts_with("line 5: a username has"), "{told:?}");
        assert!(told[4].starts_with("line 6: it is not of the form"), "{told:?}");
        assert!(!told.concat().contains("secret") && !told.concat().contains("12345678"), "{told:?}");
        assert!(read_lines("\n".as_bytes()).is_err());
        let many = vec!["x"; 25].join("\n");
        assert!(read_lines(many.as_bytes()).unwrap_err().to_string().ends_with("and 5 more"));
    }
}
