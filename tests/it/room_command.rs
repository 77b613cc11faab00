//! `anteroom room`: what operators do from a shell, by the built program.

use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::TestService;
use crate::support::contract::until;
use crate::support::service::ADMIN_TOKEN;

/// What a command said.
struct Said {
    right: bool,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { right: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    #[track_caller]
    fn done(self) -> String {
        assert!(self.right, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn refused(self, why: &str) {
        assert!(!self.right && self.err.contains(why), "{why} is not in: {}{}", self.out, self.err);
    }
}

/// Runs `anteroom room` against a service.
async fn room(service: &TestService, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.args(["room", "--admin-url", &service.admin_url]).args(args).env("ANTEROOM_ADMIN_TOKEN", ADMIN_TOKEN);
    command.output().await.unwrap().into()
}

async fn json_of(service: &TestService, args: &[&str]) -> Value {
    serde_json::from_str(&room(service, &[args, &["--json"]].concat()).await.done()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_made_from_a_shell_audited_and_refused_where_it_is_stale() {
    let service = TestService::start(&[]).await;
    let set =
        room(&service, &["set", "main", "capacity=7", "messages.ko=곧 열립니다", "--reason", "A quiet start."]).await;
    assert!(set.done().contains("capacity"));
    room(&service, &["set", "main", "messages.en=Soon", "closesAt=+2h", "adaptive=true"]).await.done();
    let shown = json_of(&service, &["show", "main"]).await;
    assert_eq!(shown["messages"], json!({ "ko": "곧 열립니다", "en": "Soon" }), "one language at a time");
    assert!(shown["closesAt"].is_string() && shown["adaptive"] == true && shown["capacity"] == 7, "{shown}");
    room(&service, &["set", "main", "closesAt=null", "messages.ko=null"]).await.done();

    room(&service, &["set", "main", "capacity=9", "--if-version", "1"]).await.refused("changed the room meanwhile");
    room(&service, &["pause", "main", "--if-version", "1"]).await.refused("changed the room meanwhile");
    for (word, state) in
        [("pause", "paused"), ("resume", "open"), ("drain", "draining"), ("close", "closed"), ("open", "open")]
    {
        room(&service, &[word, "main"]).await.done();
        assert_eq!(json_of(&service, &["show", "main"]).await["state"], state);
    }
    let version = json_of(&service, &["show", "main"]).await["version"].clone();
    let dry = room(&service, &["close", "main", "--dry-run"]).await.done();
    assert!(dry.contains("Nothing was changed") && dry.contains("state: open → closed"), "{dry}");
    assert_eq!(json_of(&service, &["show", "main"]).await["version"], version);

    room(&service, &["put", "second", "state=open", "capacity=5"]).await.done();
    let list = room(&service, &["list"]).await.done();
    assert!(list.contains("second") && list.contains("main"), "{list}");
    let audit = room(&service, &["audit", "main"]).await.done();
    assert!(audit.contains("A quiet start.") && audit.contains("capacity: 2000 → 7"), "{audit}");
    let entries = json_of(&service, &["audit", "--limit", "100"]).await["entries"].as_array().unwrap().len();
    assert_eq!(entries, 9, "refused changes and dry runs are no changes");
    assert!(room(&service, &["check"]).await.done().contains("ok "));

    for (args, why) in [
        (vec!["set", "main", "capcity=7"], "there is no setting capcity"),
        (vec!["set", "main", "capacity=many"], "is a number"),
        (vec!["set", "main", "opensAt=soon"], "a time such as"),
        (vec!["set", "main", "messages.de=Bald"], "not in de"),
        (vec!["set", "main", "capacity=-1"], "validation-failed"),
        (vec!["set", "main"], "required"),
        (vec!["show", "nowhere"], "unknown-room"),
        (vec!["admit", "main", "5", "--dry-run"], "--dry-run"),
    ] {
        room(&service, &args).await.refused(why);
    }
    for (url, token, why) in [
        (service.admin_url.as_str(), "another", "admin-unauthorized"),
        ("https://127.0.0.1:1", ADMIN_TOKEN, "http://"),
        ("http://127.0.0.1:1", ADMIN_TOKEN, "cannot reach"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.args(["room", "list", "--admin-url", url]).env("ANTEROOM_ADMIN_TOKEN", token);
        Said::from(command.output().await.unwrap()).refused(why);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_the_programme_are_looked_after_from_a_shell() {
    let service = TestService::start(&[]).await;
    room(&service, &["set", "main", "capacity=1", "admitPerSecond=0"]).await.done();
    let first = service.token(1).await;
    service.token(2).await;
    let admitted = room(&service, &["admit", "main", "5", "--reason", "The press."]).await.done();
    assert!(admitted.lines().any(|line| line.starts_with("admitted") && line.ends_with('1')), "{admitted}");
    service.until(&first, "active").await;
    let place = room(&service, &["place", "main", "user00002"]).await.done();
    assert!(place.contains("standing") && place.contains("waiting"), "{place}");
    let watched = async || Some(room(&service, &["watch", "main", "--once"]).await.done());
    until(async || watched().await.filter(|seen| seen.contains("inside            1"))).await;
    room(&service, &["remove", "main", "user00002", "--reason", "a bot & more"]).await.done();
    room(&service, &["place", "main", "user00002"]).await.refused("unknown-place");
    assert_eq!(service.number("select count(*) from audit_log where reason = 'a bot & more'").await, 1);

    let made = room(&service, &["concert", "Night Trains"]).await.done();
    let concert = made.split_whitespace().nth(1).unwrap().to_owned();
    room(&service, &["concert", "Day Trains", "--id", &concert]).await.done();
    assert!(room(&service, &["concerts"]).await.done().contains("Day Trains"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schedule.json");
    let schedule = json!({
        "concertId": concert, "room": "main", "venue": "The Shed", "startsAt": "2099-03-01T19:00:00Z",
        "sections": [{ "name": "Floor", "rows": ["A"], "seatsPerRow": 2, "price": 100 }],
    });
    std::fs::write(&file, schedule.to_string()).unwrap();
    room(&service, &["schedule", file.to_str().unwrap()]).await.done();
    assert!(room(&service, &["schedules"]).await.done().contains("The Shed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_exported_and_checked_without_the_service() {
    let service = TestService::start(&[]).await;
    room(&service, &["draw", "main"]).await.refused("no-draw");
    room(&service, &["set", "main", "draw=true", "opensAt=+1h", "capacity=0"]).await.done();
    let commitment = json_of(&service, &["show", "main"]).await["drawCommitment"].as_str().unwrap().to_owned();
    let token = service.token(1).await;
    service.token(2).await;
    let lot = service.get("/queue/draw", &token).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("draw.json");
    let file = file.to_str().unwrap();
    room(&service, &["draw", "main", "--out", file]).await.refused("not complete yet");
    room(&service, &["set", "main", "opensAt=2020-01-01T00:00:00Z"]).await.done();
    until(async || room(&service, &["draw", "main", "--out", file]).await.right.then_some(())).await;

    // No service from here on: the address leads nowhere.
    let verify = async |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.args(["room", "--admin-url", "http://127.0.0.1:1", "verify-draw"]).args(args);
        Said::from(command.output().await.unwrap())
    };
    let mine = ["--user", "user00001", "--secret", lot.text("secret")];
    let right = verify(&[&[file, "--commitment", &commitment], &mine[..]].concat()).await.done();
    assert!(right.contains("all 2 places") && right.contains("user00001 has place"), "{right}");
    verify(&[file, "--commitment", &"0".repeat(64)]).await.refused("not the one that was published");
    verify(&[file, "--user", "user00001", "--secret", "00"]).await.refused("not in the list");
    let text = std::fs::read_to_string(file).unwrap();
    let mut list: Value = serde_json::from_str(&text).unwrap();
    let mut seed = list["seed"].as_str().unwrap().to_owned();
    let other = if seed.pop() == Some('0') { '1' } else { '0' };
    seed.push(other);
    list["seed"] = json!(seed);
    let forged = Path::new(file).with_extension("forged");
    std::fs::write(&forged, list.to_string()).unwrap();
    verify(&[forged.to_str().unwrap()]).await.refused("the seed does not fit the commitment");
    let public = service.send(service.admin(Method::GET, "/admin/rooms/main/draw")).await;
    assert_eq!(public.is(200).body, serde_json::from_str::<Value>(&text).unwrap());
}
