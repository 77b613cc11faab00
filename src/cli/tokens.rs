//! Tokens made beforehand, so that a load test begins with everyone logged in.

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::{secrets, seed};
use crate::app::App;
use crate::config::Config;
use crate::ids::UserId;
use crate::queue;

/// Takes a place in the default room for the first `count` demo accounts, and writes their tokens as a JSON list.
pub(super) async fn write(config: Config, count: u32, out: &Path) -> anyhow::Result<()> {
    config.check_for_serving()?;
    let key_file = config.token_key_file.clone().unwrap_or_default();
    let key = std::fs::read(&key_file).with_context(|| format!("cannot read {}", key_file.display()))?;
    let app = App::build(config, &key)?;
    app.open().await?;
    let room = app.queue.room(&app.default_room).context("the default room is not there")?;
    let mut tokens = Vec::new();
    for number in 1..=count {
        let user = UserId::parse(&seed::user_name(number))?;
        let place = queue::join(&app.queue, &room, &user, queue::Device::Other).await?;
        tokens.push(json!({ "userId": user, "token": place.token }));
    }
    secrets::write_private(out, &serde_json::to_string(&tokens)?)
        .with_context(|| format!("cannot write {}", out.display()))?;
    println!("{count} tokens in {}", out.display());
    app.close().await;
    Ok(())
}
