//! Every refusal of a room, as a problem. No other file gives a refusal its status.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::pieces;
use super::problem::{Code, Problem};
use crate::accounts::SignUpError;
use crate::booking::{PayError, ReserveError};
use crate::ledger::Refusal;
use crate::login::LoginError;
use crate::queue::{AdmitError, Answer, ChangeError, JoinError, ListenError, PollError};
use crate::seats::{Cancel, HoldRefusal, ProgrammeError};
use crate::token::TokenRefusal;

/// When to try again to listen, where an account has too many streams: one may have ended by then.
const STREAMS_RETRY_SECONDS: u64 = 15;

/// What to do where nobody knows whether points moved.
const OUTCOME_UNKNOWN: &str = "Whether the points moved is not known yet. Repeat the request with the same \
                               Idempotency-Key, so that it counts once; without one, look at the balance first.";

/// JSON that is ready.
pub(super) fn json(body: Bytes) -> Response {
    ([(axum::http::header::CONTENT_TYPE, "application/json")], pieces::body(body)).into_response()
}

/// The caller is not inside: where they stand instead.
pub(super) fn not_admitted(answer: &Answer) -> Problem {
    Problem::new(Code::NotAdmitted)
        .retry_after(answer.place.poll_after_ms.div_ceil(1_000).max(1))
        .with_json("place", answer.body.clone())
}

/// The same for a proxy that asks: the waiting page is where they stand, if they have a place at all.
pub(super) fn admission_required(place: Option<&Answer>) -> Problem {
    let problem = Problem::new(Code::AdmissionRequired);
    match place {
        Some(answer) => problem
            .retry_after(answer.place.poll_after_ms.div_ceil(1_000).max(1))
            .with_json("place", answer.body.clone()),
        None => problem,
    }
}

/// The caller has used as many keys as one may in a day.
pub(super) fn too_many_keys(retry_after_seconds: u64) -> Problem {
    let problem = Problem::new(Code::RateLimited).retry_after(retry_after_seconds.max(1));
    problem.detail("So many Idempotency-Keys in a day are more than a visitor needs.")
}

impl From<TokenRefusal> for Problem {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Invalid => Self::new(Code::InvalidToken),
            TokenRefusal::Expired => Self::new(Code::TokenExpired),
        }
    }
}

impl From<PollError> for Problem {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Refused => Self::new(Code::InvalidToken).detail("The password of this login was wrong."),
            PollError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ListenError> for Problem {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Full => Self::busy(Code::Overloaded).detail("Too many streams of events are open."),
            ListenError::TooMany => Self::new(Code::RateLimited)
                .retry_after(STREAMS_RETRY_SECONDS)
                .detail("This account has as many streams of events as it may. Close one, or poll."),
            ListenError::Poll(error) => error.into(),
        }
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Closed => Self::new(Code::RoomClosed),
            JoinError::Full => Self::busy(Code::QueueFull),
            JoinError::Fault(fault) => fault.into(),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::BadCredentials => Self::new(Code::BadCredentials),
            LoginError::Limited { retry_after_seconds } => {
                Self::new(Code::RateLimited).retry_after(retry_after_seconds.max(1))
            }
            LoginError::Busy => Self::busy(Code::QueueFull),
            LoginError::Join(error) => error.into(),
        }
    }
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::Taken => Self::new(Code::UsernameTaken),
            SignUpError::Closed => Self::new(Code::SignupClosed),
            SignUpError::Limited { retry_after_seconds } => {
                Self::new(Code::RateLimited).retry_after(retry_after_seconds.max(1))
            }
            SignUpError::Fault(fault) => fault.into(),
        }
    }
}

impl From<HoldRefusal> for Problem {
    fn from(refusal: HoldRefusal) -> Self {
        match refusal {
            HoldRefusal::UnknownSeat(seat) => {
                Self::new(Code::UnknownSeat).detail(format!("The schedule has no seat {seat}."))
            }
            HoldRefusal::Taken { seats, alternatives } | HoldRefusal::Sold { seats, alternatives, .. } => {
                Self::new(Code::SeatTaken).with("seats", seats).with("alternatives", alternatives)
            }
            HoldRefusal::Limit { has, limit } => Self::new(Code::SeatLimit).with("has", has).with("limit", limit),
            HoldRefusal::Fault(fault) => fault.into(),
        }
    }
}

impl From<ReserveError> for Problem {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::UnknownSchedule => Self::new(Code::UnknownSchedule),
            ReserveError::SaleEnded => Self::new(Code::SaleEnded),
            ReserveError::Hold(refusal) => refusal.into(),
        }
    }
}

/// What a cancellation that did nothing says; nothing where the seats are free.
pub(super) fn cancelled(cancel: Cancel) -> Result<(), Problem> {
    match cancel {
        Cancel::Cancelled => Ok(()),
        Cancel::Unknown => Err(Problem::new(Code::UnknownReservation)),
        Cancel::Paying => Err(Problem::busy(Code::PaymentInFlight)),
        Cancel::Confirmed => Err(Problem::new(Code::AlreadyConfirmed)),
    }
}

impl From<PayError> for Problem {
    fn from(error: PayError) -> Self {
        match error {
            PayError::Unknown => Self::new(Code::UnknownReservation),
            PayError::Expired => Self::new(Code::HoldExpired),
            PayError::OtherAmount(amount) => Self::new(Code::AmountMismatch)
                .detail(format!("The reservation costs {amount}."))
                .with("amount", amount),
            PayError::Insufficient { balance, shortfall } => {
                Self::new(Code::InsufficientPoints).with("balance", balance).with("shortfall", shortfall)
            }
            PayError::SeatSold(seats) => Self::new(Code::SeatSold).with("seats", seats),
            PayError::InFlight => Self::busy(Code::PaymentInFlight),
            PayError::KeyReused => Self::new(Code::IdempotencyKeyReused),
            PayError::TooManyKeys { retry_after_seconds } => too_many_keys(retry_after_seconds),
            PayError::Before(before) => Self::from(*before),
            PayError::Fault(fault) => fault.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BalanceLimit { balance, .. } => Self::new(Code::BalanceLimit).with("balance", balance),
            Refusal::Insufficient { balance, shortfall, .. } => {
                Self::new(Code::InsufficientPoints).with("balance", balance).with("shortfall", shortfall)
            }
            Refusal::SeatSold { seats, .. } => Self::new(Code::SeatSold).with("seats", seats),
            Refusal::KeyReused | Refusal::Answered(_) => Self::new(Code::IdempotencyKeyReused),
            Refusal::UnknownAccount => Self::new(Code::InvalidToken).detail("There is no such account."),
            Refusal::NotTheirs => Self::new(Code::UnknownReservation),
            Refusal::AttemptVoid => Self::busy(Code::PaymentInFlight),
            Refusal::Unknown => {
                Self::busy(Code::Unavailable).detail(OUTCOME_UNKNOWN).cause("Postgres was lost during a commit")
            }
            Refusal::Fault(fault) => fault.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown => Self::new(Code::UnknownRoom),
            ChangeError::Stale(now) => Self::new(Code::StaleVersion).with("current", now),
            ChangeError::Invalid { field, message } => Self::invalid(field, message),
            ChangeError::Fault(fault) => fault.into(),
        }
    }
}

impl From<AdmitError> for Problem {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Shut => Self::new(Code::RoomClosed).detail("The room is closed, not open yet, or recovering."),
            AdmitError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ProgrammeError> for Problem {
    fn from(error: ProgrammeError) -> Self {
        match error {
            ProgrammeError::Invalid { field, message } => Self::invalid(field, &message),
            ProgrammeError::Fault(fault) => fault.into(),
        }
    }
}
