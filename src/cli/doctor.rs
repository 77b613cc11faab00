//! `anteroom doctor`: is everything that serve needs there, and set as it should be?

use std::time::Duration;

use anyhow::bail;
use secrecy::ExposeSecret;

use crate::app;
use crate::config::Config;
use crate::store::{self, Db, Redis, Safety};
use crate::token::Tokens;

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
    for found in redis(config).await {
        say("redis", found);
    }
    say("postgres", postgres(config).await);
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

async fn postgres(config: &Config) -> Result<String, String> {
    let db = Db::new(config.database_url.expose_secret(), app::limits(config)).map_err(|e| e.to_string())?;
    db.ping().await.map_err(|e| e.to_string())?;
    if db.keeps_limits().await.map_err(|e| e.to_string())? {
        Ok("answers, within the limits that were asked for".to_owned())
    } else {
        Err("is reached through a pooler that drops our time-outs: name the server itself in database_url".to_owned())
    }
}
