//! `anteroom account`: accounts from a file, by the built program.

use std::process::{Output, Stdio};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::TestService;

/// Runs `anteroom account import -` with these accounts.
async fn import(service: &TestService, accounts: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.args(["account", "import", "-"]).args(flags).env("ANTEROOM_DATABASE_URL", &service.database_url);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = piped.spawn().unwrap();
    let line = |(username, password): &(&str, &str)| json!({ "username": username, "password": password }).to_string();
    let lines: Vec<String> = accounts.iter().map(line).collect();
    let mut input = running.stdin.take().unwrap();
    input.write_all(lines.join("\n").as_bytes()).await.unwrap();
    drop(input);
    running.wait_with_output().await.unwrap()
}

#[track_caller]
fn says(output: &Output, right: bool, text: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() == right && said.contains(text), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_a_file_log_in_and_those_that_exist_are_changed_only_when_asked() {
    let service = TestService::start(&[("login_remembered_seconds", "1")]).await;
    let file = [("kim", "kim's password"), ("user00001", "another password")];
    says(&import(&service, &file, &[]).await, true, "1 new accounts; 1 were there already, and stay as they are");
    service.token_of("kim", "kim's password").await;
    service.token(1).await;
    assert_eq!(service.number("select count(*) from accounts where user_id = 'kim' and balance = 0").await, 1);

    says(&import(&service, &file, &["--change-passwords"]).await, true, "0 new accounts; 2 have another password now");
    service.token_of("user00001", "another password").await;
    service.token_of("kim", "kim's password").await;
    assert_eq!(service.number("select balance from accounts where user_id = 'user00001'").await, 1_000_000);
    service.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_wrong_line_changes_nothing() {
    let service = TestService::start(&[]).await;
    let file = [("kim", "kim's password"), ("lee", "short")];
    let output = import(&service, &file, &[]).await;
    says(&output, false, "line 2: a new password has at least 8 characters");
    assert_eq!(service.number("select count(*) from users where username in ('kim', 'lee')").await, 0);
}
