//! Where Redis is: one server, a master that sentinels name, or a cluster.

use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use super::unserved;
use crate::error::Fault;

const SENTINEL: &str = "redis+sentinel://";
const CLUSTER: &str = "redis+cluster://";

/// A way to Redis, as its URL says.
#[derive(Debug)]
pub(super) enum Address {
    /// One server.
    One(ConnectionInfo),
    /// The master of this name, wherever the sentinels say that it is.
    Sentinels { sentinels: Vec<ConnectionInfo>, master: String, login: RedisConnectionInfo },
    /// A cluster, of which these servers know.
    Cluster { seeds: Vec<ConnectionInfo>, login: RedisConnectionInfo },
}

impl Address {
    /// Reads `redis://`, `redis+sentinel://[user:password@]host:port[,host:port…]/master[/database]`, where
    /// `?sentinel_user=…&sentinel_password=…` is for sentinels with a password, and
    /// `redis+cluster://[user:password@]host:port[,host:port…]`. User and password are those of the Redis servers.
    pub(super) fn parse(url: &str) -> Result<Self, Fault> {
        if let Some(rest) = url.strip_prefix(SENTINEL) {
            sentinels(rest)
        } else if let Some(rest) = url.strip_prefix(CLUSTER) {
            let (login, hosts) = rest.rsplit_once('@').map_or(("", rest), |(login, hosts)| (login, hosts));
            let seeds = each(hosts.trim_end_matches('/'), |host| read(login, host, ""))?;
            let login = seeds[0].redis_settings().clone();
            Ok(Self::Cluster { seeds, login })
        } else {
            Ok(Self::One(url.into_connection_info().map_err(unserved)?))
        }
    }
}

fn sentinels(rest: &str) -> Result<Address, Fault> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() {
        return Err(Fault::Defect("redis_url names no master: redis+sentinel://host:port,host:port/master".into()));
    }
    let mut own = RedisConnectionInfo::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        own = match &*name {
            "sentinel_user" => own.set_username(value),
            "sentinel_password" => own.set_password(value),
            other => return Err(Fault::Defect(format!("redis_url has an unknown parameter: {other}"))),
        };
    }
    let sentinels = each(hosts, |host| Ok(read("", host, "")?.set_redis_settings(own.clone())))?;
    let first = hosts.split(',').next().unwrap_or(hosts);
    let login = read(login, first, database)?.redis_settings().clone();
    Ok(Address::Sentinels { sentinels, master: master.to_owned(), login })
}

/// Reads a list of hosts, of which there is always a first.
fn each(hosts: &str, read: impl Fn(&str) -> Result<ConnectionInfo, Fault>) -> Result<Vec<ConnectionInfo>, Fault> {
    hosts.split(',').map(read).collect()
}

/// One of several servers; the client's own parser decodes what is in it.
fn read(login: &str, host: &str, database: &str) -> Result<ConnectionInfo, Fault> {
    let at = if login.is_empty() { "" } else { "@" };
    format!("redis://{login}{at}{host}/{database}").into_connection_info().map_err(unserved)
}

/// `host:port` of a server.
pub(super) fn name(addr: &ConnectionAddr) -> String {
    addr.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_url_is_read() {
        let Address::One(one) = Address::parse("redis://:secret@127.0.0.1:7000/3").unwrap() else { panic!() };
        assert_eq!((name(one.addr()).as_str(), one.redis_settings().db()), ("127.0.0.1:7000", 3));

        let url = "redis+sentinel://me:p%40ss@a:26379,[::1]:26380,c:1/line/2?sentinel_password=p%26q";
        let Address::Sentinels { sentinels, master, login } = Address::parse(url).unwrap() else { panic!() };
        assert_eq!(sentinels.iter().map(|one| name(one.addr())).collect::<Vec<_>>(), ["a:26379", "::1:26380", "c:1"]);
        assert_eq!((master.as_str(), login.db(), login.password()), ("line", 2, Some("p@ss")));
        assert_eq!((login.username(), sentinels[0].redis_settings().password()), (Some("me"), Some("p&q")));

        let Address::Cluster { seeds, login } = Address::parse("redis+cluster://:pw@a:1,b:2/").unwrap() else {
            panic!()
        };
        assert_eq!((seeds.len(), login.password()), (2, Some("pw")));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for url in ["redis+sentinel://a:1,b:2", "redis+sentinel://a:1/m?password=x", "redis+cluster://", "http://a:1"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
