//! The built program as a child, that a test may stop, kill and start again.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anteroom::cli::secrets;
use anteroom::clock;
use reqwest::{Client, Method};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::process::{Child, Command};

use super::processes::{descendants, processes, signal};

/// How long a start may take, repairing what a crash left included.
const STARTING: Duration = Duration::from_mins(1);

/// How long a stop in order may take.
const STOPPING: Duration = Duration::from_secs(40);

/// How long a store may outlive a program that was killed.
const OUTLIVING: Duration = Duration::from_secs(3);

/// How long what is left of a store that ended in order may take to go.
const LINGERING: Duration = Duration::from_secs(1);

/// A running `anteroom`, killed when dropped.
pub(crate) struct Program {
    pub(crate) url: String,
    pub(crate) admin_url: String,
    pub(crate) database_url: String,
    admin_token: String,
    /// The processes of its own Redis and Postgres; none of `serve`.
    stores: Vec<u32>,
    child: Child,
}

impl Program {
    /// `anteroom dev` on a folder `data` below `dir`, with 100 demo accounts; ready when this returns.
    pub(crate) async fn dev(dir: &Path, settings: &[&str]) -> Self {
        let ready_file = dir.join("ready");
        match fs::remove_file(&ready_file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => panic!("{e}"),
            _ => {}
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.args(["dev", "--port", "0", "--admin-port", "0", "--users", "100", "--data-dir"]);
        command.arg(data_dir(dir)).arg("--ready-file").arg(&ready_file);
        let mut child = spawn(command, settings, dir);
        let began = clock::now();
        while !ready_file.exists() {
            still_starting(&mut child, began, dir).await;
        }
        let ready: Value = serde_json::from_str(&fs::read_to_string(&ready_file).unwrap()).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let pid = |name: &str| u32::try_from(ready[name].as_u64().unwrap()).unwrap();
        assert_eq!(Some(pid("serverPid")), child.id());
        Self {
            url: text("url"),
            admin_url: text("adminUrl"),
            database_url: text("databaseUrl"),
            admin_token: text("adminToken"),
            stores: vec![pid("redisPid"), pid("postgresPid")],
            child,
        }
    }

    /// `anteroom serve` on stores that have the tables, told where they are by its environment.
    pub(crate) async fn serve(dir: &Path, stores: (&str, &str), settings: &[&str]) -> Self {
        let secrets = secrets::load(dir).unwrap();
        let (address, admin_address) = (free_address(), free_address());
        let admin_token = secrets.admin_token.expose_secret().to_owned();
        let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
        command.arg("serve").env("ANTEROOM_LISTEN", address.to_string());
        command.env("ANTEROOM_ADMIN_LISTEN", admin_address.to_string()).env("ANTEROOM_ADMIN_TOKEN", &admin_token);
        command.env("ANTEROOM_TOKEN_KEY_FILE", secrets.token_key_file);
        command.env("ANTEROOM_REDIS_URL", stores.0).env("ANTEROOM_DATABASE_URL", stores.1);
        let mut child = spawn(command, settings, dir);
        let (url, admin_url) = (format!("http://{address}"), format!("http://{admin_address}"));
        let (client, began) = (Client::new(), clock::now());
        while !client.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success()) {
            still_starting(&mut child, began, dir).await;
        }
        Self { url, admin_url, database_url: stores.1.to_owned(), admin_token, stores: Vec::new(), child }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Asks the operators' listener; the body of a success.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let request = Client::new().request(method, format!("{}{path}", self.admin_url)).bearer_auth(&self.admin_token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Kills the program as a crash would, and waits until none of its processes is left.
    pub(crate) async fn kill(self) {
        self.kill_with(&[]).await;
    }

    /// The same, with its stores killed in the same moment, not ended by those who watch them.
    pub(crate) async fn kill_all(self) {
        let stores = self.stores.clone();
        self.kill_with(&stores).await;
    }

    async fn kill_with(mut self, others: &[u32]) {
        let family = descendants(self.child.id().unwrap());
        self.child.start_kill().unwrap();
        for pid in others {
            signal(*pid, "KILL");
        }
        self.child.wait().await.unwrap();
        let killed = clock::now();
        while processes().iter().any(|(pid, _)| family.contains(pid)) {
            assert!(killed.elapsed() < OUTLIVING, "a store outlives the program that was killed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends the program `INT` or `TERM`, and waits for its end. Gives its status, and its processes that are left.
    pub(crate) async fn stop(mut self, how: &str) -> (ExitStatus, Vec<u32>) {
        let pid = self.child.id().unwrap();
        let mut family = descendants(pid);
        signal(pid, how);
        let status = tokio::time::timeout(STOPPING, self.child.wait()).await.expect("it stops").unwrap();
        // Those who watch over a store see its end a moment later than the program does.
        let ended = clock::now();
        while !family.is_empty() && ended.elapsed() < LINGERING {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let left = processes();
            family.retain(|one| left.iter().any(|(pid, _)| pid == one));
        }
        (status, family)
    }
}

/// Where `dev` keeps its data.
pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("program.log")
}

fn spawn(mut command: Command, settings: &[&str], dir: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log_file(dir)).unwrap();
    command.args(settings.iter().flat_map(|setting| ["--set", setting])).args(["--set", "log=warn"]);
    // An unoptimised build on a busy machine is slow to make its connections.
    command.args(["--set", "database_wait_ms=5000"]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.kill_on_drop(true).spawn().unwrap()
}

async fn still_starting(child: &mut Child, began: std::time::Instant, dir: &Path) {
    let ended = child.try_wait().unwrap();
    if ended.is_some() || began.elapsed() > STARTING {
        let log = fs::read_to_string(log_file(dir)).unwrap_or_default();
        panic!("it does not start ({ended:?}); its log:\n{log}");
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
