//! The queue of operations, and the batches that they become.
//!
//! A lone operation waits for no timer. What arrives while the allowed batches are under way forms the next one, so
//! batches grow with the load and the number of commits does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use sqlx::Row;
use sqlx::types::Json;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::operation::{Answer, Decided, Movement, Operation};
use super::transaction::{self, Failure};
use super::{Core, Ledger, Refusal, Settings};
use crate::clock;
use crate::error::Fault;
use crate::ids::{Points, UserId};
use crate::store::scripts;

const APPLY: &str = "select replayed, answer from apply_ledger_batch($1, $2, $3)";

/// Between two tries to learn how a charge ended.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Operations that ask at once how they ended: as many as leave connections to others.
const ASKING: usize = 4;

/// Outbox rows that one batch removes at most, so that its locks are not held for them.
const TOLD: usize = 512;

/// An operation in the queue.
pub(super) struct Waiting {
    operation: Operation,
    since: Instant,
    reply: oneshot::Sender<Result<Decided, Refusal>>,
}

/// Puts an operation in the queue and waits for what becomes of it. It goes on when this future is dropped.
pub(super) async fn submit(ledger: &Ledger, operation: Operation) -> Result<Decided, Refusal> {
    let (reply, decided) = oneshot::channel();
    let waiting = Waiting { operation, since: clock::now(), reply };
    if ledger.stopping.is_cancelled() || ledger.queue.try_send(waiting).is_err() {
        return Err(Fault::Overload("payments and charges").into());
    }
    decided.await.unwrap_or(Err(Refusal::Unknown))
}

/// Takes operations as they arrive, and starts a batch whenever one is allowed. After `stopping` it takes what is left.
pub(super) async fn take_arrivals(core: Arc<Core>, mut arrivals: mpsc::Receiver<Waiting>, stopping: CancellationToken) {
    loop {
        let first = tokio::select! {
            biased;
            () = stopping.cancelled() => { arrivals.close(); arrivals.recv().await }
            first = arrivals.recv() => first,
        };
        let Some(first) = first else { return };
        let Ok(permit) = Arc::clone(&core.batches).acquire_owned().await else { return };
        let batch = gather(&core.settings, first, &mut arrivals);
        if !batch.is_empty() {
            core.tasks.spawn(run(Arc::clone(&core), batch, permit));
        }
    }
}

/// What has arrived by now, in that order. Who has waited for too long is refused: nothing was sent.
fn gather(settings: &Settings, first: Waiting, arrivals: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let (mut batch, mut next) = (Vec::new(), Some(first));
    while let Some(waiting) = next {
        batch.extend(waiting.unless_late(settings.patience));
        next = if batch.len() < settings.batch { arrivals.try_recv().ok() } else { None };
    }
    batch
}

async fn run(core: Arc<Core>, batch: Vec<Waiting>, permit: OwnedSemaphorePermit) {
    #[expect(clippy::cast_precision_loss, reason = "a batch has at most a few hundred operations")]
    metrics::histogram!("anteroom_ledger_batch_size").record(batch.len() as f64);
    let operations: Vec<&Operation> = batch.iter().map(|waiting| &waiting.operation).collect();
    let started = clock::now();
    let applied = apply(&core, &operations).await;
    metrics::histogram!("anteroom_ledger_batch_seconds").record(started.elapsed().as_secs_f64());
    match applied {
        Ok(decided) => {
            drop(permit);
            answer(&core, batch, decided).await;
        }
        Err(Failure::Refused(fault)) if batch.len() > 1 => {
            tracing::warn!(%fault, operations = batch.len(), "a batch failed as a whole; each is tried alone");
            let unknown = run_alone(&core, batch).await;
            drop(permit);
            settle(&core, unknown).await;
        }
        Err(Failure::Refused(fault) | Failure::Unserved(fault)) => {
            for waiting in batch {
                waiting.end(Err(fault.clone().into()));
            }
        }
        Err(Failure::Unknown(fault)) => {
            tracing::warn!(%fault, operations = batch.len(), "the outcome of a commit is unknown");
            drop(permit);
            settle(&core, batch).await;
        }
    }
}

/// One transaction for all of them.
async fn apply(core: &Core, operations: &[&Operation]) -> Result<Vec<Decided>, Failure> {
    let told: Vec<Uuid> = {
        let mut told = core.told();
        let kept = told.len().saturating_sub(TOLD);
        told.split_off(kept)
    };
    let statement = sqlx::query(APPLY).bind(Json(operations)).bind(core.settings.balance_limit).bind(told);
    let expected = operations.len();
    transaction::run(&core.db, core.settings.patience, statement, move |rows| {
        if rows.len() != expected {
            return Err(sqlx::Error::Decode("apply_ledger_batch answered another number of rows".into()));
        }
        rows.iter()
            .map(|row| Ok(Decided { replayed: row.try_get(0)?, answer: row.try_get::<Json<_>, _>(1)?.0 }))
            .collect()
    })
    .await
}

/// Each operation in a transaction of its own, so that the one that made the batch fail fails alone. Not in halves: one
/// that waits for a lock in vain would cost its time for each of them. Gives those whose outcome is unknown.
async fn run_alone(core: &Arc<Core>, batch: Vec<Waiting>) -> Vec<Waiting> {
    let mut unknown = Vec::new();
    for waiting in batch {
        let Some(waiting) = waiting.unless_late(core.settings.patience) else { continue };
        match apply(core, &[&waiting.operation]).await {
            Ok(decided) => answer(core, vec![waiting], decided).await,
            Err(Failure::Refused(fault) | Failure::Unserved(fault)) => waiting.end(Err(fault.into())),
            Err(Failure::Unknown(_)) => unknown.extend(waiting.unless_payment()),
        }
    }
    unknown
}

/// After an unknown commit. A payment's caller settles it, and is told first; anything else is sent again, for it
/// cannot count twice.
async fn settle(core: &Arc<Core>, batch: Vec<Waiting>) {
    let others: Vec<_> = batch.into_iter().filter_map(Waiting::unless_payment).collect();
    stream::iter(others).for_each_concurrent(ASKING, |waiting| ask_again(core, waiting)).await;
}

async fn ask_again(core: &Arc<Core>, waiting: Waiting) {
    while waiting.since.elapsed() < core.settings.patience * 2 {
        if let Ok(decided) = apply(core, &[&waiting.operation]).await {
            return answer(core, vec![waiting], decided).await;
        }
        sleep(ASK_AGAIN).await;
    }
    waiting.end(Err(Refusal::Unknown));
}

/// Tells Redis the balances after charges, then each caller its answer: who asks for the balance next sees the new one.
/// Who pays has more to tell, and tells this with it.
async fn answer(core: &Core, batch: Vec<Waiting>, decided: Vec<Decided>) {
    let mut newest: HashMap<&UserId, (Points, i64)> = HashMap::new();
    let mut told = Vec::new();
    for (waiting, decided) in batch.iter().zip(&decided) {
        if let Answer::Charged(charged) = &decided.answer
            && charged.moved
        {
            told.push(charged.entry_id);
            newest.insert(&waiting.operation.user_id, (charged.balance, charged.version));
        }
    }
    let projections = newest
        .iter()
        .map(|(user, (balance, version))| scripts::ledger::project_balance(&core.redis, user, *balance, *version));
    // Where Redis does not answer, the rows stay in the outbox, and a job tells it later.
    if join_all(projections).await.iter().all(Result::is_ok) {
        core.note_told(told);
    }
    for (waiting, decided) in batch.into_iter().zip(decided) {
        waiting.end(Ok(decided));
    }
}

impl Waiting {
    /// Refuses an operation that has waited for too long; gives any other back.
    fn unless_late(self, patience: Duration) -> Option<Self> {
        if self.since.elapsed() <= patience {
            return Some(self);
        }
        self.end(Err(Fault::Overload("payments and charges").into()));
        None
    }

    /// Leaves a payment whose outcome is unknown to its caller; gives any other operation back.
    fn unless_payment(self) -> Option<Self> {
        if !matches!(self.operation.movement, Movement::Payment { .. }) {
            return Some(self);
        }
        self.end(Err(Refusal::Unknown));
        None
    }

    /// Who hung up gets no answer; what was done stays done.
    fn end(self, result: Result<Decided, Refusal>) {
        let _ = self.reply.send(result);
    }
}
