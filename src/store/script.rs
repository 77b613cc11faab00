//! A Lua script: its source, its name for metrics, and the command that runs it.

use std::fmt::Write as _;
use std::sync::OnceLock;

use deadpool_redis::redis::{Cmd, Script as Hashed, ToRedisArgs};
use metrics::Histogram;

/// One atomic step in Redis, from `lua/<room>/<verb>.lua`.
pub struct Script {
    /// `<room>/<verb>`, as in the file's path.
    pub name: &'static str,
    /// The whole file.
    pub source: &'static str,
    sha: OnceLock<String>,
    duration: OnceLock<Histogram>,
}

impl Script {
    pub(crate) const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, sha: OnceLock::new(), duration: OnceLock::new() }
    }

    fn sha(&self) -> &str {
        self.sha.get_or_init(|| Hashed::new(self.source).get_hash().to_owned())
    }

    /// `redis_script_duration_seconds{script}`.
    pub(crate) fn duration(&self) -> &Histogram {
        self.duration.get_or_init(|| metrics::histogram!("redis_script_duration_seconds", "script" => self.name))
    }
}

/// A call of a script: keys first, then arguments, in the order of the script's header.
pub(crate) struct Call {
    pub(crate) script: &'static Script,
    pub(crate) cmd: Cmd,
}

impl Call {
    /// A call with its keys. `believes` is what comes first among the arguments where a script checks the epoch.
    pub(crate) fn new(script: &'static Script, keys: &[&str]) -> Self {
        let mut cmd = Cmd::with_capacity(16 + keys.len(), 512);
        cmd.arg("EVALSHA").arg(script.sha()).arg(keys.len());
        for key in keys {
            cmd.arg(*key);
        }
        Self { script, cmd }
    }

    /// The next argument.
    pub(crate) fn arg(mut self, value: impl ToRedisArgs) -> Self {
        self.cmd.arg(value);
        self
    }
}

/// What a script is told of the world it believes in: `<epoch>-<run>`, the run being Redis' own run id, shortened.
/// A Redis that restarted has another run, one that was set up anew another epoch: either makes scripts answer `lost`.
pub(crate) fn incarnation(epoch: i64, run: &str) -> String {
    let mut text = String::with_capacity(24);
    let _ = write!(text, "{epoch}-{run}");
    text
}
