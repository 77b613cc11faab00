//! The waiting page: where one joins, waits and is told that it is one's turn. Useful without scripts.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::super::body::Form;
use super::super::caller::{Shared, device};
use super::super::origin::meant;
use super::super::problem::{Code, Problem};
use super::super::request::{ClientAddr, Path, Query};
use super::language::Language;
use super::now::Now;
use super::reply::{Frame, embedded, page, page_for, squeezed};
use super::session::{keep, keep_language};
use super::visitor::{Polled, Visitor};
use super::words::{Door, Words, fill};
use crate::accounts::Password;
use crate::booking;
use crate::ids::{RoomName, UserId};
use crate::login::{self, Credentials};
use crate::queue::{self, PollError, Who};

static CSS: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("../../../web/wait.css")));
static SCRIPT: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("../../../web/wait.js")));

/// Without scripts the page asks again after this long at least, s.
const REFRESH_AT_LEAST: u64 = 5;

/// What may follow the question mark.
#[derive(Deserialize, Default)]
pub(super) struct Asked {
    pub(super) lang: Option<String>,
    pub(super) r#return: Option<String>,
}

/// Who wants in, by a form.
#[derive(Deserialize)]
pub(super) struct SignIn {
    username: String,
    password: String,
}

#[derive(Template)]
#[template(path = "wait.html")]
struct WaitPage<'a> {
    frame: &'a Frame,
    css: &'static str,
    script: &'static str,
    words: &'static Words,
    languages: [(&'static str, &'static str); 3],
    room: &'a RoomName,
    now: Now,
    now_json: String,
    words_json: String,
    /// What the forms and links carry on: `?return=…`, or nothing.
    query: String,
    /// The same before another parameter.
    query_and: String,
    /// Where the visitor goes when it is their turn.
    enter: Option<&'a str>,
    /// Who is signed in takes a new place with one tap.
    signed_in: bool,
    mistake: Option<&'static str>,
    /// Without scripts, in how many seconds it asks again; never while someone types.
    refresh: Option<u64>,
    /// The commitment of the draw, in a room that draws.
    drawn: Option<String>,
    /// How long the place of this browser is kept while it does not ask.
    kept: String,
}

impl WaitPage<'_> {
    /// Marks what is shown in these states alone.
    fn only(&self, views: &str) -> String {
        let hidden = if views.split(' ').any(|view| view == self.now.view.name()) { "" } else { " hidden" };
        format!("data-in=\"{views}\"{hidden}")
    }

    /// A text with the time that a place is kept filled in.
    fn kept(&self, text: &str) -> String {
        fill(text, &[("{kept}", &self.kept)])
    }

    /// A time for who has no scripts: only they know where their browser is.
    fn utc(time: Option<&String>) -> String {
        time.map(|time| format!("{} UTC", time.get(..16).unwrap_or(time).replace('T', " "))).unwrap_or_default()
    }
}

/// The page.
pub(super) async fn show(
    State(app): State<Shared>,
    Path(room): Path<RoomName>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visitor = Visitor::at(app, &room, &asked, headers)?;
    let polled = visitor.poll().await;
    let mut response = render(&visitor, &polled, None).await?;
    if asked.lang.is_some() {
        keep_language(&mut response, visitor.words.language.tag());
    }
    Ok(match polled {
        Err(PollError::Fault(fault)) => page_for(fault.into(), response),
        _ => response,
    })
}

/// Where the visitor stands, for the page's script.
pub(super) async fn now(
    State(app): State<Shared>,
    Path(room): Path<RoomName>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visitor = Visitor::at(app, &room, &asked, headers)?;
    let polled = visitor.poll().await;
    let now = visitor.now(&polled).await;
    let mut response = axum::Json(now).into_response();
    visitor.renew(&mut response, &polled);
    match polled {
        Err(PollError::Fault(fault)) => Err(fault.into()),
        _ => Ok(response),
    }
}

/// Takes a place, by a form.
pub(super) async fn join(
    State(app): State<Shared>,
    (Path(room), Query(asked)): (Path<RoomName>, Query<Asked>),
    ClientAddr(address): ClientAddr,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Result<Response, Problem> {
    meant(&app.config, &Method::POST, &headers)?;
    let visitor = Visitor::at(app, &room, &asked, headers)?;
    let (user, password) = (UserId::parse(form.username.trim()), Password::parse(&form.password));
    // What cannot be a name or a password is told like one that is wrong.
    let entered = match (user, password) {
        (Ok(user), Ok(password)) => {
            let device = device(&visitor.headers);
            let credentials = Credentials { user, password, address, device };
            login::log_in(&visitor.app.login, &visitor.room, credentials).await.map_err(Problem::from)
        }
        _ => Err(Problem::new(Code::BadCredentials)),
    };
    settled(visitor, entered.map(|place| place.token)).await
}

/// Takes a place again for who is still signed in.
pub(super) async fn join_again(
    State(app): State<Shared>,
    Path(room): Path<RoomName>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    meant(&app.config, &Method::POST, &headers)?;
    let visitor = Visitor::at(app, &room, &asked, headers)?;
    let joined = match visitor.session().map(|session| &session.who) {
        Some(Who::Account(user)) => {
            let device = device(&visitor.headers);
            let joined = queue::join(&visitor.app.queue, &visitor.room, user, device).await;
            joined.map(|place| place.token).map_err(Problem::from)
        }
        _ => Ok(None),
    };
    settled(visitor, joined).await
}

/// Gives up place, visit and holds.
pub(super) async fn leave(
    State(app): State<Shared>,
    Path(room): Path<RoomName>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    meant(&app.config, &Method::POST, &headers)?;
    let visitor = Visitor::at(app, &room, &asked, headers)?;
    let left = match visitor.session() {
        Some(session) => booking::leave(&visitor.app.booking, session).await.map(drop).map_err(Problem::from),
        None => Ok(()),
    };
    settled(visitor, left.map(|()| None)).await
}

/// After a form: back to the page, so that a refresh sends nothing again; or the page at once with what went wrong.
async fn settled(mut visitor: Visitor, outcome: Result<Option<String>, Problem>) -> Result<Response, Problem> {
    let problem = match outcome {
        Ok(token) => {
            let page = format!("/wait/{}{}", visitor.room.name, query(&visitor, '?'));
            let page =
                HeaderValue::from_str(&page).map_err(|e| Problem::new(Code::InternalError).cause(e.to_string()))?;
            let mut response = (StatusCode::SEE_OTHER, [(LOCATION, page)]).into_response();
            if let Some(token) = token {
                keep(&mut response, &visitor.app.config, &visitor.headers, &token);
            }
            return Ok(response);
        }
        Err(problem) => problem,
    };
    let mistake = mistake(problem.code(), &visitor.words.door);
    visitor.full = problem.code() == Code::QueueFull;
    let page = render(&visitor, &visitor.poll().await, Some(mistake)).await?;
    Ok(page_for(problem, page))
}

fn mistake(code: Code, words: &Door) -> &'static str {
    match code {
        Code::BadCredentials => words.bad_credentials,
        Code::RateLimited => words.limited,
        Code::RoomClosed => words.closed,
        Code::QueueFull => words.full,
        _ => words.failed,
    }
}

/// For how long a place is kept, in whole minutes where it is that long: never more than is true.
fn kept_for(seconds: u64, words: &Words) -> String {
    let (text, count) = match seconds {
        0..60 => (words.wait.kept_seconds, seconds),
        _ => (words.wait.kept_minutes, seconds / 60),
    };
    fill(text, &[("{n}", &count.to_string())])
}

/// The way back as a parameter, for the page's own links and forms.
fn query(visitor: &Visitor, mark: char) -> String {
    let back = visitor.back.as_deref().map(|back| form_urlencoded::byte_serialize(back.as_bytes()).collect::<String>());
    back.map(|back| format!("{mark}return={back}")).unwrap_or_default()
}

async fn render(visitor: &Visitor, polled: &Polled, mistake: Option<&'static str>) -> Result<Response, Problem> {
    let now = visitor.now(polled).await;
    let frame = Frame::new();
    let (words, refused) = (visitor.words, matches!(polled, Err(PollError::Refused)));
    let template = WaitPage {
        frame: &frame,
        css: &CSS,
        script: &SCRIPT,
        words,
        languages: Language::ALL.map(|language| (language.tag(), language.name())),
        room: &visitor.room.name,
        refresh: now.view.in_line().then(|| now.poll_after_ms.div_ceil(1_000).max(REFRESH_AT_LEAST)),
        now_json: embedded(&now),
        words_json: embedded(&words.wait.live),
        now,
        query: query(visitor, '?'),
        query_and: query(visitor, '&'),
        enter: visitor.enter(),
        drawn: visitor.room.draw().map(|draw| draw.public().commitment),
        kept: kept_for(visitor.room.view().kept_seconds(device(&visitor.headers)), words),
        signed_in: visitor.session().is_some_and(|session| matches!(session.who, Who::Account(_))),
        mistake: mistake.or(refused.then_some(words.door.bad_credentials)),
    };
    let mut response = page(&template, &frame, &visitor.headers)?;
    visitor.renew(&mut response, polled);
    Ok(response)
}
