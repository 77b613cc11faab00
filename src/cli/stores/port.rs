//! A free port, the same as last time where possible.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::Context;

/// What a store's log says when someone else took the port between our look and its start.
pub(super) const TAKEN: &str = "Address already in use";

/// How often another port is tried.
pub(super) const ATTEMPTS: u32 = 5;

/// The port that the folder remembers, if it is free; else any free one, remembered from now on.
pub(super) fn choose(dir: &Path) -> anyhow::Result<u16> {
    let file = dir.join("port");
    let remembered = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(port) = remembered
        && free(port).is_ok()
    {
        return Ok(port);
    }
    let port = free(0).context("no port is free on 127.0.0.1")?;
    fs::write(&file, format!("{port}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(port)
}

fn free(port: u16) -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()?.port())
}
