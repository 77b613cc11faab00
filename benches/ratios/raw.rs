//! Redis without us: the same scripts, by 64 callers on as many shared connections as the service has lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anteroom::clock;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, Cmd};
use tokio::task::JoinSet;

use super::house::{AT_ONCE, House};

const PLACE: &str = include_str!("../../lua/queue/place.lua");
const HOLD: &str = include_str!("../../lua/seats/hold.lua");

const LANES: usize = 2;

/// A schedule that the service does not know, so that nothing looks at what is held there.
const SCHEDULE: &str = "anteroom:{s:raw}:";

/// Asks for places of a room in turn, one a call. Gives calls per second.
pub(crate) async fn places(house: &House, room: &str, users: &[String], seconds: u64) -> anyhow::Result<f64> {
    let key = |part: &str| format!("anteroom:{{{room}}}:{part}");
    let mut redis = house.redis().await?;
    let incarnation: String = redis::cmd("HGET").arg(key("room")).arg("incarnation").query_async(&mut redis).await?;
    let keys = ["room", "waiting", "present", "aside", "pending", "active", "idle", "visits"].map(key);
    let sha = load(&mut redis, PLACE).await?;
    let users: Arc<[String]> = users.into();
    calls(house, seconds, move |at| {
        let mut cmd = evalsha(&sha, &keys);
        cmd.arg(&incarnation).arg("20").arg(&users[at % users.len()]);
        cmd
    })
    .await
}

/// Holds fresh seats, one by each call, from the given number on. Gives calls per second.
pub(crate) async fn holds(house: &House, first: usize, seconds: u64) -> anyhow::Result<f64> {
    let mut redis = house.redis().await?;
    let meta = format!("{SCHEDULE}meta");
    redis::cmd("HSET").arg(&meta).arg("incarnation").arg("raw").exec_async(&mut redis).await?;
    let sha = load(&mut redis, HOLD).await?;
    calls(house, seconds, move |at| {
        let (number, user) = (first + at, at % 2_000);
        let parts = ["meta", "held", "sold"].map(|part| format!("{SCHEDULE}{part}"));
        let mut keys = parts.to_vec();
        keys.push(format!("{SCHEDULE}user:user{user:05}"));
        keys.push(format!("{SCHEDULE}reservations:user{user:05}"));
        keys.push(format!("{SCHEDULE}reservation:30001-{number:032}"));
        keys.push(format!("{SCHEDULE}key:user{user:05}:-"));
        keys.push(format!("{SCHEDULE}hold:S{number}"));
        let mut cmd = evalsha(&sha, &keys);
        cmd.arg("raw").arg(format!("user{user:05}")).arg(format!("30001-{number:032}")).arg(300_000);
        cmd.arg(1_000_000).arg(5_000).arg(86_400_000).arg(0).arg(format!("S{number}"));
        cmd
    })
    .await
}

fn evalsha(sha: &str, keys: &[String]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(sha).arg(keys.len()).arg(keys);
    cmd
}

async fn load(redis: &mut MultiplexedConnection, script: &str) -> anyhow::Result<String> {
    Ok(redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(redis).await?)
}

/// Runs numbered calls for so long, 64 under way at once.
async fn calls(
    house: &House,
    seconds: u64,
    call: impl Fn(usize) -> Cmd + Send + Sync + 'static,
) -> anyhow::Result<f64> {
    let (call, next) = (Arc::new(call), Arc::new(AtomicUsize::new(0)));
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        lanes.push(house.redis().await?);
    }
    let mut callers = JoinSet::new();
    let began = clock::now();
    for caller in 0..AT_ONCE {
        let (call, next, mut lane) = (Arc::clone(&call), Arc::clone(&next), lanes[caller % LANES].clone());
        callers.spawn(async move {
            while began.elapsed() < Duration::from_secs(seconds) {
                call(next.fetch_add(1, Ordering::Relaxed)).exec_async(&mut lane).await?;
            }
            Ok::<_, redis::RedisError>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let made = u32::try_from(next.load(Ordering::Relaxed))?;
    Ok(f64::from(made) / began.elapsed().as_secs_f64())
}
