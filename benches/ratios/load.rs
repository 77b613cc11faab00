//! Load by wrk: 64 connections, requests from files.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

/// Connections. One thread of wrk drives them: it starts each thread as soon as that is ready, so that of several the
/// first would load, and count, before the measured time begins.
const CONNECTIONS: &str = "64";

const SCRIPT: &str = include_str!("load.lua");

/// Bodies are padded to this length, so that all requests of a load have the same head.
const BODY_BYTES: usize = 120;

/// How long to load before anything is counted, in seconds; the next of these where that was too short.
const WARMING: [u64; 4] = [6, 12, 24, 48];

/// What is asked for, and which answer is right.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) tokens: Option<PathBuf>,
    pub(crate) bodies: Option<PathBuf>,
    /// The first body to send.
    pub(crate) first: usize,
    pub(crate) right: Right,
}

/// Which answers are right: what answers otherwise is not what is to be measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Success,
    Refusal,
}

/// Fails early where there is no wrk.
pub(crate) fn find_wrk() -> anyhow::Result<()> {
    let there = std::process::Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(there.is_ok(), "wrk is not in PATH: `make setup` installs it");
    Ok(())
}

/// Writes lines to a file of the run's folder.
pub(crate) fn write_lines(dir: &Path, name: &str, lines: &[String]) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, lines.join("\n") + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A body of the length that all have. JSON does not mind spaces at its end.
pub(crate) fn body(value: &serde_json::Value) -> String {
    format!("{:<BODY_BYTES$}", value.to_string())
}

impl Load {
    /// Asks with a token for the visitor's place.
    pub(crate) fn polls(server: &str, tokens: &Path) -> Self {
        Self {
            method: "GET",
            url: format!("{server}/queue/position"),
            tokens: Some(tokens.to_owned()),
            bodies: None,
            first: 0,
            right: Right::Success,
        }
    }

    /// Posts bodies.
    pub(crate) fn posts(url: String, tokens: Option<&Path>, bodies: &Path) -> Self {
        let (tokens, bodies) = (tokens.map(Path::to_owned), Some(bodies.to_owned()));
        Self { method: "POST", url, tokens, bodies, first: 0, right: Right::Success }
    }

    /// The same, where the right answer is a refusal.
    pub(crate) fn refused(self) -> Self {
        Self { right: Right::Refusal, ..self }
    }

    /// Loads for so many seconds. Gives requests per second.
    pub(crate) async fn run(&self, dir: &Path, seconds: u64) -> anyhow::Result<f64> {
        let script = dir.join("load.lua");
        std::fs::write(&script, SCRIPT)?;
        let named = |path: &Option<PathBuf>| path.as_ref().map_or("-".into(), |path| path.display().to_string());
        let path = self.url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut wrk = Command::new("wrk");
        wrk.args(["-t", "1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "-s"]).arg(&script).arg(&self.url);
        wrk.args(["--", self.method, &format!("/{path}"), &named(&self.tokens), &named(&self.bodies)]);
        let out = wrk.arg(self.first.to_string()).kill_on_drop(true).output().await.context("cannot run wrk")?;
        self.judge(&String::from_utf8_lossy(&out.stdout), &String::from_utf8_lossy(&out.stderr))
    }

    /// Loads until so many requests were answered in one run, which begins with the first token.
    pub(crate) async fn warm(&self, dir: &Path, requests: usize) -> anyhow::Result<()> {
        let wanted = f64::from(u32::try_from(requests)?);
        for seconds in WARMING {
            if self.run(dir, seconds).await? * f64::from(u32::try_from(seconds)?) >= wanted {
                return Ok(());
            }
        }
        bail!("{} {}: not {requests} answers in {WARMING:?} s", self.method, self.url)
    }

    fn judge(&self, said: &str, complained: &str) -> anyhow::Result<f64> {
        let measured = said.lines().find_map(|line| line.strip_prefix("measured "));
        let Some(measured) = measured else { bail!("wrk measured nothing: {said}{complained}") };
        let numbers: Vec<f64> = measured.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [requests, micros, refused, broken] = numbers[..] else { bail!("wrk said {measured}") };
        let wrong = broken + if self.right == Right::Success { refused } else { requests - refused };
        ensure!(wrong <= requests / 1_000.0, "{} {}: {wrong} of {requests} answers are wrong", self.method, self.url);
        Ok(requests * 1_000_000.0 / micros)
    }
}
