//! Mending what broke, one at a time, with everyone else waiting for the outcome instead of trying in turn.
//!
//! A store that is frozen or gone is found out by a time-out. If all who need it tried one after another, each would wait
//! for the time-outs of all before. So who waited for a try shares its failure, and for a moment after it nobody tries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::clock;
use crate::error::Fault;

/// For how long a failure is believed before the next try: short beside a visitor's patience, long beside a refused
/// connection.
const BACK_OFF: Duration = Duration::from_millis(250);

/// One thing that may have to be mended.
#[derive(Debug, Default)]
pub(crate) struct Mending(Arc<Mutex<Option<Failed>>>);

#[derive(Debug)]
struct Failed {
    at: Instant,
    fault: Fault,
}

/// The right to try; others wait until it is dropped.
pub(crate) struct Turn(OwnedMutexGuard<Option<Failed>>);

impl Mending {
    /// Waits for one's turn. Whoever waited while another failed, or comes right after, is told that failure instead. With
    /// a turn, look first whether there is still something to mend.
    pub(crate) async fn turn(&self) -> Result<Turn, Fault> {
        let arrived = clock::now();
        let last = Arc::clone(&self.0).lock_owned().await;
        match &*last {
            Some(failed) if failed.at >= arrived || failed.at.elapsed() < BACK_OFF => Err(failed.fault.clone()),
            _ => Ok(Turn(last)),
        }
    }
}

impl Turn {
    /// Ends the turn, and tells the others how.
    pub(crate) fn end<T>(mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        *self.0 = outcome.as_ref().err().map(|fault| Failed { at: clock::now(), fault: fault.clone() });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_waited_share_one_failure_and_the_next_success_ends_it() {
        let mending = Mending::default();
        let first = mending.turn().await.unwrap();
        let waiting = async { futures_util::future::join_all((0..100).map(|_| mending.turn())).await };
        let failing = async {
            tokio::task::yield_now().await;
            first.end(Err::<(), _>(Fault::Lost))
        };
        let (told, failed) = tokio::join!(waiting, failing);
        assert!(failed.is_err() && told.iter().all(|turn| matches!(turn, Err(Fault::Lost))));
        let next = loop {
            match mending.turn().await {
                Ok(turn) => break turn,
                Err(_) => tokio::time::sleep(BACK_OFF / 5).await,
            }
        };
        next.end(Ok(())).unwrap();
        assert!(mending.turn().await.is_ok());
    }
}
