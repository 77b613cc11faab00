//! The seats of one performance: a map and a list of the same, and what happens when others are quicker.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::response::Response;

use super::super::body::Form;
use super::super::problem::{Code, Problem};
use super::super::request::Path;
use super::book::{Shop, points};
use super::guest::{Guest, Inside, Outside, see};
use super::reply::{Frame, page_for, squeezed};
use super::words::{Book, Words, fill};
use crate::booking::{self, ReserveError, Reserved};
use crate::ids::{ScheduleId, SeatId};
use crate::seats::{self, HoldRefusal, Schedule, Seat, Snapshot, Wanted};

static SCRIPT: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("../../../web/seats.js")));

/// Seats of one reservation at most.
const SEATS_AT_ONCE: usize = 4;

/// How many nearby seats are offered for those that were lost.
const OFFERED: usize = 3;

/// One seat of the map.
struct Shown<'a> {
    seat: &'a Seat,
    state: &'static str,
    chosen: bool,
}

impl Shown<'_> {
    /// What is read out.
    fn label(&self, words: &Book) -> String {
        let state = match self.state {
            "available" => words.available,
            "held" => words.held,
            "mine" => words.mine,
            _ => words.sold,
        };
        format!("{}, {}, {state}", self.seat.label, points(words.points, self.seat.price))
    }
}

struct Row<'a> {
    section: &'a str,
    name: &'a str,
    seats: Vec<Shown<'a>>,
}

#[derive(Template)]
#[template(path = "seats.html")]
struct SeatsPage<'a> {
    shop: &'a Shop<'a>,
    words: &'static Words,
    frame: &'a Frame,
    script: &'static str,
    schedule: &'a Schedule,
    starts_at: String,
    /// The sale has ended: there is nothing to choose.
    over: bool,
    rows: Vec<Row<'a>>,
    /// What went wrong before, if anything did.
    mistake: Option<String>,
    offered: Vec<String>,
}

/// What was chosen, and what came of it.
#[derive(Default)]
struct Choice {
    chosen: Vec<SeatId>,
    mistake: Option<String>,
    offered: Vec<String>,
}

/// The map.
pub(super) async fn show(Inside(guest): Inside, Path(id): Path<ScheduleId>) -> Result<Response, Outside> {
    let schedule = schedule(&guest, id)?;
    render(&guest, &schedule, Choice::default()).await
}

/// Holds seats, those of the map and of the list together, or so many side by side.
pub(super) async fn hold(
    Inside(guest): Inside,
    Path(id): Path<ScheduleId>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, Outside> {
    let schedule = schedule(&guest, id)?;
    let words = &guest.words.book;
    let Some(wanted) = wanted(&form) else {
        let mistake = Some(words.unknown_seat.to_owned());
        let page = render(&guest, &schedule, Choice { mistake, ..Choice::default() }).await?;
        return Ok(page_for(Problem::new(Code::ValidationFailed), page));
    };
    let refusal = match booking::reserve(&guest.app.booking, guest.standing(), id, &wanted, None).await {
        Ok(Reserved::Held(held)) => return Ok(see(&format!("/book/reservations/{}", held.id))),
        Ok(Reserved::Paid(paid)) => return Ok(see(&format!("/book/reservations/{}", paid.reservation))),
        Err(refusal) => refusal,
    };
    let choice = choice(&refusal, wanted, words);
    let page = render(&guest, &schedule, choice).await?;
    Ok(page_for(refusal.into(), page))
}

/// What stays of a choice after a refusal: a lost race takes only the seats that were lost.
fn choice(refusal: &ReserveError, wanted: Wanted, words: &Book) -> Choice {
    let chosen = if let Wanted::Named(seats) = wanted { seats } else { Vec::new() };
    match refusal {
        ReserveError::Hold(
            HoldRefusal::Taken { seats, alternatives } | HoldRefusal::Sold { seats, alternatives, .. },
        ) => {
            let lost: Vec<_> = seats.iter().map(ToString::to_string).collect();
            Choice {
                chosen: chosen.into_iter().filter(|seat| !seats.contains(seat)).collect(),
                mistake: Some(fill(words.lost, &[("{seats}", &lost.join(", "))])),
                offered: alternatives.iter().take(OFFERED).map(ToString::to_string).collect(),
            }
        }
        ReserveError::Hold(HoldRefusal::Limit { .. }) => {
            Choice { chosen, mistake: Some(words.said_limit.to_owned()), offered: Vec::new() }
        }
        _ => Choice { chosen, mistake: Some(words.said_other.to_owned()), offered: Vec::new() },
    }
}

/// What a form asks for; nothing where it asks for no seats or too many.
fn wanted(form: &[(String, String)]) -> Option<Wanted> {
    let best = form.iter().find(|(name, _)| name == "best").and_then(|(_, count)| count.parse().ok());
    if let Some(best) = best.filter(|count| (1..=SEATS_AT_ONCE).contains(count)) {
        return Some(Wanted::Best(best));
    }
    let mut seats: Vec<SeatId> = Vec::new();
    for (_, label) in form.iter().filter(|(name, _)| name == "seat") {
        let seat = SeatId::parse(label).ok()?;
        if !seats.contains(&seat) {
            seats.push(seat);
        }
    }
    (1..=SEATS_AT_ONCE).contains(&seats.len()).then_some(Wanted::Named(seats))
}

/// A schedule of the guest's own room.
fn schedule(guest: &Guest, id: ScheduleId) -> Result<Arc<Schedule>, Problem> {
    let schedule = guest.app.seats.schedule(id).filter(|schedule| schedule.room == *guest.room());
    schedule.ok_or_else(|| Problem::new(Code::UnknownSchedule))
}

async fn render(guest: &Guest, schedule: &Arc<Schedule>, choice: Choice) -> Result<Response, Outside> {
    let snapshot = seats::availability(&guest.app.seats, schedule).await?;
    let own = booking::list(&guest.app.booking, guest.standing()).await?;
    let own: HashSet<&SeatId> = own.iter().flat_map(|reserved| seats_of(reserved, schedule.id)).collect();
    let shop = Shop::of(guest);
    let template = SeatsPage {
        words: shop.words,
        frame: &shop.frame,
        shop: &shop,
        script: &SCRIPT,
        schedule,
        starts_at: crate::clock::rfc3339(schedule.starts_at),
        over: schedule.is_over(),
        rows: rows(schedule, &snapshot, (&own, &choice.chosen)),
        mistake: choice.mistake,
        offered: choice.offered,
    };
    shop.send(&template, guest)
}

fn seats_of(reserved: &Reserved, schedule: ScheduleId) -> impl Iterator<Item = &SeatId> {
    use seats::ReservationState::{Confirmed, Held, Paying};
    let (of, seats) = match reserved {
        Reserved::Held(held) if matches!(held.state, Held | Paying | Confirmed) => (held.schedule, &held.seats[..]),
        Reserved::Held(held) => (held.schedule, &[][..]),
        Reserved::Paid(paid) => (paid.schedule, &paid.seats[..]),
    };
    seats.iter().filter(move |_| of == schedule)
}

fn rows<'a>(
    schedule: &'a Schedule,
    snapshot: &Snapshot,
    (own, chosen): (&HashSet<&SeatId>, &[SeatId]),
) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for (at, seat) in schedule.plan.seats.iter().enumerate() {
        let state = if own.contains(&seat.label) { "mine" } else { snapshot.state(at) };
        let shown = Shown { seat, state, chosen: state == "available" && chosen.contains(&seat.label) };
        match rows.last_mut() {
            Some(row) if row.name == seat.row && row.section == seat.section => row.seats.push(shown),
            _ => rows.push(Row { section: &seat.section, name: &seat.row, seats: vec![shown] }),
        }
    }
    rows
}
