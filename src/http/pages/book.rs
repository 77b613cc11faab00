//! The booking page: a small shop on the rooms that the interface uses too. Every step is a form; scripts make it quick.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::super::body::Form;
use super::super::problem::{Code, Problem};
use super::super::request::{Path, Query};
use super::guest::{Guest, Inside, Outside, see};
use super::language::Language;
use super::reply::{Frame, embedded, page, squeezed};
use super::session::keep_language;
use super::words::{Book, Words, fill, grouped};
use crate::booking::{self, Reserved};
use crate::clock;
use crate::ids::{Points, ReservationId, ScheduleId};
use crate::ledger::{self, Refusal};
use crate::seats::{self, Cancel, ReservationState, Schedule};

pub(super) static CSS: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("../../../web/book.css")));
static SCRIPT: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("../../../web/paying.js")));

/// Points of one charge at most, as for the interface.
const CHARGE_AT_MOST: i64 = 10_000_000;

/// What all pages of the shop have.
pub(super) struct Shop<'a> {
    pub(super) frame: Frame,
    pub(super) css: &'static str,
    pub(super) words: &'static Words,
    pub(super) languages: [(&'static str, &'static str); 3],
    /// What the same page in another language is asked for with, too.
    pub(super) carried: String,
    pub(super) room: &'a str,
    pub(super) user: &'a str,
    pub(super) words_json: String,
    pub(super) server_time: String,
}

impl<'a> Shop<'a> {
    pub(super) fn of(guest: &'a Guest) -> Self {
        Self {
            frame: Frame::new(),
            css: &CSS,
            words: guest.words,
            languages: Language::ALL.map(|language| (language.tag(), language.name())),
            carried: String::new(),
            room: guest.room().as_str(),
            user: guest.user.as_str(),
            words_json: embedded(&guest.words.book),
            server_time: clock::rfc3339(clock::utc()),
        }
    }

    pub(super) fn send(&self, template: &impl Template, guest: &Guest) -> Result<Response, Outside> {
        let mut response = page(template, &self.frame, &guest.headers)?;
        if guest.chosen {
            keep_language(&mut response, guest.words.language.tag());
        }
        Ok(response)
    }
}

/// A number of points, in words.
pub(super) fn points(text: &str, amount: Points) -> String {
    fill(text, &[("{n}", &grouped(amount.0.unsigned_abs()))])
}

/// A time for who has no scripts.
pub(super) fn utc(time: &str) -> String {
    format!("{} UTC", time.get(..16).unwrap_or(time).replace('T', " "))
}

struct Date {
    schedule: Arc<Schedule>,
    starts_at: String,
    left: String,
    price: String,
}

struct Own {
    id: String,
    title: String,
    seats: String,
    state: &'static str,
}

#[derive(Template)]
#[template(path = "book.html")]
struct BookPage<'a> {
    shop: &'a Shop<'a>,
    words: &'static Words,
    frame: &'a Frame,
    dates: Vec<Date>,
    own: Vec<Own>,
    balance: String,
}

/// The dates, and what one has.
pub(super) async fn dates(Inside(guest): Inside) -> Result<Response, Outside> {
    let (shop, words) = (Shop::of(&guest), &guest.words.book);
    let mut dates = Vec::new();
    for (schedule, snapshot) in &seats::overview(&guest.app.seats, guest.room()).await?.performances {
        let left = u64::try_from(snapshot.counts[0]).unwrap_or(0);
        dates.push(Date {
            starts_at: clock::rfc3339(schedule.starts_at),
            left: fill(words.seats_left, &[("{n}", &grouped(left))]),
            price: points(words.points_from, schedule.plan.price_from()),
            schedule: Arc::clone(schedule),
        });
    }
    let reserved = booking::list(&guest.app.booking, guest.standing()).await?;
    let own = reserved.iter().filter_map(|reserved| own(&guest, reserved)).collect();
    let balance = balance(&guest).await?;
    shop.send(
        &BookPage {
            words: shop.words,
            frame: &shop.frame,
            shop: &shop,
            dates,
            own,
            balance: points(words.points, balance),
        },
        &guest,
    )
}

fn own(guest: &Guest, reserved: &Reserved) -> Option<Own> {
    let standing = Stand::of(reserved);
    let state = match standing.state {
        ReservationState::Confirmed => guest.words.book.receipt,
        ReservationState::Held | ReservationState::Paying => guest.words.book.mine,
        ReservationState::Expired | ReservationState::Cancelled => return None,
    };
    let schedule = guest.app.seats.schedule(standing.schedule)?;
    Some(Own { id: standing.id.to_string(), title: schedule.title.clone(), seats: standing.seats, state })
}

async fn balance(guest: &Guest) -> Result<Points, Problem> {
    Ok(ledger::balance(&guest.app.ledger, &guest.user).await?.unwrap_or_default())
}

/// A reservation as a page shows it, held or paid.
struct Stand {
    id: ReservationId,
    schedule: ScheduleId,
    seats: String,
    labels: Vec<String>,
    amount: Points,
    state: ReservationState,
    expires_at: Option<String>,
    paid: Option<(String, String)>,
}

impl Stand {
    fn of(reserved: &Reserved) -> Self {
        let (id, schedule, seats, amount, state) = match reserved {
            Reserved::Held(held) => (&held.id, held.schedule, &held.seats, held.amount, held.state),
            Reserved::Paid(paid) => {
                (&paid.reservation, paid.schedule, &paid.seats, paid.amount, ReservationState::Confirmed)
            }
        };
        let labels: Vec<_> = seats.iter().map(ToString::to_string).collect();
        let (expires_at, paid) = match reserved {
            Reserved::Held(held) => (held.expires_ms.map(|ms| clock::rfc3339(clock::from_unix_ms(ms))), None),
            Reserved::Paid(paid) => (None, Some((paid.id.to_string(), clock::rfc3339(paid.paid_at)))),
        };
        Self { id: id.clone(), schedule, seats: labels.join(", "), labels, amount, state, expires_at, paid }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, ReservationState::Held | ReservationState::Paying)
    }
}

#[derive(Template)]
#[template(path = "reservation.html")]
struct ReservationPage<'a> {
    shop: &'a Shop<'a>,
    words: &'static Words,
    frame: &'a Frame,
    script: &'static str,
    stand: Stand,
    schedule: Option<Arc<Schedule>>,
    starts_at: String,
    total: String,
    pay: String,
    balance: String,
    /// What is missing, if anything is.
    shortfall: i64,
    said: Option<&'static str>,
    charge: Charging,
}

/// What the form for a charge is filled in with.
struct Charging {
    /// Names the charge: sent twice, it counts once.
    key: String,
    amount: i64,
    /// Whether it is one that was sent before: with another amount it would be another charge.
    again: bool,
}

/// Said where nobody knows whether a charge counted.
const NOT_KNOWN: &str = "charge-not-known";

/// What the step before had to say.
#[derive(Deserialize)]
pub(super) struct LastStep {
    said: Option<String>,
    key: Option<String>,
    amount: Option<i64>,
}

impl LastStep {
    fn words(&self, words: &Book) -> Option<&'static str> {
        Some(match self.said.as_deref()? {
            "charged" => words.said_charged,
            "cancelled" => words.said_cancelled,
            "insufficient-points" => words.said_insufficient,
            "seat-sold" => words.said_sold,
            "payment-in-flight" => words.confirming,
            NOT_KNOWN => words.said_not_known,
            _ => words.said_other,
        })
    }

    /// A charge of which nobody knows whether it counted is offered again as the same one.
    fn charging(self) -> Option<Charging> {
        let (key, amount) = (self.key?, self.amount?);
        let same = self.said.is_some_and(|said| said == NOT_KNOWN) && is_charge(&key, amount);
        same.then_some(Charging { key, amount, again: true })
    }
}

/// One reservation: its clock and how to pay, or its receipt. One's own can be seen without a visit.
pub(super) async fn reservation(
    guest: Guest,
    Path(id): Path<ReservationId>,
    Query(last): Query<LastStep>,
) -> Result<Response, Outside> {
    let found = booking::find(&guest.app.booking, &guest.user, &id).await?;
    let stand = Stand::of(&found.ok_or_else(|| Problem::new(Code::UnknownReservation))?);
    let (mut shop, words, balance) = (Shop::of(&guest), &guest.words.book, balance(&guest).await?);
    let schedule = guest.app.seats.schedule(stand.schedule);
    let shortfall = (stand.amount.0 - balance.0).max(0);
    let (said, before) = (last.words(words), last.charging());
    if let Some(Charging { key, amount, .. }) = &before {
        shop.carried = format!("&said={}", not_known(key, *amount));
    }
    let template = ReservationPage {
        words: shop.words,
        frame: &shop.frame,
        shop: &shop,
        script: &SCRIPT,
        starts_at: schedule.as_ref().map(|schedule| clock::rfc3339(schedule.starts_at)).unwrap_or_default(),
        schedule,
        total: points(words.points, stand.amount),
        pay: points(words.pay, stand.amount),
        balance: points(words.points, balance),
        shortfall,
        said,
        charge: before.unwrap_or(Charging { key: shop.frame.nonce.clone(), amount: shortfall, again: false }),
        stand,
    };
    shop.send(&template, &guest)
}

/// Pays. Whoever asks twice pays once: a reservation has one payment at most.
pub(super) async fn pay(guest: Guest, Path(id): Path<ReservationId>) -> Result<Response, Outside> {
    let found = booking::find(&guest.app.booking, &guest.user, &id).await?;
    let stand = Stand::of(&found.ok_or_else(|| Problem::new(Code::UnknownReservation))?);
    let began = booking::payment_begun(&guest.app.booking, &guest.user, &id).await?;
    let guest = if began { guest } else { guest.inside_for(stand.schedule).await?.0 };
    let paid = booking::pay(&guest.app.booking, &guest.user, &id, (stand.amount, None)).await;
    let said = paid.err().map(|refused| format!("?said={}", Problem::from(refused).code().name())).unwrap_or_default();
    Ok(see(&format!("/book/reservations/{id}{said}")))
}

/// Gives held seats up.
pub(super) async fn cancel(guest: Guest, Path(id): Path<ReservationId>) -> Result<Response, Outside> {
    let found = booking::find(&guest.app.booking, &guest.user, &id).await?;
    let stand = Stand::of(&found.ok_or_else(|| Problem::new(Code::UnknownReservation))?);
    let Inside(guest) = guest.inside_for(stand.schedule).await?;
    let said = match booking::cancel(&guest.app.booking, &guest.user, &id).await? {
        Cancel::Cancelled => "cancelled",
        Cancel::Paying => "payment-in-flight",
        Cancel::Unknown | Cancel::Confirmed => "other",
    };
    Ok(see(&format!("/book/reservations/{id}?said={said}")))
}

/// More points, by a form.
#[derive(Deserialize)]
pub(super) struct Charge {
    amount: i64,
    key: String,
    reservation: ReservationId,
}

/// Whether this may be a key: what Postgres cannot write down would make the charges of others wait.
fn is_key(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether these may be a form's.
fn is_charge(key: &str, amount: i64) -> bool {
    (1..=CHARGE_AT_MOST).contains(&amount) && is_key(key)
}

/// Adds points, once for a form.
pub(super) async fn charge(Inside(guest): Inside, Form(form): Form<Charge>) -> Result<Response, Outside> {
    let Charge { amount, key, reservation } = form;
    let said = if is_charge(&key, amount) { add_points(&guest, &key, amount).await } else { "other".into() };
    Ok(see(&format!("/book/reservations/{reservation}?said={said}")))
}

/// Gives what there is to say of it. Where nothing is decided, this charge or an earlier one of the same form may have
/// counted: the form comes again with its key.
async fn add_points(guest: &Guest, form_key: &str, amount: i64) -> String {
    let mut body_hash = [0; 32];
    body_hash[..8].copy_from_slice(&amount.to_be_bytes());
    let key = ledger::Key { route: "book".into(), key: form_key.to_owned(), body_hash };
    match ledger::charge(&guest.app.ledger, &guest.user, Points(amount), Some(key)).await {
        Ok(_) => "charged".to_owned(),
        Err(Refusal::Unknown | Refusal::Fault(_)) => not_known(form_key, amount),
        Err(_) => "other".to_owned(),
    }
}

/// What there is to say of a charge that nobody knows of, as the page of its reservation reads it.
fn not_known(key: &str, amount: i64) -> String {
    let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
    format!("{NOT_KNOWN}&key={key}&amount={amount}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_postgres_can_write_down() {
        assert!(is_key("0193f1c2-aaaa") && is_key(&"k".repeat(64)));
        for text in ["", "\0", "a\0b", "a b", "키", &"k".repeat(65)] {
            assert!(!is_key(text), "{text:?}");
        }
    }
}
