//! Redis through lanes: a few connections checked out of the pool and kept, their handles cloned for each request.
//!
//! A check-out per request costs two extra round trips and holds the connection alone; a shared multiplexed one reaches
//! Redis' own limit. A lane that broke is replaced by the next call that finds it broken. Of a cluster, each server has
//! lanes; those of a master that sentinels watch are made to whoever they say is master.

mod address;
mod cluster;
mod info;
mod lane;
mod safety;

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{self, Arg, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};

use self::address::Address;
use self::cluster::Cluster;
use self::lane::{Lane, Origin, Server, Slot};
use super::script::{Call, incarnation};
use crate::clock;
use crate::error::Fault;
use crate::latency::Latency;

pub(crate) use self::info::infos;
pub use self::safety::{Safety, redis_safety};

/// Where the keys begin in `EVALSHA sha number key…`, and in the plain commands that are used here.
const KEY_OF_SCRIPT: usize = 3;
const KEY_OF_COMMAND: usize = 1;

/// The way to Redis.
pub struct Redis {
    way: Way,
    /// How long scripts take.
    latency: Latency,
}

enum Way {
    Server(Server),
    Cluster(Cluster),
}

/// A connection for one call, and its place.
type Taken = (Arc<Slot>, Arc<Lane>);

impl Redis {
    /// Prepares the lanes, `lanes` to each server; connections are made when first needed. The forms of `url` are those of
    /// the setting `redis_url`.
    pub fn new(url: &str, lanes: usize, timeout: Duration) -> Result<Self, Fault> {
        let way = match Address::parse(url)? {
            Address::One(info) => Way::Server(Server::new(Origin::one(info, lanes, timeout)?, lanes)),
            Address::Sentinels { sentinels, master, login } => {
                Way::Server(Server::new(Origin::master(sentinels, (master, login), lanes, timeout)?, lanes))
            }
            Address::Cluster { seeds, login } => Way::Cluster(Cluster::new(seeds, login, lanes, timeout)),
        };
        Ok(Self { way, latency: Latency::default() })
    }

    /// How long scripts take, round trips counted.
    pub(crate) fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Runs a script and reads its answer.
    pub(crate) async fn call<T: FromRedisValue>(&self, call: Call) -> Result<T, Fault> {
        let taken = self.lane(&call.cmd, KEY_OF_SCRIPT).await?;
        let answer = self.run_script(&taken.1, &call).await;
        if self.moved(&answer).await? {
            let taken = self.lane(&call.cmd, KEY_OF_SCRIPT).await?;
            let answer = self.run_script(&taken.1, &call).await;
            return read(&taken, answer);
        }
        read(&taken, answer)
    }

    /// Runs a script that checks the epoch. Its first argument is what we believe: the epoch and Redis' run.
    /// `rest` adds the others.
    pub(crate) async fn call_in<T: FromRedisValue>(
        &self,
        epoch: i64,
        call: Call,
        rest: impl FnOnce(Call) -> Call,
    ) -> Result<T, Fault> {
        let taken = self.lane(&call.cmd, KEY_OF_SCRIPT).await?;
        let call = rest(call.arg(incarnation(epoch, &taken.1.run)));
        let answer = self.run_script(&taken.1, &call).await;
        if self.moved(&answer).await? {
            // Another server has the room now, with another run: what we believe cannot be right any more.
            return Err(Fault::Lost);
        }
        read(&taken, answer)
    }

    /// Runs a script on what this key's Redis has, `make` being told that Redis' run. Of another run it is made anew.
    pub(crate) async fn call_told_run<T: FromRedisValue>(
        &self,
        key: &str,
        make: impl Fn(&str) -> Call,
    ) -> Result<T, Fault> {
        let mut taken = self.lane_of(key.as_bytes()).await?;
        let mut call = make(&taken.1.run);
        let mut answer = self.run_script(&taken.1, &call).await;
        if self.moved(&answer).await? {
            taken = self.lane_of(key.as_bytes()).await?;
            call = make(&taken.1.run);
            answer = self.run_script(&taken.1, &call).await;
        }
        read(&taken, answer)
    }

    /// Runs a plain command whose first argument is a key, or that any server may answer.
    pub(crate) async fn command<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, Fault> {
        Ok(self.command_and_run(cmd).await?.0)
    }

    /// The same, with the run of the Redis that answered.
    pub(crate) async fn command_and_run<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<(T, Arc<str>), Fault> {
        let mut taken = self.lane(cmd, KEY_OF_COMMAND).await?;
        let mut answer = send(&taken.1, cmd).await;
        if self.moved(&answer).await? {
            taken = self.lane(cmd, KEY_OF_COMMAND).await?;
            answer = send(&taken.1, cmd).await;
        }
        Ok((read(&taken, answer)?, Arc::clone(&taken.1.run)))
    }

    /// The run of the Redis that has this key now: the first characters of its run id.
    pub async fn run(&self, key: &str) -> Result<Arc<str>, Fault> {
        let (_, lane) = self.lane_of(key.as_bytes()).await?;
        Ok(Arc::clone(&lane.run))
    }

    /// A lane for a command whose key stands at this place.
    async fn lane(&self, cmd: &Cmd, at: usize) -> Result<Taken, Fault> {
        self.lane_of(key_of(cmd, at)).await
    }

    /// A lane to the Redis that has this key.
    async fn lane_of(&self, key: &[u8]) -> Result<Taken, Fault> {
        match &self.way {
            Way::Server(server) => server.lane().await,
            // Boxed: it would make every future that asks Redis several times as large.
            Way::Cluster(cluster) => Box::pin(cluster.lane(key)).await,
        }
    }

    /// Whether the answer says that nothing was done because another server has the key; which one is learned then.
    async fn moved(&self, answer: &Result<Value, RedisError>) -> Result<bool, Fault> {
        match (&self.way, answer) {
            (Way::Cluster(cluster), Err(e)) if e.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                Box::pin(cluster.learn()).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn run_script(&self, lane: &Lane, call: &Call) -> Result<Value, RedisError> {
        let started = clock::now();
        let mut answer = send(lane, &call.cmd).await;
        if matches!(&answer, Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(call.script.source);
            answer = match send(lane, &load).await {
                Ok(_) => send(lane, &call.cmd).await,
                refused => refused,
            };
        }
        let took = started.elapsed();
        self.latency.note(took);
        call.script.duration().record(took.as_secs_f64());
        answer
    }
}

async fn send(lane: &Lane, cmd: &Cmd) -> Result<Value, RedisError> {
    lane.handle.clone().send_packed_command(cmd).await.and_then(Value::extract_error)
}

/// Reads an answer; a lane that broke on the way is given up.
fn read<T: FromRedisValue>((slot, lane): &Taken, answer: Result<Value, RedisError>) -> Result<T, Fault> {
    let value = answer.map_err(|e| {
        slot.note(lane, &e);
        unserved(e)
    })?;
    T::from_redis_value(value).map_err(|e| Fault::Defect(format!("Redis answered otherwise than its script says: {e}")))
}

/// The key that says which server of a cluster is asked.
fn key_of(cmd: &Cmd, at: usize) -> &[u8] {
    match cmd.args_iter().nth(at) {
        Some(Arg::Simple(key)) => key,
        _ => b"",
    }
}

fn unserved(error: impl Into<RedisError>) -> Fault {
    let error: RedisError = error.into();
    Fault::Redis(error.to_string())
}
