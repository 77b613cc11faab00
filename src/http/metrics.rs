//! The metrics: their names, kinds and meanings in one table, and the text that Prometheus reads.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio::runtime::Handle;

use super::gate;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution in the buckets of seconds.
    Seconds,
    /// A distribution in the buckets of seconds up to an hour.
    Waits,
    /// A distribution in the buckets of small whole numbers.
    Sizes,
}

use Kind::{Counter, Gauge, Seconds, Sizes, Waits};

/// Every metric of ours with its kind, its unit and its meaning. Those of the process (`process_*`) describe themselves.
pub const METRICS: &[(&str, Kind, Unit, &str)] = &[
    ("anteroom_build_info", Gauge, Unit::Count, "Always 1; the label says which version runs."),
    ("anteroom_room_state", Gauge, Unit::Count, "1 for the state that the room is in, 0 for the others."),
    ("anteroom_queue_waiting", Gauge, Unit::Count, "Visitors in line."),
    ("anteroom_queue_aside", Gauge, Unit::Count, "Waiters who were absent at their turn and keep their number."),
    ("anteroom_visits_active", Gauge, Unit::Count, "Visits under way."),
    ("anteroom_visits_capacity", Gauge, Unit::Count, "Visits that the room allows at once."),
    ("anteroom_joins_total", Counter, Unit::Count, "Places asked for, by what came of it."),
    ("anteroom_admissions_total", Counter, Unit::Count, "Visitors admitted."),
    ("anteroom_leaves_total", Counter, Unit::Count, "Places and visits that ended, by reason."),
    ("anteroom_wait_seconds", Waits, Unit::Seconds, "From the first answer that said to wait to the one that let in."),
    (
        "anteroom_eta_error_seconds",
        Waits,
        Unit::Seconds,
        "How far the first waiting time that was told was from what came.",
    ),
    (
        "anteroom_admission_limit",
        Gauge,
        Unit::Count,
        "1 for the limit that holds back those in line, 0 for the others.",
    ),
    ("anteroom_admission_target_per_second", Gauge, Unit::CountPerSecond, "The rate of admission that is aimed at."),
    (
        "anteroom_admission_last_success_timestamp_seconds",
        Gauge,
        Unit::Seconds,
        "When the last admission step ended well, as Unix time.",
    ),
    (
        "anteroom_order_inversions_total",
        Counter,
        Unit::Count,
        "Visitors let in before one who was there all the time and had the smaller number. Must stay 0.",
    ),
    (
        "anteroom_order_overtaken_most",
        Gauge,
        Unit::Count,
        "The most who were let in, between two looks, before one who was there. Must stay 0.",
    ),
    ("anteroom_queue_epoch", Gauge, Unit::Count, "How often the line had to be set up."),
    ("anteroom_listeners", Gauge, Unit::Count, "Streams of events that are open."),
    ("anteroom_events_total", Counter, Unit::Count, "Events sent to those who listen."),
    ("anteroom_listeners_ended_total", Counter, Unit::Count, "Streams of events that ended, by reason."),
    ("anteroom_login_verifications_total", Counter, Unit::Count, "Passwords checked, by what came of it."),
    ("anteroom_login_pending", Gauge, Unit::Count, "Logins that wait for their password to be checked."),
    ("anteroom_seat_holds_total", Counter, Unit::Count, "Holds asked for, by what came of it."),
    ("anteroom_seats", Gauge, Unit::Count, "Seats of a schedule, by state."),
    ("anteroom_hold_expirations_total", Counter, Unit::Count, "Seats whose hold ended unpaid."),
    ("anteroom_payments_total", Counter, Unit::Count, "Payments asked for, by what came of it."),
    ("anteroom_points_charged_total", Counter, Unit::Count, "Points charged to accounts."),
    ("anteroom_idempotent_replays_total", Counter, Unit::Count, "Answers given again for a repeated Idempotency-Key."),
    ("anteroom_ledger_batch_size", Sizes, Unit::Count, "Payments and charges in one transaction."),
    ("anteroom_ledger_batch_seconds", Seconds, Unit::Seconds, "Time of one transaction of payments and charges."),
    ("anteroom_outbox_pending", Gauge, Unit::Count, "Payments that Redis has not been told of yet, 10,000 at most."),
    (
        "anteroom_outbox_oldest_seconds",
        Gauge,
        Unit::Seconds,
        "Age of the oldest payment that Redis has not been told of yet.",
    ),
    ("anteroom_invariant_violations_total", Counter, Unit::Count, "Invariants found broken, by name. Must stay 0."),
    (
        "anteroom_shed_total",
        Counter,
        Unit::Count,
        "Requests refused at once because too many of their class were under way.",
    ),
    (
        "http_request_duration_seconds",
        Seconds,
        Unit::Seconds,
        "Time from a request's head to its answer's, by route and status.",
    ),
    ("http_requests_in_flight", Gauge, Unit::Count, "Requests under way, by class."),
    ("redis_script_duration_seconds", Seconds, Unit::Seconds, "Time of one script's round trip to Redis."),
    ("db_pool_connections", Gauge, Unit::Count, "Connections to Postgres, by state."),
    ("db_pool_connections_max", Gauge, Unit::Count, "Connections to Postgres at most."),
    ("db_pool_wait_seconds", Seconds, Unit::Seconds, "How long a connection of the pool was waited for."),
    ("db_up", Gauge, Unit::Count, "1 when Postgres answered the last time it was asked, else 0."),
    (
        "db_transactions_total",
        Counter,
        Unit::Count,
        "Transactions in our database, whoever ran them, as Postgres counts.",
    ),
    ("db_server_connections", Gauge, Unit::Count, "Connections to our database, whoever has them."),
    ("db_server_connections_max", Gauge, Unit::Count, "Connections that Postgres allows at most."),
    ("redis_up", Gauge, Unit::Count, "1 when Redis answered the last time it was asked, else 0."),
    (
        "redis_memory_used_bytes",
        Gauge,
        Unit::Bytes,
        "Memory that Redis uses for its data, all masters of a cluster together.",
    ),
    ("redis_memory_max_bytes", Gauge, Unit::Bytes, "Memory that Redis may use; 0 where it is not limited."),
    ("redis_clients", Gauge, Unit::Count, "Connections to Redis, whoever has them."),
    ("redis_cpu_seconds", Gauge, Unit::Seconds, "CPU time that Redis has used since it started."),
    ("redis_commands_total", Counter, Unit::Count, "Commands that Redis has run since it started."),
    ("redis_evicted_keys_total", Counter, Unit::Count, "Keys that Redis threw away for want of memory. Must stay 0."),
    ("redis_append_only", Gauge, Unit::Count, "1 when Redis keeps an append-only file, else 0."),
    ("redis_eviction_allowed", Gauge, Unit::Count, "1 when Redis may throw keys away for want of memory, else 0."),
    ("tokio_workers", Gauge, Unit::Count, "Threads that run tasks."),
    ("tokio_alive_tasks", Gauge, Unit::Count, "Tasks that have not ended."),
    ("tokio_global_queue_depth", Gauge, Unit::Count, "Tasks that no thread has taken up yet."),
];

/// Fine where an answer from memory lies, with an edge at 0.5 s, the goal of every answer.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A wait is told in whole seconds.
const WAITS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How often histograms are put in order. Without it they grow until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process. The first call installs it; it must come before the first handle to a metric.
#[derive(Debug)]
pub struct Recorder {
    handle: PrometheusHandle,
    process: Collector,
}

/// The recorder, installed at the first call.
pub fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = with_buckets().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("Another recorder of metrics was installed before; /metrics will be empty");
        }
        let process = Collector::default();
        process.describe();
        describe();
        gauge!("anteroom_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Recorder { handle, process }
    })
}

fn with_buckets() -> PrometheusBuilder {
    let distributions = METRICS.iter().filter(|(_, kind, ..)| matches!(kind, Seconds | Sizes | Waits));
    distributions.fold(PrometheusBuilder::new(), |builder, (name, kind, ..)| {
        let buckets = match kind {
            Sizes => SIZES,
            Waits => WAITS,
            _ => SECONDS,
        };
        // The one refusal is that of an empty list of buckets, and then the builder is as good without.
        let named = Matcher::Full((*name).to_owned());
        builder.set_buckets_for_metric(named, buckets).unwrap_or_default()
    })
}

fn describe() {
    for (name, kind, unit, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *unit, *help),
            Gauge => describe_gauge!(*name, *unit, *help),
            Seconds | Sizes | Waits => describe_histogram!(*name, *unit, *help),
        }
    }
}

impl Recorder {
    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.process.collect();
        runtime();
        gate::measure();
        self.handle.render()
    }

    /// Keeps histograms small. Runs until it is dropped.
    pub async fn upkeep(&self) {
        let mut beat = tokio::time::interval(UPKEEP);
        loop {
            beat.tick().await;
            self.handle.run_upkeep();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and the counts are far below 2^53")]
fn runtime() {
    if let Ok(runtime) = Handle::try_current().map(|handle| handle.metrics()) {
        gauge!("tokio_workers").set(runtime.num_workers() as f64);
        gauge!("tokio_alive_tasks").set(runtime.num_alive_tasks() as f64);
        gauge!("tokio_global_queue_depth").set(runtime.global_queue_depth() as f64);
    }
}
