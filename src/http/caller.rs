//! Who calls: a handler takes what it needs, so one without protection does not compile.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::origin::meant;
use super::problem::{Code, Problem};
use super::reply::not_admitted;
use super::request::{TrustedProxies, authorization, bearer};
use crate::app::App;
use crate::ids::{RoomName, ScheduleId, UserId};
use crate::queue::{self, Admission, Device, Language, Session, Who};
use crate::token::Opened;

const UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");

/// What handlers share.
pub(super) type Shared = Arc<App>;

impl FromRef<Shared> for TrustedProxies {
    fn from_ref(app: &Shared) -> Self {
        Self::from(app.config.trusted_proxies.as_slice())
    }
}

/// Anyone with a token: an account, or an attempt.
pub(super) struct Caller(pub(super) Arc<Opened<Session>>);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or_else(|| Problem::new(Code::InvalidToken))?;
        if authorization(&parts.headers).is_none() {
            meant(&app.config, &parts.method, &parts.headers)?;
        }
        let caller = Self(app.queue.open(token)?);
        caller.must_be_named(parts.uri.query())?;
        if let Some(language) = language(&parts.headers) {
            caller.session().speak(Some(language));
        }
        Ok(caller)
    }
}

/// The language that `Accept-Language` wants among ours.
pub(super) fn language(headers: &HeaderMap) -> Option<Language> {
    Language::wanted(headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?)
}

/// What a visitor comes by: browsers on phones say so in a client hint, and those without one in `User-Agent`, where
/// `Mobi` is what they have in common
/// (<https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/Browser_detection_using_the_user_agent>).
pub(super) fn device(headers: &HeaderMap) -> Device {
    let told = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let phone = match told(UA_MOBILE) {
        Some(hint) => hint.trim() == "?1",
        None => told(USER_AGENT).is_some_and(|agent| agent.contains("Mobi")),
    };
    if phone { Device::Phone } else { Device::Other }
}

impl Caller {
    /// Whoever shows a token that no browser adds by itself.
    pub(super) fn shown(app: &App, token: &str) -> Result<Self, Problem> {
        Ok(Self(app.queue.open(token)?))
    }

    /// A `userId` after the question mark is optional, on every route, and must be the caller.
    fn must_be_named(&self, query: Option<&str>) -> Result<(), Problem> {
        let Some(query) = query.filter(|query| query.contains("userId")) else { return Ok(()) };
        let subject = match &self.session().who {
            Who::Account(user) => user.as_str(),
            Who::Attempt(_) => return Ok(()),
        };
        let mut named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "userId");
        if named.all(|(_, named)| named == subject) { Ok(()) } else { Err(Problem::new(Code::UserMismatch)) }
    }

    pub(super) fn session(&self) -> &Session {
        &self.0.value
    }
}

/// An account, inside or not.
pub(super) struct Account {
    caller: Caller,
    /// The account.
    pub(super) user: UserId,
}

impl FromRequestParts<Shared> for Account {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        match &caller.session().who {
            Who::Account(user) => Ok(Self { user: user.clone(), caller }),
            Who::Attempt(_) => Err(refused(app, caller.session()).await),
        }
    }
}

impl Account {
    /// The room that the token leads to.
    pub(super) fn room(&self) -> &RoomName {
        &self.caller.session().claims.room
    }

    /// Goes on only if the account is inside.
    pub(super) async fn admitted(&self, app: &App) -> Result<(), Problem> {
        match queue::check_visit(&app.queue, self.caller.session()).await? {
            Admission::Admitted { .. } => Ok(()),
            Admission::NotAdmitted(answer) => Err(not_admitted(&answer)),
        }
    }

    /// Goes on only if the schedule belongs to the room that the token leads to: a visit opens its own room alone. A
    /// schedule that is not known is left for the caller to refuse.
    pub(super) async fn leads_to(&self, app: &App, schedule: Option<ScheduleId>) -> Result<(), Problem> {
        let schedule = schedule.and_then(|schedule| app.seats.schedule(schedule));
        match schedule.filter(|schedule| schedule.room != *self.room()) {
            Some(schedule) => {
                let detail = format!("The schedule belongs to the room {}; this token leads elsewhere.", schedule.room);
                Err(refused(app, self.caller.session()).await.detail(detail))
            }
            None => Ok(()),
        }
    }

    /// A `userId` in a request is optional, and must be the caller.
    pub(super) fn must_be(&self, named: Option<&str>) -> Result<(), Problem> {
        match named {
            Some(named) if named != self.user.as_str() => Err(Problem::new(Code::UserMismatch)),
            _ => Ok(()),
        }
    }
}

async fn refused(app: &App, session: &Session) -> Problem {
    match queue::poll(&app.queue, session).await {
        Ok(answer) => not_admitted(&answer),
        Err(error) => error.into(),
    }
}

/// An account with a visit in the room of its token, seen at most a second ago.
pub(super) struct ActiveVisitor(pub(super) Account);

impl FromRequestParts<Shared> for ActiveVisitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let account = Account::from_request_parts(parts, app).await?;
        account.admitted(app).await?;
        Ok(Self(account))
    }
}

/// Whoever has the operators' token.
pub(super) struct Operator;

impl FromRequestParts<Shared> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let given = authorization(&parts.headers).unwrap_or_default();
        let token = app.config.admin_token.expose_secret();
        let right = !token.is_empty() && bool::from(given.as_bytes().ct_eq(token.as_bytes()));
        if right { Ok(Self) } else { Err(Problem::new(Code::AdminUnauthorized)) }
    }
}
