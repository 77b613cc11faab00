//! The house: every room, built once, for the doors to share.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::booking::{self, Booking};
use crate::config::Config;
use crate::error::Fault;
use crate::ids::RoomName;
use crate::latency::Latency;
use crate::ledger::{self, Ledger};
use crate::login::Login;
use crate::queue::{self, Queue};
use crate::seats::{self, Seats};
use crate::store::db::Limits;
use crate::store::{Db, Pulse, Redis};
use crate::token::{Seal, Tokens};

/// Everything that a request or a job may need.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The room of those who name none.
    pub default_room: RoomName,
    /// Redis.
    pub redis: Arc<Redis>,
    /// Postgres.
    pub db: Db,
    /// Whether they serve.
    pub pulse: Pulse,
    /// What bodies are sealed with before they are kept: a hash alone would tell a weak password.
    pub seal: Seal,
    /// People.
    pub accounts: Arc<Accounts>,
    /// Points.
    pub ledger: Arc<Ledger>,
    /// The line.
    pub queue: Arc<Queue>,
    /// Seats.
    pub seats: Arc<Seats>,
    /// Reserving and paying.
    pub booking: Arc<Booking>,
    /// The way in.
    pub login: Arc<Login>,
    /// How long requests behind the gate take.
    pub booking_latency: Arc<Latency>,
    /// Requests with an `Idempotency-Key`, which go on when their client hangs up.
    pub under_way: TaskTracker,
    /// Cancelled when the process is asked to stop.
    pub stopping: CancellationToken,
}

impl App {
    /// Builds every room. Must be called within the runtime; asks no store anything.
    pub fn build(config: Config, token_key: &[u8]) -> Result<Arc<Self>, Fault> {
        let redis = Redis::new(
            config.redis_url.expose_secret(),
            config.redis_lanes,
            Duration::from_millis(config.redis_timeout_ms),
        )?;
        let redis = Arc::new(redis);
        let db = Db::new(config.database_url.expose_secret(), limits(&config))?;
        let tokens = Tokens::new(token_key, config.tokens_remembered)?;
        let default_room = RoomName::parse(&config.default_room).map_err(|e| Fault::Defect(e.to_string()))?;
        let accounts = Accounts::start(db.clone(), &config).map_err(|e| Fault::Defect(e.to_string()))?;
        let accounts = Arc::new(accounts);
        let ledger = Arc::new(Ledger::new(db.clone(), Arc::clone(&redis), ledger::Settings::of(&config)));
        let queue = Arc::new(Queue::new(queue::Parts {
            redis: Arc::clone(&redis),
            db: db.clone(),
            ledger: Arc::clone(&ledger),
            tokens,
            token_seconds: i64::try_from(config.token_seconds).unwrap_or(i64::MAX),
            listeners: queue::Listeners { most: config.listeners, per_account: config.listeners_per_account },
        }));
        let parts = (Arc::clone(&redis), db.clone(), Arc::clone(&ledger));
        let seats = Arc::new(Seats::new(parts, config.seats_per_user, config.payment_seconds));
        let booking = Booking::new(Arc::clone(&redis), Arc::clone(&queue), Arc::clone(&seats), Arc::clone(&ledger));
        let patience = Duration::from_millis(config.login_wait_ms);
        let login = Login::new(Arc::clone(&accounts), Arc::clone(&queue), Arc::clone(&ledger), patience);
        Ok(Arc::new(Self {
            config,
            default_room,
            pulse: Pulse::new(Arc::clone(&redis), db.clone()),
            seal: Seal::new(token_key),
            redis,
            db,
            accounts,
            ledger,
            queue,
            seats,
            booking: Arc::new(booking),
            login: Arc::new(login),
            booking_latency: Arc::default(),
            under_way: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Learns what the stores have, and looks at each room once: from then on the service can answer.
    pub async fn open(&self) -> Result<(), Fault> {
        seats::refresh_plans(&self.seats).await?;
        queue::load_rooms(&self.queue).await?;
        for room in self.queue.rooms() {
            queue::run(&self.queue, &room).await?;
        }
        booking::sweep_holds(&self.booking).await
    }

    /// Reads the keys for tokens again, and takes them from now on where they changed.
    pub async fn renew_token_keys(&self) -> Result<(), Fault> {
        let Some(file) = &self.config.token_key_file else { return Ok(()) };
        let keys = tokio::fs::read(file).await;
        let keys = keys.map_err(|e| Fault::Defect(format!("token_key_file: cannot read {}: {e}", file.display())))?;
        if self.queue.renew_keys(&keys)? {
            tracing::info!(keys = self.queue.published_keys().keys.len(), "the keys for tokens were changed");
        }
        Ok(())
    }

    /// Finishes what was accepted, and ends every connection to Postgres.
    pub async fn close(&self) {
        self.under_way.close();
        if timeout(Duration::from_secs(self.config.drain_seconds), self.under_way.wait()).await.is_err() {
            tracing::warn!(tasks = self.under_way.len(), "The time to drain is over; what has a key is cut");
        }
        for room in self.queue.rooms() {
            if let Err(fault) = queue::flush_kept_visits(&self.queue, &room).await {
                tracing::warn!(%fault, "visits with a hold may end before it");
            }
        }
        if let Err(fault) = queue::note_fairness(&self.queue).await {
            tracing::warn!(%fault, "the last seconds are missing in the report of fairness");
        }
        self.ledger.close().await;
        self.db.close().await;
    }
}

/// How the pool of Postgres behaves.
pub fn limits(config: &Config) -> Limits {
    Limits {
        connections: config.database_connections,
        wait: Duration::from_millis(config.database_wait_ms),
        statement: Duration::from_millis(config.database_statement_ms),
    }
}
