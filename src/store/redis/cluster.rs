//! A cluster: which server has which slots, learned from the servers and kept until one says otherwise.
//!
//! A call must go over a connection whose other end is known by its run id, or a failover in which the last writes were lost
//! would go unnoticed. The cluster connections of the client library change their other end silently; so each server has
//! lanes of its own here, and this finds the server for a key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use deadpool_redis::redis::{self, ConnectionAddr, ConnectionInfo, FromRedisValue, RedisConnectionInfo, Value};
use futures_util::future::select_ok;

use super::super::mending::Mending;
use super::address::name;
use super::lane::{Lane, Origin, Server, Slot};
use super::unserved;
use crate::clock;
use crate::error::Fault;

/// A cluster has so many slots.
const SLOTS: u16 = 16_384;

/// The map is not learned again sooner than this after it was.
const LEARNED_FOR: Duration = Duration::from_millis(250);

/// A cluster of Redis servers.
pub(super) struct Cluster {
    seeds: Vec<ConnectionInfo>,
    login: RedisConnectionInfo,
    lanes: usize,
    timeout: Duration,
    map: ArcSwap<Map>,
    mending: Mending,
}

/// Who has which slots.
#[derive(Default)]
struct Map {
    masters: Vec<Arc<Server>>,
    /// For each slot, which of the masters has it.
    slots: Vec<Option<u16>>,
    /// By `host:port`, so that lanes outlive a change of the map.
    servers: HashMap<String, Arc<Server>>,
    learned: Option<Instant>,
}

impl Cluster {
    /// Prepares the way; the first call learns the map.
    pub(super) fn new(seeds: Vec<ConnectionInfo>, login: RedisConnectionInfo, lanes: usize, timeout: Duration) -> Self {
        Self { seeds, login, lanes, timeout, map: ArcSwap::default(), mending: Mending::default() }
    }

    /// A lane to the server that has the key. Where that server is gone, the others may know who took over.
    pub(super) async fn lane(&self, key: &[u8]) -> Result<(Arc<Slot>, Arc<Lane>), Fault> {
        let map = self.map.load_full();
        if let Some(server) = map.server_of(key)
            && let Ok(lane) = server.lane().await
        {
            return Ok(lane);
        }
        self.learn().await?;
        let map = self.map.load_full();
        let server = map.server_of(key).ok_or_else(|| Fault::Redis("no server has this slot".into()))?;
        server.lane().await
    }

    /// Every master.
    pub(super) async fn masters(&self) -> Result<Vec<Arc<Server>>, Fault> {
        self.learn().await?;
        Ok(self.map.load().masters.clone())
    }

    /// Asks every server that is known, and believes the first that sees the cluster whole.
    pub(super) async fn learn(&self) -> Result<(), Fault> {
        let turn = self.mending.turn().await?;
        if self.map.load().learned.is_some_and(|at| at.elapsed() < LEARNED_FOR) {
            return Ok(());
        }
        let known = self.known()?;
        let asked = known.iter().map(|(host, server)| Box::pin(ask(host, server)));
        let told = select_ok(asked).await.map(|(told, _)| told);
        let learned = told.and_then(|told| self.draw(told, known));
        turn.end(learned.map(|map| self.map.store(Arc::new(map))))
    }

    /// The servers of the map, and those of the URL.
    fn known(&self) -> Result<HashMap<String, Arc<Server>>, Fault> {
        let mut servers = self.map.load().servers.clone();
        for seed in &self.seeds {
            self.have(&mut servers, seed.addr())?;
        }
        Ok(servers)
    }

    fn have(&self, servers: &mut HashMap<String, Arc<Server>>, addr: &ConnectionAddr) -> Result<Arc<Server>, Fault> {
        let name = name(addr);
        if let Some(server) = servers.get(&name) {
            return Ok(Arc::clone(server));
        }
        let info = self.seeds[0].clone().set_addr(addr.clone()).set_redis_settings(self.login.clone());
        let server = Arc::new(Server::new(Origin::one(info, self.lanes, self.timeout)?, self.lanes));
        servers.insert(name, Arc::clone(&server));
        Ok(server)
    }

    fn draw(&self, told: Vec<Told>, mut servers: HashMap<String, Arc<Server>>) -> Result<Map, Fault> {
        let (mut masters, mut slots) = (Vec::<Arc<Server>>::new(), vec![None; usize::from(SLOTS)]);
        for one in told {
            let server = self.have(&mut servers, &ConnectionAddr::Tcp(one.host, one.port))?;
            let at = masters.iter().position(|known| Arc::ptr_eq(known, &server)).unwrap_or_else(|| {
                masters.push(server);
                masters.len() - 1
            });
            let range = usize::from(one.first)..=usize::from(one.last.min(SLOTS - 1));
            if let Some(slots) = slots.get_mut(range) {
                slots.fill(u16::try_from(at).ok());
            }
        }
        Ok(Map { masters, slots, servers, learned: Some(clock::now()) })
    }
}

impl Map {
    fn server_of(&self, key: &[u8]) -> Option<&Arc<Server>> {
        let at = (*self.slots.get(usize::from(slot_of(key)))?)?;
        self.masters.get(usize::from(at))
    }
}

/// A range of slots, and where its master is.
struct Told {
    first: u16,
    last: u16,
    host: String,
    port: u16,
}

async fn ask(asked: &str, server: &Server) -> Result<Vec<Told>, Fault> {
    let (_, lane) = server.lane().await?;
    let mut handle = lane.handle.clone();
    let state: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut handle).await.map_err(unserved)?;
    if !state.contains("cluster_state:ok") {
        return Err(Fault::Redis(format!("{asked} does not see the cluster whole")));
    }
    let slots: Vec<Value> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut handle).await.map_err(unserved)?;
    Ok(slots.iter().filter_map(|range| read(range, asked)).collect())
}

/// Reads a range as `CLUSTER SLOTS` tells it: first slot, last slot, then the master and its replicas.
fn read(range: &Value, asked: &str) -> Option<Told> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else { return None };
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = String::from_redis_value_ref(host).ok().filter(|host| !host.is_empty());
    // A server that does not know its own address leaves it out.
    let host = host.or_else(|| Some(asked.rsplit_once(':')?.0.to_owned()))?;
    let slot = |slot: i64| u16::try_from(slot).ok();
    Some(Told { first: slot(*first)?, last: slot(*last)?, host, port: slot(*port)? })
}

/// The slot of a key: CRC-16/XMODEM of what stands in its first braces, or of all of it, as the specification of Redis
/// Cluster says.
fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let close = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &key[open + 1..=open + close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From `CLUSTER KEYSLOT`.
        for (key, slot) in [("123456789", 12_739), ("foo", 12_182), ("anteroom:{foo}:room", 12_182), ("{}foo", 9_500)] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn a_range_is_read_also_where_the_address_is_left_out() {
        let master = |host| Value::Array(vec![host, Value::Int(7000), Value::BulkString(b"id".to_vec())]);
        let range = |host| Value::Array(vec![Value::Int(0), Value::Int(5460), master(host)]);
        let told = read(&range(Value::BulkString(b"10.0.0.1".to_vec())), "a:1").unwrap();
        assert_eq!((told.first, told.last, told.host.as_str(), told.port), (0, 5460, "10.0.0.1", 7000));
        assert_eq!(read(&range(Value::Nil), "a:1").unwrap().host, "a");
        assert!(read(&Value::Nil, "a:1").is_none());
    }
}
