//! `anteroom doctor`: is everything that serve needs there, and set as it should be?

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use secrecy::ExposeSecret;
use tokio::time::sleep;

use super::descriptors;
use crate::app;
use crate::clock;
use crate::config::Config;
use crate::store::db::Limits;
use crate::store::{self, Db, Redis, Safety};
use crate::token::Tokens;

/// A machine that is busy may take so long to answer; Postgres is asked again after this.
const PATIENCE: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Where Linux says whether it shares cores among sessions (sched(7), autogroup).
const AUTOGROUP: &str = "/proc/sys/kernel/sched_autogroup_enabled";

/// Looks at everything that `serve` needs, says what it saw, and fails if something is missing.
pub async fn doctor(config: &Config) -> anyhow::Result<()> {
    let mut missing = 0;
    let mut say = |name: &str, found: Result<String, String>| match found {
        Ok(detail) => println!("ok    {name}: {detail}"),
        Err(why) => {
            missing += 1;
            println!("FAIL  {name}: {why}");
        }
    };
    say("settings", config.check_for_serving().map(|()| "complete".to_owned()).map_err(|e| e.to_string()));
    say("token key", token_key(config));
    let needed = descriptors::needed(config);
    let enough = || format!("as many file descriptors as serve needs: {needed}");
    say("system", Ok(descriptors::raise(needed).unwrap_or_else(enough)));
    for found in redis(config).await {
        say("redis", found);
    }
    for found in postgres(config).await {
        say("postgres", found);
    }
    if missing > 0 {
        bail!("{missing} of what serve needs is not as it should be");
    }
    Ok(())
}

fn token_key(config: &Config) -> Result<String, String> {
    let file = config.token_key_file.as_ref().ok_or("token_key_file is not set")?;
    let pem = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Tokens::<()>::new(&pem, 1).map(|_| "an Ed25519 key".to_owned()).map_err(|e| e.to_string())
}

async fn redis(config: &Config) -> Vec<Result<String, String>> {
    let timeout = Duration::from_millis(config.redis_timeout_ms);
    let told = match Redis::new(config.redis_url.expose_secret(), 1, timeout) {
        Ok(redis) => store::redis_safety(&redis).await,
        Err(fault) => Err(fault),
    };
    match told {
        Ok(Safety { dangers, hints }) if dangers.is_empty() => {
            let fine = "answers, keeps an append-only file, evicts nothing".to_owned();
            std::iter::once(fine).chain(hints).map(Ok).collect()
        }
        Ok(Safety { dangers, .. }) => dangers.into_iter().map(Err).collect(),
        Err(fault) => vec![Err(fault.to_string())],
    }
}

async fn postgres(config: &Config) -> Vec<Result<String, String>> {
    let patient = Limits { wait: PATIENCE, ..app::limits(config) };
    let db = match Db::new(config.database_url.expose_secret(), patient) {
        Ok(db) => db,
        Err(fault) => return vec![Err(fault.to_string())],
    };
    let hint = if db.is_here() { sessions_share_cores(Path::new(AUTOGROUP)) } else { None };
    std::iter::once(limits_arrive(&db).await).chain(hint.map(Ok)).collect()
}

async fn limits_arrive(db: &Db) -> Result<String, String> {
    let began = clock::now();
    while let Err(fault) = db.ping().await {
        if began.elapsed() >= PATIENCE {
            return Err(fault.to_string());
        }
        sleep(BETWEEN_LOOKS).await;
    }
    if db.keeps_limits().await.map_err(|e| e.to_string())? {
        Ok("answers, within the limits that were asked for".to_owned())
    } else {
        Err("is reached through a pooler that drops our time-outs: name the server itself in database_url".to_owned())
    }
}

/// What it costs where it does.
fn sessions_share_cores(file: &Path) -> Option<String> {
    let enabled = std::fs::read_to_string(file).is_ok_and(|text| text.trim() != "0");
    enabled.then(|| {
        "is on this host, where Linux shares cores among sessions: payments wait for it while passwords are checked \
         (set kernel.sched_autogroup_enabled=0)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_cores_among_sessions_is_told_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sched_autogroup_enabled");
        assert_eq!(sessions_share_cores(&file), None, "not on Linux");
        std::fs::write(&file, "0\n").unwrap();
        assert_eq!(sessions_share_cores(&file), None);
        std::fs::write(&file, "1\n").unwrap();
        assert!(sessions_share_cores(&file).unwrap().contains("sched_autogroup_enabled=0"));
    }
}
