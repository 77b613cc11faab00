//! The way in: who it is, and a place in line. A number is taken at arrival; the password is checked beside it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::{self, Accounts, Check, Password, Verdict};
use crate::error::Fault;
use crate::ids::UserId;
use crate::ledger::{self, Ledger};
use crate::queue::{self, Attempt, Device, JoinError, Place, Queue, Room};

/// The way in, on top of the rooms that it leads through.
pub struct Login {
    accounts: Arc<Accounts>,
    queue: Arc<Queue>,
    ledger: Arc<Ledger>,
    /// How long a login waits for its check before it is answered as an attempt.
    patience: Duration,
}

/// Why someone does not get in line.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown account or wrong password: nobody is told which.
    #[error("wrong username or password")]
    BadCredentials,
    /// Too many wrong passwords from there.
    #[error("too many wrong passwords")]
    Limited {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// As many checks as there may be are waiting.
    #[error("too many logins at once")]
    Busy,
    /// The line takes nobody in, or failed.
    #[error(transparent)]
    Join(#[from] JoinError),
}

impl From<Fault> for LoginError {
    fn from(fault: Fault) -> Self {
        Self::Join(fault.into())
    }
}

/// Who wants in.
#[derive(Debug)]
pub struct Credentials {
    /// The account.
    pub user: UserId,
    /// Its password.
    pub password: Password,
    /// From where.
    pub address: IpAddr,
    /// By what.
    pub device: Device,
}

impl Login {
    /// The way in. A login waits for its check for `patience` at most.
    pub fn new(accounts: Arc<Accounts>, queue: Arc<Queue>, ledger: Arc<Ledger>, patience: Duration) -> Self {
        Self { accounts, queue, ledger, patience }
    }
}

/// Takes a place for an account. Where the password takes longer to check than a login waits, the place is that of an
/// attempt, which the next poll asks for.
pub async fn log_in(login: &Arc<Login>, room: &Arc<Room>, credentials: Credentials) -> Result<Place, LoginError> {
    let entered = enter(login, room, credentials).await;
    let result = match &entered {
        Ok(place) => place.status.name(),
        Err(LoginError::BadCredentials) => "bad-credentials",
        Err(LoginError::Limited { .. }) => "limited",
        Err(LoginError::Busy) => "busy",
        Err(LoginError::Join(JoinError::Closed)) => "closed",
        Err(LoginError::Join(JoinError::Full)) => "full",
        Err(LoginError::Join(JoinError::Fault(_))) => "fault",
    };
    metrics::counter!("anteroom_joins_total", "room" => room.name.to_string(), "result" => result).increment(1);
    entered
}

async fn enter(login: &Arc<Login>, room: &Arc<Room>, credentials: Credentials) -> Result<Place, LoginError> {
    let Credentials { user, password, address, device } = credentials;
    let check = match accounts::begin_login(&login.accounts, &user, &password, address) {
        accounts::Login::Remembered => return Ok(queue::join(&login.queue, room, &user, device).await?),
        accounts::Login::Limited { retry_after_seconds } => return Err(LoginError::Limited { retry_after_seconds }),
        accounts::Login::Full => return Err(LoginError::Busy),
        accounts::Login::Check(check) => check,
    };
    let attempt = match queue::take_attempt(&login.queue, room, &user).await {
        Ok(attempt) => attempt,
        Err(JoinError::Fault(fault)) => return Err(fault.into()),
        Err(shut) => return return_to_own(login, room, (&user, device, &check), shut).await,
    };
    let soon = check.expected_wait() <= login.patience;
    // In a task of its own: the attempt is resolved also when the client hangs up.
    let resolving =
        tokio::spawn(resolve(Arc::clone(login), Arc::clone(room), attempt.clone(), (user.clone(), device, check)));
    if soon && let Ok(Ok(resolved)) = tokio::time::timeout(login.patience, resolving).await {
        resolved?;
        return Ok(join_verified(login, room, &user, device).await?);
    }
    Ok(attempt.place(&login.queue, room, &user)?)
}

/// A line that takes nobody in keeps its own: they are told their place where the password is decided in time. Who has
/// none is refused by the line itself; a wrong password is answered as anywhere, also where there is no such account.
async fn return_to_own(
    login: &Login,
    room: &Arc<Room>,
    (user, device, check): (&UserId, Device, &Check),
    shut: JoinError,
) -> Result<Place, LoginError> {
    let soon = check.expected_wait() <= login.patience;
    let verdict = if soon { check.verdict_within(login.patience).await } else { None };
    match verdict {
        Some(Verdict::Right { .. }) => Ok(queue::join(&login.queue, room, user, device).await?),
        Some(Verdict::Wrong) => Err(LoginError::BadCredentials),
        Some(Verdict::Limited { retry_after_seconds }) => Err(LoginError::Limited { retry_after_seconds }),
        Some(Verdict::Unknown(_)) | None => Err(shut.into()),
    }
}

/// The place of an account that was just checked. Its attempt put it in line; whoever is the first of the line need not
/// wait for the next look at it.
async fn join_verified(login: &Login, room: &Arc<Room>, user: &UserId, device: Device) -> Result<Place, JoinError> {
    let place = queue::join(&login.queue, room, user, device).await?;
    if place.position != Some(1) {
        return Ok(place);
    }
    queue::run(&login.queue, room).await?;
    queue::join(&login.queue, room, user, device).await
}

/// The verdict; the attempt keeps its number while it is waited for.
async fn verdict(queue: &Queue, room: &Arc<Room>, attempt: &Attempt, check: &Check) -> Verdict {
    loop {
        if let Some(verdict) = check.verdict_within(queue::RENEW_EVERY).await {
            return verdict;
        }
        if let Err(fault) = queue::renew_attempt(queue, room, &attempt.id).await {
            tracing::debug!(%fault, "an attempt is renewed at the next occasion");
        }
    }
}

/// Waits for the verdict, and makes the attempt's number the account's, or takes it away.
async fn resolve(
    login: Arc<Login>,
    room: Arc<Room>,
    attempt: Attempt,
    checked: (UserId, Device, Check),
) -> Result<(), LoginError> {
    let (user, device, check) = checked;
    match verdict(&login.queue, &room, &attempt, &check).await {
        Verdict::Right { balance, version } => {
            queue::verify_attempt(&login.queue, &room, &attempt, (&user, device)).await?;
            // The balance came with the password: looking at it needs no second question to Postgres.
            let projected = ledger::project(&login.ledger, &user, balance, version).await;
            if let Err(fault) = projected {
                tracing::debug!(%fault, "a balance is left to be read when asked for");
            }
            Ok(())
        }
        Verdict::Wrong => {
            queue::refuse_attempt(&login.queue, &room, &attempt.id).await?;
            Err(LoginError::BadCredentials)
        }
        Verdict::Limited { retry_after_seconds } => {
            queue::drop_attempt(&login.queue, &room, &attempt.id).await?;
            Err(LoginError::Limited { retry_after_seconds })
        }
        Verdict::Unknown(fault) => {
            // Nobody said that the password is wrong: the place is over, and logging in again is what helps.
            queue::drop_attempt(&login.queue, &room, &attempt.id).await?;
            Err(fault.into())
        }
    }
}
