//! The examples of `deploy/proxy`, in a real nginx and a real haproxy (`scripts/setup proxies` installs both).

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, Uri};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::docs::document;
use crate::support::TestService;
use crate::support::contract::until;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nobody listens there: an address that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The program, or a failure that says how to get it.
fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/bin";
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run scripts/setup proxies"))
}

/// The site behind the gate: it tells what it was sent.
async fn site() -> SocketAddr {
    let tell = async |method: Method, uri: Uri, headers: HeaderMap, body: String| {
        let told = headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default())));
        let headers: serde_json::Map<String, Value> = told.collect();
        axum::Json(json!({ "method": method.as_str(), "uri": uri.to_string(), "headers": headers, "body": body }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(tell);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A proxy that runs one of the examples, killed when dropped.
struct Proxy {
    url: String,
    _child: Child,
    _folder: TempDir,
}

/// Which proxy, and what it does when Anteroom cannot be asked.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    fails: &'static str,
}

impl Proxy {
    async fn start(kind: Kind, anteroom: SocketAddr, site: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let addresses = |text: String| {
            let text = text.replace("127.0.0.1:8080", &anteroom.to_string());
            text.replace("127.0.0.1:3000", &site.to_string())
        };
        let mut command = if kind.name == "nginx" {
            nginx(folder.path(), address, &addresses(document("deploy/proxy/nginx.conf")), kind.fails)
        } else {
            haproxy(folder.path(), address, &addresses(document("deploy/proxy/haproxy.cfg")), kind.fails)
        };
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.kill_on_drop(true).spawn().unwrap();
        let proxy = Self { url: format!("http://{address}"), _child: child, _folder: folder };
        let up = until(async || tokio::net::TcpStream::connect(address).await.ok());
        drop(up.await);
        proxy
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        client.request(method, format!("{}{path}", self.url)).timeout(PATIENCE)
    }
}

/// The example is a part of `http`; around it stands the least that nginx needs to run as anyone, anywhere.
fn nginx(folder: &Path, address: SocketAddr, example: &str, fails: &str) -> Command {
    let example = example.replace("listen 80;", &format!("listen {address};"));
    let example = example.replace("set $when_unsure closed;", &format!("set $when_unsure {fails};"));
    let own = |name: &str| folder.join(name).display().to_string();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = paths.map(|name| format!("{name}_temp_path {};\n", own(name))).concat();
    let around = format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{example}}}\n",
        own("pid")
    );
    let file = own("nginx.conf");
    std::fs::write(&file, around).unwrap();
    let mut command = Command::new(program("nginx"));
    command.args(["-p", &folder.display().to_string(), "-e", "stderr", "-c", &file]);
    command
}

fn haproxy(folder: &Path, address: SocketAddr, example: &str, fails: &str) -> Command {
    let script = folder.join("haproxy.lua");
    std::fs::write(&script, document("deploy/proxy/haproxy.lua")).unwrap();
    let example = example.replace("bind :80", &format!("bind {address}"));
    let example = example.replace("/etc/haproxy/haproxy.lua", &script.display().to_string());
    let example = example.replace("str(closed)", &format!("str({fails})"));
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, example).unwrap();
    let mut command = Command::new(program("haproxy"));
    command.args(["-db", "-q", "-f"]).arg(file);
    command
}

/// What a client may send to seem someone.
fn forged(request: RequestBuilder) -> RequestBuilder {
    request.header("x-queue-user", "admin").header("X-Queue-Room", "vip").header("x-queue-until", "2099")
}

async fn told(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn stands_at_the_gate(name: &'static str) {
    let service = TestService::start(&[]).await;
    let inside = service.visitor(1).await;
    service.set_room(&json!({ "capacity": 0 })).await;
    let waiting = service.token(2).await;
    let proxy = Proxy::start(Kind { name, fails: "closed" }, service.service.address, site().await).await;

    for token in ["", "garbage", &waiting] {
        let request = forged(proxy.get("/shop?a=1&b=%2F")).header("cookie", format!("anteroom_token={token}"));
        let sent = request.send().await.unwrap();
        let page = header(&sent, "location").trim_start_matches(&proxy.url).to_owned();
        assert_eq!((sent.status().as_u16(), page.as_str()), (303, "/wait/main?return=%2Fshop%3Fa%3D1%26b%3D%252F"));
        assert_eq!((header(&sent, "cache-control"), header(&sent, "x-queue-user")), ("no-store", ""));
    }
    let through = forged(proxy.get("/shop?a=1")).header("cookie", format!("a=b; anteroom_token={inside}"));
    let through = told(through.send().await.unwrap()).await;
    assert_eq!((&through["uri"], &through["headers"]["x-queue-user"]), (&json!("/shop?a=1"), &json!("user00001")));
    assert_eq!(through["headers"]["x-queue-room"], "main");
    assert!(through["headers"]["x-queue-until"].as_str().unwrap().starts_with("20"), "{through}");
    assert_ne!(through["headers"]["x-queue-until"], "2099");
    let bought = proxy.request(Method::POST, "/shop/buy").bearer_auth(&inside).body("one ticket");
    let bought = told(bought.send().await.unwrap()).await;
    assert_eq!((&bought["method"], &bought["body"]), (&json!("POST"), &json!("one ticket")));

    // What the waiting page asks comes through: the place, and events as they happen.
    let place = proxy.get("/queue/position").bearer_auth(&waiting).send().await.unwrap();
    assert_eq!(told(place).await["position"], 1);
    let mut events = proxy.get("/queue/events").bearer_auth(&waiting).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("event: position") {
        text += std::str::from_utf8(&events.chunk().await.unwrap().expect("an event")).unwrap();
    }
    service.delete("/queue/position", &inside).await.is(204);
    let ended = until(async || {
        let sent = proxy.get("/").bearer_auth(&inside).send().await.unwrap();
        (sent.status() == 303).then_some(())
    });
    ended.await;
}

async fn fails_as_told(name: &'static str) {
    let (nowhere, site) = (free_address(), site().await);
    let closed = Proxy::start(Kind { name, fails: "closed" }, nowhere, site).await;
    let refused = forged(closed.get("/shop")).send().await.unwrap();
    let facts = (refused.status().as_u16(), header(&refused, "retry-after"), header(&refused, "cache-control"));
    assert_eq!(facts, (503, "5", "no-store"));
    assert!(refused.text().await.unwrap().contains("places in line are kept"));

    let open = Proxy::start(Kind { name, fails: "open" }, nowhere, site).await;
    for method in [Method::GET, Method::POST] {
        let through = forged(open.request(method.clone(), "/shop?a=1")).body("x").send().await.unwrap();
        let through = told(through).await;
        assert_eq!((&through["method"], &through["uri"]), (&json!(method.as_str()), &json!("/shop?a=1")));
        assert_eq!(through["body"], "x");
        for name in ["x-queue-user", "x-queue-room", "x-queue-until"] {
            assert!(through["headers"].get(name).is_none(), "who is let through unasked has no name: {through}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_lets_in_who_is_inside_and_sends_the_others_to_wait() {
    stands_at_the_gate("nginx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_lets_in_who_is_inside_and_sends_the_others_to_wait() {
    stands_at_the_gate("haproxy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_fails_closed_or_open_as_it_is_told() {
    fails_as_told("nginx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_fails_closed_or_open_as_it_is_told() {
    fails_as_told("haproxy").await;
}
