//! Signing up and logging in, on a real Postgres.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::accounts::{self, Accounts, Check, Login, NewPassword, Password, SignUpError, Verdict};
use anteroom::clock;
use anteroom::config::Config;
use anteroom::error::Fault;
use anteroom::ids::{Points, UserId};
use anteroom::store::Db;
use anteroom::store::db::Limits;
use argon2::password_hash::CustomizedPasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};

use crate::support;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// A room of accounts on a database of its own.
struct Room {
    url: String,
    db: Db,
    accounts: Accounts,
}

/// One verifier, so that the order of checking can be seen.
fn config() -> Config {
    Config { login_verifiers: 1, ..Config::default() }
}

async fn room(config: &Config) -> Room {
    let url = support::database().await;
    let limits = Limits { connections: 3, wait: Duration::from_secs(5), statement: Duration::from_secs(20) };
    let db = Db::new(&url, limits).unwrap();
    let accounts = Accounts::start(db.clone(), config).unwrap();
    Room { url, db, accounts }
}

impl Room {
    /// Accounts `user0`, `user1`, … with the password `right` and as many points as their number, cheap to check.
    async fn users(&self, count: i64) {
        let params = Params::new(8, 1, 1, None).unwrap();
        let hash: PasswordHash = Argon2::default().hash_password_with_params(b"right", b"salt salt", params).unwrap();
        self.add(count, &hash.to_string()).await;
    }

    async fn add(&self, count: i64, hash: &str) {
        let mut connection = self.connection().await;
        let users =
            "insert into users (username, password_hash) select 'user' || n, $2 from generate_series(0, $1 - 1) n";
        sqlx::query(users).bind(count).bind(hash).execute(&mut connection).await.unwrap();
        let accounts = "insert into accounts (user_id, balance, version) select 'user' || n, n, 7 from generate_series(0, $1 - 1) n";
        sqlx::query(accounts).bind(count).execute(&mut connection).await.unwrap();
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Nobody can read the users until what is returned is dropped: no check comes to an end.
    async fn hold_checks(&self) -> Held {
        let mut connection = self.connection().await;
        connection.execute("begin; lock table users in access exclusive mode").await.unwrap();
        Held(connection)
    }

    fn login(&self, user: &str, password: &str, address: IpAddr) -> Login {
        accounts::begin_login(&self.accounts, &id(user), &Password::parse(password).unwrap(), address)
    }

    fn check(&self, user: &str, password: &str) -> Check {
        match self.login(user, password, HERE) {
            Login::Check(check) => check,
            other => panic!("{user} was not put in line: {}", name(&other)),
        }
    }

    async fn verdict(&self, user: &str, password: &str) -> Verdict {
        self.check(user, password).verdict().await
    }
}

struct Held(PgConnection);

impl Held {
    async fn let_go(mut self) {
        self.0.execute("commit").await.unwrap();
        self.0.close().await.unwrap();
    }
}

fn id(user: &str) -> UserId {
    UserId::parse(user).unwrap()
}

fn name(login: &Login) -> &'static str {
    match login {
        Login::Remembered => "remembered",
        Login::Check(_) => "check",
        Login::Limited { .. } => "limited",
        Login::Full => "full",
    }
}

fn new_password() -> NewPassword {
    NewPassword::parse("testpass").unwrap()
}

#[tokio::test]
async fn a_right_password_is_remembered_and_asks_postgres_no_more() {
    let room = room(&config()).await;
    room.users(2).await;
    let verdict = room.verdict("user1", "right").await;
    assert!(matches!(verdict, Verdict::Right { balance: Points(1), version: 7 }), "{verdict:?}");
    room.db.close().await;
    assert_eq!(name(&room.login("user1", "right", HERE)), "remembered");
    assert_eq!(name(&room.login("user1", "right", ELSEWHERE)), "remembered");
    assert!(matches!(room.verdict("user1", "wrong").await, Verdict::Unknown(_)));
    assert!(matches!(room.verdict("user0", "right").await, Verdict::Unknown(_)));
}

#[tokio::test]
async fn a_wrong_password_is_wrong_and_not_remembered() {
    let room = room(&config()).await;
    room.users(1).await;
    for user in ["user0", "nobody"] {
        for _ in 0..2 {
            let verdict = room.verdict(user, "wrong").await;
            assert!(matches!(verdict, Verdict::Wrong), "{verdict:?}");
        }
    }
    assert!(matches!(room.verdict("user0", "right").await, Verdict::Right { .. }));
    assert!(matches!(room.verdict("user0", "wrong").await, Verdict::Wrong));
}

#[tokio::test]
async fn a_restart_forgets() {
    let room = room(&config()).await;
    room.users(1).await;
    room.verdict("user0", "right").await;
    assert_eq!(name(&room.login("user0", "right", HERE)), "remembered");
    let restarted = Room { accounts: Accounts::start(room.db.clone(), &config()).unwrap(), ..room };
    assert_eq!(name(&restarted.login("user0", "right", HERE)), "check");
}

#[tokio::test]
async fn identical_logins_under_way_are_one_check() {
    let room = room(&Config { login_failures_per_account: 2, ..config() }).await;
    room.users(1).await;
    let held = room.hold_checks().await;
    let checks: Vec<Check> = (0..200).map(|_| room.check("user0", "wrong")).collect();
    assert_eq!(checks.first().unwrap().expected_wait(), checks.last().unwrap().expected_wait());
    held.let_go().await;
    for check in checks {
        assert!(matches!(check.verdict().await, Verdict::Wrong));
    }
    // Each check would have counted as a failure, and two are the limit.
    assert_eq!(name(&room.login("user0", "other", HERE)), "check");
}

#[tokio::test]
async fn a_thousand_logins_are_checked_in_the_order_of_their_arrival() {
    let room = room(&config()).await;
    room.users(1_000).await;
    let held = room.hold_checks().await;
    let answered = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for user in 0..1_000 {
        let check = room.check(&format!("user{user}"), "right");
        assert!(check.expected_wait() >= Duration::from_millis(20) * (user + 1));
        let answered = Arc::clone(&answered);
        tasks.push(tokio::spawn(async move {
            let verdict = check.verdict().await;
            answered.lock().unwrap().push(user);
            matches!(verdict, Verdict::Right { balance, .. } if balance == Points(user.into()))
        }));
    }
    tokio::task::yield_now().await;
    held.let_go().await;
    for task in tasks {
        assert!(task.await.unwrap());
    }
    let answered = answered.lock().unwrap();
    assert!(answered.is_sorted(), "{answered:?}");
}

#[tokio::test]
async fn a_verdict_can_be_waited_for_in_time_and_later() {
    let room = room(&config()).await;
    room.users(1).await;
    let held = room.hold_checks().await;
    let check = room.check("user0", "right");
    assert!(check.verdict_within(Duration::from_millis(10)).await.is_none());
    let later = tokio::spawn({
        let check = check.clone();
        async move { check.verdict().await }
    });
    held.let_go().await;
    assert!(matches!(later.await.unwrap(), Verdict::Right { .. }));
    assert!(matches!(check.verdict_within(Duration::ZERO).await, Some(Verdict::Right { .. })));
    assert_eq!(check.expected_wait(), Duration::ZERO);
}

#[tokio::test]
async fn the_line_is_bounded_in_all_and_for_an_address() {
    let room = room(&Config { login_pending: 3, login_pending_per_address: 2, ..config() }).await;
    room.users(4).await;
    let held = room.hold_checks().await;
    let first = room.check("user0", "right");
    let second = room.check("user0", "right");
    assert_eq!(name(&room.login("user1", "right", HERE)), "full");
    assert_eq!(name(&room.login("user1", "right", ELSEWHERE)), "check");
    assert_eq!(name(&room.login("user2", "right", ELSEWHERE)), "full");
    held.let_go().await;
    first.verdict().await;
    second.verdict().await;
    assert!(matches!(room.verdict("user2", "right").await, Verdict::Right { .. }));
}

#[tokio::test]
async fn guesses_are_limited_and_nobody_else_is_locked_out() {
    let room = room(&Config { login_failures_per_account: 3, ..config() }).await;
    room.users(2).await;
    room.verdict("user0", "right").await;
    for guess in ["a", "b", "c"] {
        assert!(matches!(room.verdict("user0", guess).await, Verdict::Wrong));
    }
    let Login::Limited { retry_after_seconds } = room.login("user0", "d", HERE) else { panic!("not limited") };
    assert!((290..=300).contains(&retry_after_seconds), "{retry_after_seconds}");
    assert_eq!(name(&room.login("user0", "right", HERE)), "remembered");
    assert_eq!(name(&room.login("user0", "d", ELSEWHERE)), "check");
    assert!(matches!(room.verdict("user1", "right").await, Verdict::Right { .. }));
}

#[tokio::test]
async fn guesses_made_at_once_are_limited_before_the_first_verdict() {
    let room = room(&Config { login_failures_per_account: 3, ..config() }).await;
    room.users(1).await;
    let held = room.hold_checks().await;
    let checks = ["a", "b", "right"].map(|guess| room.check("user0", guess));
    assert_eq!(name(&room.login("user0", "d", HERE)), "limited");
    held.let_go().await;
    for check in checks {
        check.verdict().await;
    }
    assert!(matches!(room.verdict("user0", "d").await, Verdict::Wrong));
    assert_eq!(name(&room.login("user0", "e", HERE)), "limited");
}

#[tokio::test]
async fn an_address_that_guesses_for_many_accounts_is_limited_also_in_line() {
    let room = room(&Config { login_failures_per_address: 2, ..config() }).await;
    room.users(6).await;
    room.verdict("user5", "right").await;
    let held = room.hold_checks().await;
    let checks: Vec<Check> = (0..5).map(|user| room.check(&format!("user{user}"), "wrong")).collect();
    held.let_go().await;
    let mut results = Vec::new();
    for check in checks {
        results.push(match check.verdict().await {
            Verdict::Wrong => "wrong",
            Verdict::Limited { .. } => "limited",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(results, ["wrong", "wrong", "limited", "limited", "limited"]);
    assert_eq!(name(&room.login("user0", "right", HERE)), "limited");
    assert_eq!(name(&room.login("user5", "right", HERE)), "remembered");
    assert_eq!(name(&room.login("user0", "right", ELSEWHERE)), "check");
}

#[tokio::test]
async fn an_account_that_does_not_exist_takes_as_long_as_a_wrong_password() {
    let room = room(&Config { login_failures_per_account: 1_000, ..config() }).await;
    let hash = accounts::hash_password(&Password::parse("right").unwrap()).unwrap();
    room.add(1, &hash).await;
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    let alike =
        |known: Duration, unknown: Duration| (0.67..1.5).contains(&(known.as_secs_f64() / unknown.as_secs_f64()));
    // The quickest of each: what other tests beside this one cost is not in it, if it is looked at often enough.
    for turn in 0..200 {
        if turn >= 20 && alike(known, unknown) {
            return;
        }
        for (user, times) in [("user0", &mut known), ("nobody", &mut unknown)] {
            let started = clock::now();
            assert!(matches!(room.verdict(user, &format!("wrong{turn}")).await, Verdict::Wrong));
            *times = started.elapsed().min(*times);
        }
    }
    panic!("known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn while_postgres_is_away_nothing_is_decided_nor_counted() {
    let nowhere = "postgres://postgres@127.0.0.1:1/none";
    let limits = Limits { connections: 1, wait: Duration::from_millis(50), statement: Duration::from_secs(1) };
    let db = Db::new(nowhere, limits).unwrap();
    let accounts = Accounts::start(db.clone(), &Config { login_failures_per_account: 1, ..config() }).unwrap();
    let room = Room { url: nowhere.into(), db, accounts };
    for _ in 0..3 {
        let verdict = room.verdict("user0", "right").await;
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    }
    let signed_up = accounts::sign_up(&room.accounts, &id("user0"), &new_password(), HERE).await;
    assert!(matches!(signed_up, Err(SignUpError::Fault(_))), "{signed_up:?}");
    assert_eq!(name(&room.login("user0", "testpass", HERE)), "check");
}

#[tokio::test]
async fn signing_up_makes_an_account_once() {
    let room = room(&config()).await;
    accounts::sign_up(&room.accounts, &id("ana"), &new_password(), HERE).await.unwrap();
    let again = accounts::sign_up(&room.accounts, &id("ana"), &new_password(), HERE).await;
    assert!(matches!(again, Err(SignUpError::Taken)), "{again:?}");
    assert_eq!(name(&room.login("ana", "testpass", HERE)), "remembered");
    let restarted = Room { accounts: Accounts::start(room.db.clone(), &config()).unwrap(), ..room };
    let verdict = restarted.verdict("ana", "testpass").await;
    assert!(matches!(verdict, Verdict::Right { balance: Points(0), version: 0 }), "{verdict:?}");
}

#[tokio::test]
async fn two_who_want_the_same_name_do_not_both_get_it() {
    let room = room(&config()).await;
    let (user, one, other) = (id("ana"), new_password(), NewPassword::parse("another pass").unwrap());
    let (first, second) = tokio::join!(
        accounts::sign_up(&room.accounts, &user, &one, HERE),
        accounts::sign_up(&room.accounts, &user, &other, ELSEWHERE),
    );
    assert!(matches!((&first, &second), (Ok(()), Err(SignUpError::Taken)) | (Err(SignUpError::Taken), Ok(()))));
    let owner = if first.is_ok() { "testpass" } else { "another pass" };
    assert_eq!(name(&room.login("ana", owner, HERE)), "remembered");
}

#[tokio::test]
async fn signing_up_is_limited_for_an_address_and_can_be_closed() {
    let room = room(&Config { signups_per_minute: 1, ..config() }).await;
    let sign_up =
        async |user: &str, address| accounts::sign_up(&room.accounts, &id(user), &new_password(), address).await;
    sign_up("ana", HERE).await.unwrap();
    assert!(matches!(sign_up("ben", HERE).await, Err(SignUpError::Limited { retry_after_seconds: 55..=60 })));
    sign_up("ben", ELSEWHERE).await.unwrap();
    let closed = Accounts::start(room.db.clone(), &Config { signup_open: false, ..config() }).unwrap();
    let refused = accounts::sign_up(&closed, &id("cem"), &new_password(), HERE).await;
    assert!(matches!(refused, Err(SignUpError::Closed)));
}

/// Red when any number may wait: who has a key waits to the end, also when the client hangs up.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_signs_up_is_refused_at_once_beyond_a_number() {
    let room = room(&Config { signups_per_minute: 1_000, ..config() }).await;
    let password = NewPassword::parse("a password").unwrap();
    let names: Vec<_> = (0..100).map(|n| UserId::parse(&format!("new{n}")).unwrap()).collect();
    let crowd = names.iter().map(|name| accounts::sign_up(&room.accounts, name, &password, HERE));
    let signed_up = join_all(crowd).await;
    let refused = signed_up.iter().filter(|one| matches!(one, Err(SignUpError::Fault(Fault::Overload(_))))).count();
    let made = signed_up.iter().filter(|one| one.is_ok()).count();
    assert_eq!((made, refused), (64, 36));
    accounts::sign_up(&room.accounts, &UserId::parse("later").unwrap(), &password, HERE).await.unwrap();
}
