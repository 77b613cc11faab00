//! Redis servers that are more than one: a master with a replica and three sentinels, and a cluster of six.
//!
//! Each server hangs on a pipe that only this process holds, so that none outlives it, however it ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use deadpool_redis::redis::{self, FromRedisValue};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::processes::signal;

/// Starts the server in the background, and kills it when nobody holds the other end of our input any more.
const LEASH: &str = r#""$@" </dev/null >&2 & echo $!; read -r _; kill -KILL $!"#;

/// How long anything may take that these servers do among themselves.
const PATIENCE: Duration = Duration::from_mins(1);

/// Without an answer for this long a master counts as gone, ms: beyond what a busy machine makes one wait.
const GONE_AFTER_MS: u32 = 3_000;

/// A server of Redis, or a sentinel.
pub(super) struct Node {
    pub(super) port: u16,
    pid: u32,
    _leash: Child,
}

impl Node {
    async fn start(dir: &Path, settings: &str, flags: &[&str]) -> Self {
        let port = free_port();
        let dir = dir.join(port.to_string());
        fs::create_dir(&dir).unwrap();
        let common = "bind 127.0.0.1\nprotected-mode no\ndir .\n";
        fs::write(dir.join("redis.conf"), format!("port {port}\n{common}{settings}")).unwrap();
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh", &program, "redis.conf"]).args(flags).current_dir(&dir).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(dir.join("log")).unwrap());
        let mut leash = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(leash.stdout.take().unwrap()).read_line(&mut pid).await.unwrap();
        let node = Self { port, pid: pid.trim().parse().unwrap(), _leash: leash };
        until("a server answers", async || node.try_ask::<String>(&["PING"]).is_ok()).await;
        node
    }

    /// A server with an append-only file.
    async fn server(dir: &Path, settings: &str) -> Self {
        let ours = "appendonly yes\nappendfsync everysec\nsave \"\"\nmaxmemory-policy noeviction\n";
        Self::start(dir, &format!("{ours}{settings}"), &[]).await
    }

    pub(super) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    fn try_ask<T: FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_connection_with_timeout(PATIENCE)?;
        redis::cmd(command[0]).arg(&command[1..]).query(&mut connection)
    }

    pub(super) fn kill(&self) {
        signal(self.pid, "KILL");
    }

    /// Waits until a replica has all that this master has.
    pub(super) async fn until_replicated(&self) {
        until("a replica follows", async || {
            let told: String = self.ask(&["INFO", "replication"]);
            told.contains("connected_slaves:1") && told.contains("state=online")
        })
        .await;
    }

    fn info_has(&self, section: &str, line: &str) -> bool {
        self.try_ask::<String>(&["INFO", section]).is_ok_and(|told| told.lines().any(|told| told == line))
    }
}

/// A master, a replica, and three sentinels who watch them.
pub(super) struct Watched {
    pub(super) master: Node,
    pub(super) replica: Node,
    sentinels: Vec<Node>,
}

impl Watched {
    pub(super) async fn start(dir: &Path) -> Self {
        let master = Node::server(dir, "").await;
        let replica = Node::server(dir, &format!("replicaof 127.0.0.1 {}\n", master.port)).await;
        let watch = format!(
            "sentinel monitor line 127.0.0.1 {} 2\nsentinel down-after-milliseconds line {GONE_AFTER_MS}\n\
             sentinel failover-timeout line 10000\n",
            master.port
        );
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Node::start(dir, &watch, &["--sentinel"]).await);
        }
        until("the replica follows", async || replica.info_has("replication", "master_link_status:up")).await;
        for sentinel in &sentinels {
            until("the sentinels know each other and the replica", async || {
                let told: Vec<String> = sentinel.ask(&["SENTINEL", "MASTER", "line"]);
                let is = |name: &str, value: &str| told.windows(2).any(|pair| pair == [name, value]);
                is("num-other-sentinels", "2") && is("num-slaves", "1")
            })
            .await;
        }
        Self { master, replica, sentinels }
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}/line", hosts.join(","))
    }
}

/// Three masters with a third of the slots each, and a replica for each.
pub(super) struct Sixfold {
    pub(super) nodes: Vec<Node>,
}

impl Sixfold {
    pub(super) async fn start(dir: &Path) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..6 {
            // The port of the cluster's own bus is 10,000 above by default, which may be none.
            let settings = format!(
                "cluster-enabled yes\ncluster-node-timeout {GONE_AFTER_MS}\ncluster-port {}\n\
                 cluster-require-full-coverage no\n",
                free_port()
            );
            nodes.push(Node::server(dir, &settings).await);
        }
        for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]);
        }
        let (first, others) = nodes.split_first().unwrap();
        for other in others {
            let told: String = other.ask(&["CLUSTER", "NODES"]);
            let bus = told.split(['@', ' ', ',']).nth(2).unwrap().to_owned();
            first.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string(), &bus]);
        }
        for node in &nodes {
            until("all know all", async || {
                let told: String = node.ask(&["CLUSTER", "NODES"]);
                told.lines().filter(|line| line.contains("connected") && !line.contains("handshake")).count() == 6
            })
            .await;
        }
        for (master, replica) in nodes[..3].iter().zip(&nodes[3..]) {
            let id: String = master.ask(&["CLUSTER", "MYID"]);
            replica.ask::<()>(&["CLUSTER", "REPLICATE", &id]);
        }
        for replica in &nodes[3..] {
            until("a replica follows", async || replica.info_has("replication", "master_link_status:up")).await;
        }
        for node in &nodes {
            until("the cluster is whole", async || {
                let told: String = node.ask(&["CLUSTER", "INFO"]);
                told.contains("cluster_state:ok") && told.contains("cluster_slots_ok:16384")
            })
            .await;
        }
        Self { nodes }
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// The master that got the slot of a key at first, and its replica.
    pub(super) fn pair_of(&self, key: &str) -> (&Node, &Node) {
        let slot: usize = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]);
        let third = slot / 5_461;
        (&self.nodes[third], &self.nodes[third + 3])
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn until(what: &str, look: impl AsyncFn() -> bool) {
    let looking = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}
