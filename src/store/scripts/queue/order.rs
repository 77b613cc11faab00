//! The script that looks at the order.

use super::super::{Reply, script};
use super::Line;
use crate::error::Fault;
use crate::store::script::Call;

script!(ORDER, "queue/order");

/// The head of the line at one moment.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) now_ms: i64,
    /// By which those who were let in are known; where it changed meanwhile, they are not.
    pub(crate) claim_ms: i64,
    /// The numbers of those who were let in since the look before.
    pub(crate) let_in: Vec<i64>,
    /// Who is in line and present: userId, number, and until when they count as present, ms.
    pub(crate) here: Vec<(String, i64, i64)>,
}

pub(crate) async fn order(line: Line<'_>, since_ms: i64, most: u32) -> Result<Look, Fault> {
    let k = line.keys;
    let call = Call::new(&ORDER, &[&k.room, &k.waiting, &k.present, &k.recalled, &k.visits, &k.idle]);
    let reply: Reply = line.redis.call_in(line.epoch.0, call, |c| c.arg(since_ms).arg(most)).await?;
    match reply.word()? {
        "seen" => {
            let whole = |text: &String| text.parse::<i64>().map_err(|_| reply.unexpected());
            let here: Vec<String> = reply.list(4)?;
            let here = here.chunks_exact(3).map(|one| Ok((one[0].clone(), whole(&one[1])?, whole(&one[2])?)));
            Ok(Look {
                now_ms: reply.number(1)?,
                claim_ms: reply.number(2)?,
                let_in: reply.list::<String>(3)?.iter().map(whole).collect::<Result<_, Fault>>()?,
                here: here.collect::<Result<_, Fault>>()?,
            })
        }
        _ => Err(reply.unexpected()),
    }
}
