//! The keys of tokens: published, and changed while visitors come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anteroom::cli::secrets;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{bearer, verify};
use crate::support::TestService;
use crate::support::contract::until;

/// Visitors who ask without a pause while the key is changed.
const VISITORS: u32 = 6;

async fn published(service: &TestService) -> Value {
    service.get("/.well-known/jwks.json", "").await.is(200).body["keys"].clone()
}

fn kids(keys: &Value) -> Vec<String> {
    keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The `kid` in a token's header.
fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// The public half of a published key, as `openssl pkey -pubout` writes it (RFC 8410).
fn public_pem(key: &Value) -> String {
    let mut der = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    der.extend(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap());
    pem::encode(&Pem::new("PUBLIC KEY", der))
}

fn private_key(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    secrets::load(folder).unwrap().token_key_file
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_key_is_the_one_that_signs_and_has_no_secret() {
    let service = TestService::start(&[]).await;
    let keys = published(&service).await;
    assert_eq!(kids(&keys), [kid_of(&service.token(1).await)]);
    let mut members: Vec<_> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    let answer = service.get("/.well-known/jwks.json", "").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    let again = service.request(reqwest::Method::GET, "/.well-known/jwks.json", "");
    service.send(again.header("if-none-match", answer.header("etag"))).await.is(304);
}

/// Two processes that read one file of keys, and visitors who use both.
struct Stage {
    file: PathBuf,
    services: [TestService; 2],
    tokens: Vec<Mutex<String>>,
    asked: AtomicU64,
    done: AtomicBool,
}

impl Stage {
    async fn begin(folder: &Path, first_key: &Path) -> Arc<Self> {
        let file = folder.join("keys.pem");
        fs::copy(first_key, &file).unwrap();
        let one = TestService::start(&[("token_key_file", file.to_str().unwrap())]).await;
        let other = one.another().await;
        let mut tokens = Vec::new();
        for number in 1..=VISITORS {
            tokens.push(Mutex::new(one.visitor(number).await));
        }
        let (asked, done) = (AtomicU64::default(), AtomicBool::default());
        Arc::new(Self { file, services: [one, other], tokens, asked, done })
    }

    /// Gives both processes another file, and waits until both have taken it and every visitor has asked since.
    async fn change(&self, keys: String, expected: &[String]) {
        let beside = self.file.with_extension("new");
        fs::write(&beside, keys).unwrap();
        fs::rename(&beside, &self.file).unwrap();
        for service in &self.services {
            until(async || (kids(&published(service).await) == expected).then_some(())).await;
        }
        let asked = self.asked.load(Ordering::SeqCst);
        until(async || (self.asked.load(Ordering::SeqCst) > asked + 100).then_some(())).await;
    }

    /// One visitor, who asks both processes in turn, and logs in anew now and then. Nothing is ever refused.
    async fn visit(self: Arc<Self>, number: u32) {
        for turn in 0_usize.. {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let service = &self.services[turn % 2];
            let token = self.tokens[number as usize - 1].lock().await.clone();
            service.get("/queue/position", &token).await.is(200);
            let inside = verify(service, "?room=main", &[("authorization", &bearer(&token))]).await;
            assert_eq!(inside.is(200).header("x-queue-room"), "main");
            if turn % 3 == 2 {
                let fresh = service.token(number).await;
                *self.tokens[number as usize - 1].lock().await = fresh;
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until every visitor's token is of this key.
    async fn until_all_have(&self, kid: &str) {
        for token in &self.tokens {
            until(async || (kid_of(token.lock().await.as_str()) == kid).then_some(())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_changed_under_load_and_no_valid_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (private_key(&folder.path().join("old")), private_key(&folder.path().join("new")));
    let stage = Stage::begin(folder.path(), &old).await;
    let mut visitors = JoinSet::new();
    for number in 1..=VISITORS {
        visitors.spawn(Arc::clone(&stage).visit(number));
    }
    let keys = published(&stage.services[0]).await;
    let (old_kid, old_public) = (kids(&keys).remove(0), public_pem(&keys[0]));
    let of_old = stage.services[0].token(1).await;

    let (old_text, new_text) = (fs::read_to_string(&old).unwrap(), fs::read_to_string(&new).unwrap());
    let published_new = anteroom::token::Tokens::<()>::new(new_text.as_bytes(), 1).unwrap().published();
    let new_key = serde_json::to_value(published_new).unwrap()["keys"][0].clone();
    let (new_kid, new_public) = (new_key["kid"].as_str().unwrap().to_owned(), public_pem(&new_key));
    stage.change(format!("{old_text}{new_public}"), &[old_kid.clone(), new_kid.clone()]).await;
    stage.change(format!("{new_text}{old_public}"), &[new_kid.clone(), old_kid]).await;
    stage.services[1].get("/queue/position", &of_old).await.is(200);
    stage.until_all_have(&new_kid).await;
    stage.change(new_text, &[new_kid]).await;
    stage.services[0].get("/queue/position", &of_old).await.refused(401, "invalid-token");

    stage.done.store(true, Ordering::SeqCst);
    while let Some(visitor) = visitors.join_next().await {
        visitor.expect("no visitor was refused");
    }
}
