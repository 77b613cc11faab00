//! One check of a password: what its askers hold, what the verifiers work on, and the verdict between them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Desk;
use super::line::Asked;
use super::password::Password;
use super::remembered::Tag;
use crate::error::Fault;
use crate::ids::{Points, UserId};

/// What came of a check.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It is they. The account's balance comes along, since it was read with the hash.
    Right {
        /// The account's points.
        balance: Points,
        /// Which change of the account the balance is of.
        version: i64,
    },
    /// No such account, or not its password.
    Wrong,
    /// Not looked at: too many wrong ones came before it.
    Limited {
        /// When to come again, in seconds.
        retry_after_seconds: u64,
    },
    /// It could not be found out.
    Unknown(Fault),
}

/// A check under way. Its clones are of the same check; dropping them does not stop it.
#[derive(Clone)]
pub struct Check {
    turn: u64,
    verdict: watch::Receiver<Option<Verdict>>,
    desk: Arc<Desk>,
}

impl Check {
    pub(super) fn new(desk: &Arc<Desk>, turn: u64, verdict: watch::Receiver<Option<Verdict>>) -> Self {
        Self { turn, verdict, desk: Arc::clone(desk) }
    }

    /// About how long until the verdict: those before it, at what a check costs.
    pub fn expected_wait(&self) -> Duration {
        self.desk.line.wait(self.turn)
    }

    /// The verdict, when it is there. May be dropped and asked again.
    pub async fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict.clone();
        let known = verdict.wait_for(Option::is_some).await.ok().and_then(|verdict| verdict.clone());
        known.unwrap_or_else(|| Verdict::Unknown(given_up()))
    }

    /// The verdict, if it is there in time.
    pub async fn verdict_within(&self, wait: Duration) -> Option<Verdict> {
        tokio::time::timeout(wait, self.verdict()).await.ok()
    }
}

/// One check, on its way through the line. When it is dropped, its place in the line is free again, and those who
/// wait for it have a verdict.
pub(super) struct Job {
    pub(super) user: UserId,
    pub(super) password: Password,
    pub(super) tag: Tag,
    pub(super) address: IpAddr,
    decided: Option<Verdict>,
    verdict: watch::Sender<Option<Verdict>>,
    desk: Arc<Desk>,
}

impl Job {
    /// Someone's check. What is decided is sent to `verdict`.
    pub(super) fn new(desk: &Arc<Desk>, asked: &Asked<'_>, verdict: watch::Sender<Option<Verdict>>) -> Self {
        let (user, password) = (asked.user.clone(), asked.password.clone());
        Self { user, password, tag: asked.tag, address: asked.address, decided: None, verdict, desk: Arc::clone(desk) }
    }

    pub(super) fn decide(mut self, verdict: Verdict) {
        let result = match verdict {
            Verdict::Right { .. } => "right",
            Verdict::Wrong => "wrong",
            Verdict::Limited { .. } => "limited",
            Verdict::Unknown(_) => "unknown",
        };
        metrics::counter!("anteroom_login_verifications_total", "result" => result).increment(1);
        self.decided = Some(verdict);
    }
}

impl Drop for Job {
    /// The place first: who hears the verdict and asks again at once must not meet their own last check in line.
    fn drop(&mut self) {
        self.desk.line.leave(self);
        let verdict = self.decided.take().unwrap_or_else(|| Verdict::Unknown(given_up()));
        self.verdict.send_replace(Some(verdict));
    }
}

fn given_up() -> Fault {
    Fault::Overload("passwords to check, as this process is stopping")
}
