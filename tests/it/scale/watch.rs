//! An observer with no part in the service: looks at the whole line every 50 ms, in one atomic step, and judges.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deadpool_redis::redis::{self, Connection};
use tokio_util::sync::CancellationToken;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(50);

/// The room's time, how many are inside and may be, what is in the bucket now, admissions so far; who is inside with their
/// number; and of the first in line those who are here, with number and until when they count as here.
const LOOK: &str = r"
local k = '{main}'
local function key(part) return 'anteroom:' .. k .. ':' .. part end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told = redis.call('HMGET', key('room'), 'capacity', 'admitPerSecond', 'bucket', 'bucketAt', 'admitted')
local rate = tonumber(told[2])
local bucket = math.min(math.max(rate, 1), told[3] + math.max(0, now - told[4]) * rate / 1000)
local inside, here = {}, {}
for _, user in ipairs(redis.call('ZRANGE', key('active'), 0, -1)) do
  inside[#inside + 1] = user
  inside[#inside + 1] = string.match(redis.call('HGET', key('visits'), user) or '', '^%S+') or ''
end
for _, line in ipairs({'recalled', 'waiting'}) do
  local head = redis.call('ZRANGE', key(line), 0, 999, 'WITHSCORES')
  for i = 1, #head, 2 do
    local till = tonumber(redis.call('ZSCORE', key('present'), head[i]) or 0)
    if till >= now then
      here[#here + 1] = head[i]
      here[#here + 1] = head[i + 1]
      here[#here + 1] = string.format('%.0f', till)
    end
  end
end
return {string.format('%.0f', now), told[1], rate, math.floor(bucket), told[5], inside, here}
";

/// What was seen in all.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) looks: usize,
    pub(super) most_inside: i64,
    pub(super) over_capacity: usize,
    pub(super) inversions: usize,
    /// The longest time in which a visit was free beside someone who was here, though the rate allowed it, ms.
    pub(super) idle_ms: i64,
    /// The most admissions beyond what the rate gives, which may be those of one tick.
    pub(super) beyond_rate: f64,
    pub(super) admitted: i64,
    pub(super) longest_gap_ms: i64,
    idle_since: Option<i64>,
    last_ms: i64,
    least_behind_rate: Option<f64>,
}

struct Look {
    now_ms: i64,
    capacity: i64,
    rate: f64,
    bucket: i64,
    admitted: i64,
    inside: HashMap<String, i64>,
    /// userId → number, and until when they count as here.
    here: HashMap<String, (i64, i64)>,
}

/// Watches until told to stop.
pub(super) async fn watch(redis_url: String, stop: CancellationToken) -> Seen {
    let mut connection = redis::Client::open(redis_url).unwrap().get_connection().unwrap();
    let (mut seen, mut before) = (Seen::default(), None);
    let mut beat = tokio::time::interval(EVERY);
    while !stop.is_cancelled() {
        beat.tick().await;
        let look = tokio::task::block_in_place(|| look(&mut connection));
        seen.judge(&look, before.as_ref());
        before = Some(look);
    }
    seen
}

fn look(connection: &mut Connection) -> Look {
    type Told = (i64, i64, f64, i64, i64, Vec<String>, Vec<String>);
    let told: Told = redis::cmd("EVAL").arg(LOOK).arg(0).query(connection).unwrap();
    let (now_ms, capacity, rate, bucket, admitted, inside, here) = told;
    let number = |text: &String| text.parse::<f64>().map_or(0, to_number);
    let inside = inside.chunks(2).map(|one| (one[0].clone(), number(&one[1]))).collect();
    let here = here.chunks(3).map(|one| (one[0].clone(), (number(&one[1]), number(&one[2])))).collect();
    Look { now_ms, capacity, rate, bucket, admitted, inside, here }
}

#[expect(clippy::cast_possible_truncation, reason = "numbers and times are whole and below 2^53")]
fn to_number(score: f64) -> i64 {
    score as i64
}

impl Seen {
    fn judge(&mut self, look: &Look, before: Option<&Look>) {
        let inside = i64::try_from(look.inside.len()).unwrap();
        self.looks += 1;
        self.most_inside = self.most_inside.max(inside);
        self.over_capacity += usize::from(inside > look.capacity);
        self.admitted = look.admitted;
        if self.last_ms > 0 {
            self.longest_gap_ms = self.longest_gap_ms.max(look.now_ms - self.last_ms);
        }
        self.last_ms = look.now_ms;
        let idle = inside < look.capacity && look.bucket >= 1 && !look.here.is_empty();
        let since = self.idle_since.unwrap_or(look.now_ms);
        self.idle_since = idle.then_some(since);
        if idle {
            self.idle_ms = self.idle_ms.max(look.now_ms - since);
        }
        let behind = as_float(look.admitted) - look.rate * as_float(look.now_ms) / 1_000.0;
        let least = self.least_behind_rate.map_or(behind, |least| least.min(behind));
        self.least_behind_rate = Some(least);
        self.beyond_rate = self.beyond_rate.max(behind - least);
        if let Some(before) = before {
            self.inversions += overtakings(before, look);
        }
    }
}

/// How many were let in between two looks although someone with a smaller number was in line and here all the time.
fn overtakings(before: &Look, after: &Look) -> usize {
    let stayed =
        before.here.iter().filter(|(user, (_, until))| *until >= after.now_ms && after.here.contains_key(*user));
    let Some(first) = stayed.map(|(_, (number, _))| *number).min() else { return 0 };
    let known: HashSet<_> = before.inside.keys().collect();
    after.inside.iter().filter(|(user, number)| !known.contains(user) && **number > first).count()
}

#[expect(clippy::cast_precision_loss, reason = "counts and times are below 2^53")]
fn as_float(number: i64) -> f64 {
    number as f64
}

#[test]
fn overtaking_is_seen_and_absence_is_not_taken_for_it() {
    let look = |now_ms, inside: &[(&str, i64)], here: &[(&str, i64, i64)]| Look {
        now_ms,
        capacity: 10,
        rate: 1.0,
        bucket: 1,
        admitted: 0,
        inside: inside.iter().map(|(user, number)| ((*user).to_owned(), *number)).collect(),
        here: here.iter().map(|(user, number, until)| ((*user).to_owned(), (*number, *until))).collect(),
    };
    let before = look(0, &[("a", 1)], &[("b", 2, 99), ("c", 3, 99)]);
    assert_eq!(overtakings(&before, &look(50, &[("a", 1), ("c", 3)], &[("b", 2, 99)])), 1);
    assert_eq!(overtakings(&before, &look(50, &[("a", 1), ("b", 2)], &[("c", 3, 99)])), 0);
    let before = look(0, &[], &[("b", 2, 20), ("c", 3, 99)]);
    assert_eq!(overtakings(&before, &look(50, &[("c", 3)], &[("b", 2, 99)])), 0, "b was away for a moment");
}
