//! Settings: flags over `ANTEROOM_*` environment over a TOML file over defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use config::{File, FileFormat};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Every setting of the service. Names are those of the file; in the environment they are upper case after `ANTEROOM_`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where visitors are served.
    pub listen: SocketAddr,
    /// Where operators and Prometheus are served. Keep it off the public network.
    pub admin_listen: SocketAddr,
    /// What operators present as `Authorization: Bearer …`. At least 16 characters.
    #[serde(serialize_with = "hidden")]
    pub admin_token: SecretString,
    /// Redis, as `redis://[user:password@]host:port[/database]`,
    /// `redis+sentinel://[user:password@]host:port[,host:port…]/master[/database]`, or
    /// `redis+cluster://[user:password@]host:port[,host:port…]`.
    #[serde(serialize_with = "hidden")]
    pub redis_url: SecretString,
    /// Postgres, as `postgres://user:password@host:port/database`.
    #[serde(serialize_with = "hidden")]
    pub database_url: SecretString,
    /// A file with the Ed25519 private key (PKCS#8, PEM) that signs tokens, and any further keys that open them. The
    /// same for every process; read again when it changes.
    pub token_key_file: Option<PathBuf>,
    /// Connections to Redis that all requests share; to each master of a cluster.
    pub redis_lanes: usize,
    /// How long a command may take Redis, in milliseconds.
    pub redis_timeout_ms: u64,
    /// Connections to Postgres at most.
    pub database_connections: u32,
    /// How long a request waits for a connection to Postgres, in milliseconds.
    pub database_wait_ms: u64,
    /// How long one statement may run, in milliseconds; a fifth of it may go to waiting for a lock.
    pub database_statement_ms: u64,
    /// Passwords checked at once. 0: one less than there are cores, at least one.
    pub login_verifiers: usize,
    /// How long a login waits for its check before it is answered as an attempt, in milliseconds.
    pub login_wait_ms: u64,
    /// Attempts waiting for their check in this process, at most.
    pub login_pending: usize,
    /// The same for one address.
    pub login_pending_per_address: usize,
    /// How long a verified password is remembered, in seconds.
    pub login_remembered_seconds: u64,
    /// Wrong passwords for one account from one address in five minutes, until more are refused unseen.
    pub login_failures_per_account: u32,
    /// Wrong passwords from one address in five minutes, until more are refused unseen.
    pub login_failures_per_address: u32,
    /// Whether anyone may make an account.
    pub signup_open: bool,
    /// Accounts made from one address in a minute.
    pub signups_per_minute: u32,
    /// How long a token is valid, in seconds.
    pub token_seconds: u64,
    /// Verified tokens that a process remembers.
    pub tokens_remembered: u64,
    /// The room of `POST /auth/token` when none is named.
    pub default_room: String,
    /// Seats of one schedule that one account may hold and own.
    pub seats_per_user: usize,
    /// How long a payment may take, in seconds; its hold lives that much longer, once.
    pub payment_seconds: u64,
    /// The most points an account may have.
    pub balance_limit: i64,
    /// How often one process of all looks whether an invariant is broken, in seconds. 0: never by itself.
    pub invariants_every_seconds: u64,
    /// Open connections at most, on the public listener.
    pub connections: usize,
    /// Streams of events at most. Each is an open connection too.
    pub listeners: usize,
    /// The same for one account in one room.
    pub listeners_per_account: usize,
    /// Requests under way at most, for each class.
    pub in_flight: InFlight,
    /// Proxies whose `X-Forwarded-For` is believed, as addresses.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// Where browsers reach this service, as `https://queue.example.com`. Empty: on the host that they are on.
    pub public_url: String,
    /// Hosts that the waiting page may lead back to, besides its own.
    pub return_hosts: Vec<String>,
    /// The domain of the cookie that carries a browser's token, where the site behind the gate has another host than the
    /// waiting page: what both end with, as `example.com`. Empty: the waiting page's host alone.
    pub cookie_domain: String,
    /// How long a stop waits for requests under way, in seconds.
    pub drain_seconds: u64,
    /// What is logged, as a filter such as `info,anteroom=debug`.
    pub log: String,
    /// Logs as `text` or `json`.
    pub log_format: LogFormat,
}

/// Requests under way at most, by class, so that no class starves another.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InFlight {
    /// Asking for one's place.
    pub polling: usize,
    /// Taking a place.
    pub joining: usize,
    /// Everything behind the gate.
    pub booking: usize,
    /// Asking for others whether a visitor is inside.
    pub gate: usize,
    /// Making accounts.
    pub signup: usize,
    /// Operators.
    pub admin: usize,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { polling: 4_096, joining: 4_096, booking: 4_096, gate: 4_096, signup: 64, admin: 64 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9080)),
            admin_token: SecretString::default(),
            redis_url: SecretString::default(),
            database_url: SecretString::default(),
            token_key_file: None,
            redis_lanes: 2,
            redis_timeout_ms: 2_000,
            database_connections: 10,
            database_wait_ms: 250,
            database_statement_ms: 5_000,
            login_verifiers: 0,
            login_wait_ms: 150,
            login_pending: 20_000,
            login_pending_per_address: 10_000,
            login_remembered_seconds: 900,
            login_failures_per_account: 10,
            login_failures_per_address: 300,
            signup_open: true,
            signups_per_minute: 60,
            token_seconds: 3_600,
            tokens_remembered: 200_000,
            default_room: "main".into(),
            seats_per_user: 4,
            payment_seconds: 30,
            balance_limit: 1_000_000_000_000,
            invariants_every_seconds: 600,
            connections: 15_000,
            listeners: 10_000,
            listeners_per_account: 8,
            in_flight: InFlight::default(),
            trusted_proxies: Vec::new(),
            public_url: String::new(),
            return_hosts: Vec::new(),
            cookie_domain: String::new(),
            drain_seconds: 10,
            log: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

/// A setting that cannot be, in one plain line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(pub String);

/// The settings that are lists: in the environment and in flags their items are separated by commas.
const LISTS: [&str; 2] = ["trusted_proxies", "return_hosts"];

impl Config {
    /// Reads the file (if any), the environment, and `overrides` as (name, value), later ones winning.
    pub fn load(file: Option<&str>, overrides: &[(String, String)]) -> Result<Self, BadConfig> {
        let environment = environment(std::env::vars());
        Self::settle(file, environment.iter().chain(overrides))
    }

    fn settle<'a>(file: Option<&str>, named: impl Iterator<Item = &'a (String, String)>) -> Result<Self, BadConfig> {
        let mut builder = config::Config::builder();
        if let Some(path) = file {
            builder = builder.add_source(File::new(path, FileFormat::Toml));
        }
        for (name, value) in named {
            let name = name.to_lowercase().replace("__", ".");
            let value = if LISTS.contains(&name.as_str()) {
                let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
                config::Value::from(items.collect::<Vec<_>>())
            } else {
                config::Value::from(value.as_str())
            };
            builder = builder.set_override(name, value).map_err(|e| BadConfig(e.to_string()))?;
        }
        let settled = builder.build().map_err(|e| BadConfig(e.to_string()))?;
        let config: Self = settled.try_deserialize().map_err(|e| BadConfig(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), BadConfig> {
        let rules = [
            (self.redis_lanes >= 1, "redis_lanes must be at least 1"),
            (self.redis_timeout_ms >= 50, "redis_timeout_ms must be at least 50"),
            (self.database_connections >= 2, "database_connections must be at least 2"),
            (self.token_seconds >= 60, "token_seconds must be at least 60"),
            (self.seats_per_user >= 1, "seats_per_user must be at least 1"),
            (self.payment_seconds >= 5, "payment_seconds must be at least 5"),
            (self.balance_limit >= 1, "balance_limit must be at least 1"),
            (
                matches!(self.invariants_every_seconds, 0 | 10..=86_400),
                "invariants_every_seconds must be 0, or 10 to 86400",
            ),
            (self.login_pending >= 1, "login_pending must be at least 1"),
            (self.cookie_domain.is_empty() || is_host(&self.cookie_domain), "cookie_domain must be like example.com"),
            (is_base(&self.public_url), "public_url must be like https://queue.example.com, without a path"),
            (self.return_hosts.iter().all(|host| is_host(host)), "return_hosts must be like shop.example.com"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, refusal)) => Err(BadConfig((*refusal).into())),
            None => Ok(()),
        }
    }

    /// What `serve` needs beyond the defaults: where the stores are and the operators' secret.
    pub fn check_for_serving(&self) -> Result<(), BadConfig> {
        let needed = [
            (!self.redis_url.expose_secret().is_empty(), "redis_url is not set (ANTEROOM_REDIS_URL)"),
            (!self.database_url.expose_secret().is_empty(), "database_url is not set (ANTEROOM_DATABASE_URL)"),
            (
                self.admin_token.expose_secret().len() >= 16,
                "admin_token needs at least 16 characters (ANTEROOM_ADMIN_TOKEN)",
            ),
            (
                self.token_key_file.is_some(),
                "token_key_file is not set (ANTEROOM_TOKEN_KEY_FILE): an Ed25519 key in PKCS#8 PEM",
            ),
        ];
        match needed.iter().find(|(there, _)| !there) {
            Some((_, refusal)) => Err(BadConfig((*refusal).into())),
            None => Ok(()),
        }
    }
}

/// The settings among these variables, by their names. What Kubernetes adds for a service of the same name
/// (`ANTEROOM_SERVICE_HOST`, `ANTEROOM_PORT_8080_TCP_ADDR` and the like) is none of them.
fn environment(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let named = variables.filter_map(|(name, value)| Some((name.strip_prefix("ANTEROOM_")?.to_owned(), value)));
    named.filter(|(name, _)| name != "PORT" && !name.starts_with("PORT_") && !name.starts_with("SERVICE_")).collect()
}

/// Whether this is the address of a host, or empty.
fn is_base(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.is_empty() || host.is_some_and(is_host)
}

/// Whether this is a host, with or without a port.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
}

fn hidden<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() { "" } else { "[hidden]" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        environment(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn variables_are_settings_to_the_letter_and_those_of_kubernetes_are_none() {
        let told = named(&[
            ("ANTEROOM_ADMIN_TOKEN", "00012345678901234567890"),
            ("ANTEROOM_LOGIN_PENDING", "7"),
            ("ANTEROOM_IN_FLIGHT__POLLING", "8000"),
            ("ANTEROOM_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2"),
            ("ANTEROOM_SIGNUP_OPEN", "false"),
            ("ANTEROOM_PORT", "tcp://10.0.0.1:8080"),
            ("ANTEROOM_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("ANTEROOM_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ]);
        let config = Config::settle(None, told.iter()).unwrap();
        assert_eq!(config.admin_token.expose_secret(), "00012345678901234567890", "a secret is no number");
        assert_eq!((config.login_pending, config.in_flight.polling, config.signup_open), (7, 8_000, false));
        assert_eq!(config.trusted_proxies.len(), 2);
        for (wrong, why) in [
            ("ANTEROOM_LOGIN_PENDNG", "7"),
            ("ANTEROOM_LOGIN_PENDING", "many"),
            ("ANTEROOM_INVARIANTS_EVERY_SECONDS", "1"),
        ] {
            assert!(Config::settle(None, named(&[(wrong, why)]).iter()).is_err(), "{wrong}={why}");
        }
    }
}
