//! The report after a sale.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::known;
use crate::clock;
use crate::http::caller::{Operator, Shared};
use crate::http::problem::Problem;
use crate::http::request::{Path, Query};
use crate::ids::RoomName;
use crate::queue::{self, FairnessReport, PublicDraw};
use crate::refusals;

/// What a report covers where nothing is said, and at most.
const USUAL: TimeDelta = TimeDelta::hours(24);
const LONGEST: TimeDelta = TimeDelta::days(92);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ReportQuery {
    /// From the hour of this time; a day before `to` where it is not given.
    from: Option<DateTime<Utc>>,
    /// To the hour of this time; now where it is not given. At most 92 days after `from`.
    to: Option<DateTime<Utc>>,
}

/// How fair a line was, in whole hours.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ReportBody {
    room: RoomName,
    from: String,
    to: String,
    #[serde(flatten)]
    report: FairnessReport,
    /// What is public of the draw, in a room that draws: with it and the list, anyone can check the drawn places.
    draw: Option<PublicDraw>,
}

refusals!(ReportRefusals: AdminUnauthorized, UnknownRoom, ValidationFailed);

/// Whether the order was kept, how many came in and how long they waited, as all processes saw it. They write it down every
/// ten seconds; a process that is killed takes its last seconds along.
#[utoipa::path(
    get, path = "/admin/rooms/{room}/report", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's name"), ReportQuery),
    responses((status = 200, body = ReportBody), ReportRefusals)
)]
pub(in crate::http) async fn fairness(
    State(app): State<Shared>,
    _: Operator,
    Path(name): Path<RoomName>,
    Query(ReportQuery { from, to }): Query<ReportQuery>,
) -> Result<Response, Problem> {
    let room = known(&app, &name)?;
    let to = to.unwrap_or_else(clock::utc);
    let from = from.or_else(|| to.checked_sub_signed(USUAL)).unwrap_or(to);
    if from > to || to - from > LONGEST {
        return Err(Problem::invalid("from", "is before to, by at most 92 days"));
    }
    let report = queue::report(&app.queue, &name, from, to).await?;
    let draw = room.draw().map(|draw| draw.public());
    let (from, to) = (clock::rfc3339(from), clock::rfc3339(to));
    Ok(axum::Json(ReportBody { room: name, from, to, report, draw }).into_response())
}
