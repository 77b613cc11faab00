//! The report itself: the rows of some hours, put together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use super::super::Queue;
use super::Counters;
use super::waits::{Waits, as_f64};
use crate::error::Fault;
use crate::ids::{Epoch, RoomName};

/// How fair a line was.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FairnessReport {
    /// Whether everything that was seen was in order, and something was: nobody was overtaken, nobody admitted over the capacity.
    pub fair: bool,
    /// How the order was kept.
    pub order: OrderReport,
    /// Where people went.
    pub people: PeopleReport,
    /// How long they waited.
    pub waits: WaitsReport,
    /// The epochs of the line: more than one where Redis forgot it.
    pub epochs: Vec<Epoch>,
}

/// How the order was kept, as an observer saw it who looks at the line once a second, in each process.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderReport {
    /// How often someone looked.
    pub looks: i64,
    /// Admissions that were judged; one is judged by each process that sees it.
    pub judged: i64,
    /// Admissions before someone who was there and had an earlier number: 0 in a fair line.
    pub overtaken: i64,
    /// The most of them between two looks.
    pub overtaken_most: i64,
}

/// Where people went.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeopleReport {
    /// Places taken, those taken back after a loss of Redis included.
    pub joined: i64,
    /// Visits begun, by newcomers at an empty line too.
    pub admitted: i64,
    /// Times that someone was absent at their turn, and was passed over.
    pub passed_over: i64,
    /// Places and visits that ended, for whatever reason.
    pub ended: i64,
    /// Steps that admitted over the capacity: 0 always.
    pub over_admitted: i64,
}

/// How long those waited who came in, as their processes saw it from answer to answer.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitsReport {
    /// Waits that were measured.
    pub measured: i64,
    /// Half waited no longer, to a tenth.
    pub p50_seconds: Option<f64>,
    /// Nine in ten.
    pub p90_seconds: Option<f64>,
    /// Ninety-nine in a hundred.
    pub p99_seconds: Option<f64>,
    /// Of those who were told a waiting time: how many.
    pub told: i64,
    /// The share of these who came in within the p90 that they were told first.
    pub within_told_p90: Option<f64>,
}

#[derive(FromRow)]
struct Hour {
    epoch: i64,
    earlier: bool,
    looks: i64,
    judged: i64,
    overtaken: i64,
    overtaken_most: i64,
    joined: i64,
    admitted: i64,
    passed_over: i64,
    ended: i64,
    over_admitted: i64,
    waits: Vec<i64>,
    told: i64,
    kept: i64,
}

/// The hours of the period, and of each epoch the last one before it, where its counters began from.
const HOURS: &str = "\
with hours as (
    select *, hour < date_trunc('hour', $2::timestamptz) as earlier from fairness where room = $1 and hour <= $3
), last as (
    select distinct on (epoch) epoch, hour from hours where earlier order by epoch, hour desc
)
select h.* from hours as h left join last as l on l.epoch = h.epoch and l.hour = h.hour
where not h.earlier or l.epoch is not null
order by h.epoch, h.hour";

/// What was seen of a room from the hour of `from` to that of `to`, as far as it is written down.
pub async fn report(
    queue: &Queue,
    room: &RoomName,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<FairnessReport, Fault> {
    let hours = sqlx::query_as(HOURS).bind(room.as_str()).bind(from).bind(to).fetch_all(queue.db.pool()).await?;
    Ok(put_together(&hours))
}

fn put_together(hours: &[Hour]) -> FairnessReport {
    let (mut order, mut waits) = (OrderReport::default(), Waits::default());
    let (mut told, mut kept) = (0, 0);
    // Of each epoch the counters before the period, and at its end.
    let mut epochs = BTreeMap::<i64, (Counters, Counters)>::new();
    for hour in hours {
        let counters = epochs.entry(hour.epoch).or_default();
        counters.1 = hour.counters();
        if hour.earlier {
            counters.0 = hour.counters();
            continue;
        }
        order.looks += hour.looks;
        order.judged += hour.judged;
        order.overtaken += hour.overtaken;
        order.overtaken_most = order.overtaken_most.max(hour.overtaken_most);
        waits.add(&Waits::of(hour.waits.clone()));
        told += hour.told;
        kept += hour.kept;
    }
    let grew = |of: fn(&Counters) -> i64| epochs.values().map(|(before, after)| of(after) - of(before)).sum();
    let people = PeopleReport {
        joined: grew(|c| c.joined),
        admitted: grew(|c| c.admitted),
        passed_over: grew(|c| c.passed_over),
        ended: grew(|c| c.ended),
        over_admitted: grew(|c| c.over_admitted),
    };
    let mut lived: Vec<_> = hours.iter().filter(|hour| !hour.earlier).map(|hour| Epoch(hour.epoch)).collect();
    lived.dedup();
    FairnessReport {
        fair: order.overtaken == 0 && people.over_admitted == 0 && order.looks > 0,
        waits: WaitsReport {
            measured: waits.total(),
            p50_seconds: waits.within(0.5),
            p90_seconds: waits.within(0.9),
            p99_seconds: waits.within(0.99),
            told,
            within_told_p90: (told > 0).then(|| (as_f64(kept) / as_f64(told) * 1_000.0).round() / 1_000.0),
        },
        order,
        people,
        epochs: lived,
    }
}

impl Hour {
    fn counters(&self) -> Counters {
        Counters {
            joined: self.joined,
            admitted: self.admitted,
            passed_over: self.passed_over,
            ended: self.ended,
            over_admitted: self.over_admitted,
        }
    }
}
