//! What a request costs the service and Redis in time of a processor: far less noisy than rates on a busy machine.

use super::rounds::Rates;

/// `/proc/PID/stat` counts in these, whatever the machine.
const TICKS_A_SECOND: f64 = 100.0;

/// Where user and system time stand behind the program's name in `/proc/PID/stat`.
const USER: usize = 11;
const SYSTEM: usize = 12;

/// Seconds of a processor that the service and Redis have used.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    service: f64,
    redis: f64,
}

impl Used {
    /// Of these two processes until now; nothing where the system does not tell.
    pub(crate) fn by(service: u32, redis: u32) -> Option<Self> {
        Some(Self { service: seconds(service)?, redis: seconds(redis)? })
    }
}

/// Microseconds for each request of a round.
#[derive(Default, Clone)]
pub(crate) struct Cpu {
    pub(crate) service: Rates,
    pub(crate) redis: Rates,
}

impl Cpu {
    /// Notes a round of so many requests between two looks.
    pub(crate) fn note(&mut self, before: Option<Used>, after: Option<Used>, requests: f64) {
        if let (Some(before), Some(after)) = (before, after) {
            self.service.note((after.service - before.service) / requests * 1e6);
            self.redis.note((after.redis - before.redis) / requests * 1e6);
        }
    }
}

fn seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may have spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(USER)? + ticks(SYSTEM)?) / TICKS_A_SECOND)
}
