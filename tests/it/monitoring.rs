//! A real Prometheus reads a real service: every query of the dashboards tells something, every rule can be evaluated.
//!
//! Grafana itself is not run here: its dashboards are read as what they are, JSON with queries in it.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anteroom::clock;
use regex::Regex;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::Program;

/// What Debian's package brings; `scripts/setup tests` installs it where the package manager has it.
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

const DASHBOARDS: [&str; 2] = ["deploy/grafana/dashboards/anteroom.json", "deploy/grafana/dashboards/load-tests.json"];

/// Series of rules that are there only after a fault.
const OF_FAULTS: [&str; 2] =
    ["anteroom_invariant_violations_total", "http_request_duration_seconds_count{status=~\"5..\"}"];

/// How long traffic goes on until every query has told something, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(3);

/// Stands for Grafana's interval: long enough for several scrapes of one second each.
const RATE_INTERVAL: &str = "20s";

/// Visitors at once, for one visit at a time: so there is a line.
const CROWD: u32 = 6;

const PASSWORD: &str = "anteroom-demo";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_tells_something_and_every_rule_can_be_evaluated() {
    if !programs_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let service = Program::dev(dir.path(), &[]).await;
    service.admin(Method::PATCH, "/admin/rooms/main", Some(&json!({ "capacity": 1 }))).await;
    let watcher = Watcher::start(&dir, &service.admin_url).await;
    let crowd: Vec<_> = (1..=CROWD).map(|number| tokio::spawn(come_and_go(service.url.clone(), number))).collect();

    watcher.until_none_is_silent([queries(), read_by_rules()].concat()).await;
    watcher.until_rules_ran().await;
    assert!(!watcher.ask("label/room/values").await["data"].as_array().unwrap().is_empty());
    let told = Client::new().get(format!("{}/metrics", service.admin_url)).send().await.unwrap().text().await.unwrap();
    fs::write(dir.path().join("metrics"), told).unwrap();
    let metrics = fs::File::open(dir.path().join("metrics")).unwrap();
    promtool(&["check", "metrics"], Stdio::from(metrics)).await;
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn alerts_fire_when_they_should_and_only_then() {
    if programs_are_here() {
        let file = |name: &str| format!("{}/deploy/prometheus/{name}", env!("CARGO_MANIFEST_DIR"));
        promtool(&["check", "rules", &file("rules.yml")], Stdio::null()).await;
        promtool(&["check", "config", &file("prometheus.yml")], Stdio::null()).await;
        promtool(&["test", "rules", &file("rules_test.yml")], Stdio::null()).await;
    }
}

#[test]
fn every_alert_has_a_page_and_cases() {
    let rules = repository("deploy/prometheus/rules.yml");
    let cases = repository("deploy/prometheus/rules_test.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 13, "{alerts:?}");
    for alert in alerts {
        assert!(rules.contains(&format!("runbook: docs/runbooks/{alert}.md")), "{alert} names no page");
        let page = repository(&format!("docs/runbooks/{alert}.md"));
        assert!(page.contains("## Look at") && page.contains("## What to do"), "{alert}");
        assert!(page.contains(&expression_of(&rules, alert)), "{alert}: the page has another expression");
        assert!(repository("docs/runbooks/README.md").contains(&format!("({alert}.md)")), "{alert} is not in the list");
        let (fires, silent) = cases_of(&cases, alert);
        assert!(fires > 0 && silent > 0, "{alert} needs a case that fires and one that does not");
    }
}

/// What an alert fires for, as its page has it.
fn expression_of(rules: &str, alert: &str) -> String {
    let rule = rules.split("- alert: ").find(|rule| rule.lines().next() == Some(alert)).unwrap();
    let (_, expression) = rule.split_once("expr:").unwrap();
    let (expression, _) = expression.split_once("for:").unwrap();
    let lines = expression.trim_start_matches(" |").trim().lines().map(str::trim);
    lines.collect::<Vec<_>>().join("\n")
}

/// How many cases want an alert to fire, and how many want it silent.
fn cases_of(cases: &str, alert: &str) -> (usize, usize) {
    let of_alert = cases.split("- name: ").filter(|case| case.starts_with(&format!("'{alert}: ")));
    let silent = of_alert.clone().filter(|case| case.contains("exp_alerts: []")).count();
    (of_alert.count() - silent, silent)
}

fn repository(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Where they are missing, it is said loudly; in CI that is a failure.
fn programs_are_here() -> bool {
    let missing: Vec<_> = PROGRAMS.iter().filter(|name| !is_in_path(name)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{missing:?} not found: scripts/setup tests");
    eprintln!("NOT TESTED: {missing:?} not found, so dashboards and alerts were not run (scripts/setup tests)");
    false
}

fn is_in_path(name: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(name).is_file())
}

async fn promtool(args: &[&str], input: Stdio) {
    let done = Command::new("promtool").args(args).stdin(input).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "promtool {args:?}:\n{said}");
}

/// Each series that a rule reads. A rule that reads nothing is as well as one that has nothing to say.
fn read_by_rules() -> Vec<(String, String)> {
    let rules = repository("deploy/prometheus/rules.yml");
    let expressions: String = rules.split("expr:").skip(1).filter_map(|rule| rule.split("for:").next()).collect();
    let series = Regex::new(r"\b(?:anteroom|http|db|redis|process)_[a-z_]+(?:\{[^}]*\})?").unwrap();
    let read: BTreeSet<&str> = series.find_iter(&expressions).map(|found| found.as_str()).collect();
    assert!(read.len() > 20, "the rules have lost what they read: {read:?}");
    let of_faults: Vec<_> = OF_FAULTS.iter().filter(|series| read.contains(*series)).collect();
    assert_eq!(of_faults.len(), OF_FAULTS.len(), "no rule reads the others of {OF_FAULTS:?}");
    let read = read.into_iter().filter(|series| !OF_FAULTS.contains(series));
    read.map(|series| ("rules.yml".to_owned(), format!("count({series})"))).collect()
}

/// Every query of the dashboards as Prometheus is asked it, with its panel.
fn queries() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(&repository(path)).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$room", ".*").replace("$__rate_interval", RATE_INTERVAL);
                assert!(!query.contains('$'), "an unknown variable in {query}");
                all.push((format!("{path}: {}", panel["title"]), query));
            }
        }
    }
    assert!(all.len() > 60, "the dashboards have lost their queries");
    all
}

/// A Prometheus that scrapes every second, ended when dropped.
struct Watcher {
    url: String,
    _child: Child,
}

impl Watcher {
    async fn start(dir: &TempDir, admin_url: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = repository("deploy/prometheus/prometheus.yml")
            .replace("_interval: 5s", "_interval: 1s")
            .replace("127.0.0.1:9080", admin_url.trim_start_matches("http://"));
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        fs::write(dir.path().join("rules.yml"), repository("deploy/prometheus/rules.yml")).unwrap();
        let log = fs::File::create(dir.path().join("prometheus.log")).unwrap();
        let flag = |name: &str, value: &str| format!("--{name}={value}");
        let child = Command::new("prometheus")
            .arg(flag("config.file", &dir.path().join("prometheus.yml").display().to_string()))
            .arg(flag("storage.tsdb.path", &dir.path().join("tsdb").display().to_string()))
            .arg(flag("web.listen-address", &address.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let began = clock::now();
        let url = format!("http://{address}");
        while !Client::new().get(format!("{url}/-/ready")).send().await.is_ok_and(|answer| answer.status().is_success())
        {
            let said = || fs::read_to_string(dir.path().join("prometheus.log")).unwrap();
            assert!(began.elapsed() < PATIENCE, "Prometheus does not start:\n{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Self { url, _child: child }
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = Client::new().get(format!("{}/api/v1/{path}", self.url)).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["status"], "success", "{path}: {body}");
        body
    }

    /// Whether a query tells a number.
    async fn tells(&self, query: &str) -> bool {
        let told = self.ask(&format!("query?query={}", encoded(query))).await;
        let series = told["data"]["result"].as_array().unwrap();
        series.iter().any(|one| one["value"][1].as_str().is_some_and(|value| value != "NaN"))
    }

    async fn until_none_is_silent(&self, mut silent: Vec<(String, String)>) {
        let began = clock::now();
        while !silent.is_empty() {
            let mut still = Vec::new();
            for (panel, query) in silent {
                if !self.tells(&query).await {
                    still.push((panel, query));
                }
            }
            silent = still;
            assert!(began.elapsed() < PATIENCE, "these panels stay empty:\n{silent:#?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn until_rules_ran(&self) {
        let began = clock::now();
        loop {
            let told = self.ask("rules").await;
            let rules: Vec<&Value> = told["data"]["groups"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|g| g["rules"].as_array().unwrap())
                .collect();
            assert!(rules.len() >= 13);
            assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
            if rules.iter().all(|rule| rule["health"] == "ok") {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the rules were not evaluated:\n{rules:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A query as a part of an address.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A visitor who comes, waits, charges twice under one key, holds, pays, and leaves; for ever.
async fn come_and_go(url: String, number: u32) {
    let client = Client::new();
    let login = json!({ "username": format!("user{number:05}"), "password": PASSWORD });
    for round in 0_u32.. {
        let asked = client.post(format!("{url}/auth/token")).json(&login).send();
        let Ok(mut place) = body(asked.await).await else { continue };
        let mut token = place["token"].as_str().unwrap_or_default().to_owned();
        while ["verifying", "waiting"].iter().any(|status| place["status"] == *status) {
            tokio::time::sleep(Duration::from_millis(place["pollAfterMs"].as_u64().unwrap_or(1_000))).await;
            place = body(client.get(format!("{url}/queue/position")).bearer_auth(&token).send().await)
                .await
                .unwrap_or_default();
            token = place["token"].as_str().map_or(token, str::to_owned);
        }
        let get = async |path: &str| body(client.get(format!("{url}{path}")).bearer_auth(&token).send().await).await;
        let post = async |path: &str, sent: &Value| {
            let request = client.post(format!("{url}{path}")).bearer_auth(&token).json(sent);
            body(request.header("Idempotency-Key", format!("{number}-{round}-{path}")).send().await).await
        };
        let _ = (get("/reservations/available/dates").await, get("/points/balance").await);
        let _ = get("/reservations/available/seat?scheduleId=12345").await;
        let _ = (
            post("/points/charge", &json!({ "amount": 10 })).await,
            post("/points/charge", &json!({ "amount": 10 })).await,
        );
        let held = post("/reservations", &json!({ "scheduleId": "12345", "best": 1 })).await.unwrap_or_default();
        let _ = post("/reservations/pay", &json!({ "reservationId": held["reservationId"], "amount": held["amount"] }))
            .await;
        let _ = client.post(format!("{url}/queue/leave")).bearer_auth(&token).send().await;
    }
}

async fn body(answer: reqwest::Result<reqwest::Response>) -> reqwest::Result<Value> {
    answer?.json().await
}
