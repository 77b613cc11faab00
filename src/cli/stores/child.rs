//! A store as a child that ends when its parent does, however the parent ends.
//!
//! Between parent and store stands a shell, the watcher, whose standard input is a pipe that only the parent holds: the
//! leash. The kernel closes it when the parent ends, also by `kill -9`, and the watcher then ends the store. That works on
//! every Unix, where a parent-death signal is Linux's alone, follows the thread that started the child instead of the
//! process, and is forgotten when the child changes its user. The watcher has a process group of its own, so that
//! Ctrl-C in the terminal reaches only the parent, which ends its stores last.
//!
//! The log is locked, and the lock belongs to those who have it as standard error: the watcher, the store, and the store's
//! own children. So as long as one of them lives, no other store starts on the same folder.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;

use super::lock;
use super::user::User;

/// `$1` is the signals that end the store, gentlest first; the rest is the store's command. Prints the store's process id,
/// and ends as the store did. A line on the leash is a signal for the store.
const WATCHER: &str = r#"
ending=$1; shift
exec 3<&0
"$@" </dev/null >&2 3<&- &
store=$!
echo "$store"
(
    while read -r signal; do kill -s "$signal" "$store"; done
    for signal in $ending; do
        kill -s "$signal" "$store" || exit
        kill -s CONT "$store"
        for second in 1 2 3 4 5; do sleep 1; done
    done
) <&3 >/dev/null 2>&1 &
exec 3<&- </dev/null >/dev/null
wait "$store"
ended=$?
trap '' TERM
kill -s TERM -- "-$$"
exit "$ended"
"#;

/// How long a store may take to end: each of its signals is given five seconds.
const ENDING: Duration = Duration::from_secs(20);

/// How long to wait for a store that the program before us left, which its watcher is about to end.
const PREDECESSOR: Duration = Duration::from_secs(20);

/// A log beyond this size is set aside at the next start.
const LOG_BYTES: u64 = 16 << 20;

/// What an error shows of a log.
const TAIL_LINES: usize = 12;

/// How much of a log is read to find these lines.
const TAIL_BYTES: u64 = 16 << 10;

/// What to start, and how it ends.
pub(super) struct Launch<'a> {
    /// What it is called in errors.
    pub(super) name: &'static str,
    pub(super) command: Vec<String>,
    /// Its working folder.
    pub(super) dir: &'a Path,
    /// Whom to run as, where that is not the user of this process.
    pub(super) user: Option<User>,
    /// The signals that end it, gentlest first, with spaces between.
    pub(super) ending: &'static str,
}

/// A store's log, locked: who has it can be sure that no store runs on the folder.
pub(super) struct Log {
    file: File,
    path: PathBuf,
}

/// A store that runs, or ran. Dropping it ends the store too, without waiting for it.
pub(super) struct Child {
    name: &'static str,
    pid: u32,
    watcher: tokio::process::Child,
    leash: ChildStdin,
    log: PathBuf,
    log_from: u64,
}

impl Child {
    /// Starts a store, which takes over its log and the lock on it.
    pub(super) async fn start(launch: Launch<'_>, log: Log) -> anyhow::Result<Self> {
        let name = launch.name;
        let Log { file: log, path: log_path } = log;
        let log_from = log.metadata()?.len();
        let mut command = Command::new("sh");
        command.args(["-c", WATCHER, "sh", launch.ending]).args(&launch.command).current_dir(launch.dir);
        // Messages are read by us (and in bug reports), so their language is fixed.
        command.env("LC_ALL", "C").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        if let Some(user) = launch.user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut watcher = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let (Some(leash), Some(said)) = (watcher.stdin.take(), watcher.stdout.take()) else {
            bail!("the watcher of {name} has no pipes");
        };
        let mut pid = String::new();
        BufReader::new(said).read_line(&mut pid).await?;
        let pid = pid.trim().parse().with_context(|| format!("the watcher of {name} did not start it"))?;
        Ok(Self { name, pid, watcher, leash, log: log_path, log_from })
    }

    /// The store's own process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the store ends. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.watcher.wait().await?)
    }

    /// Waits until the store ends by itself, and says so with the end of its log.
    pub(super) async fn broken(&mut self) -> String {
        match self.ended().await {
            Ok(status) => format!("{} ended ({}){}", self.name, describe(status), self.log_tail()),
            Err(e) => format!("{} cannot be watched: {e}", self.name),
        }
    }

    /// Sends the store a signal, such as `STOP`.
    pub(super) async fn signal(&mut self, signal: &str) -> anyhow::Result<()> {
        Ok(self.leash.write_all(format!("{signal}\n").as_bytes()).await?)
    }

    /// Ends the store by its own signals, and waits for it.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let Self { name, mut watcher, leash, .. } = self;
        drop(leash);
        timeout(ENDING, watcher.wait()).await.with_context(|| format!("{name} does not end"))??;
        Ok(())
    }

    /// Kills the store as a crash would, and waits for it.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.signal("KILL").await?;
        timeout(ENDING, self.watcher.wait()).await.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }

    /// Whether the log of this start contains a text.
    pub(super) fn log_says(&self, text: &str) -> bool {
        self.read_log().contains(text)
    }

    /// The last lines of this start's log, for the end of an error.
    pub(super) fn log_tail(&self) -> String {
        let log = self.read_log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("; its log, {}, ends with:\n  {}", self.log.display(), last.join("\n  "))
    }

    fn read_log(&self) -> String {
        let read = || {
            let mut log = File::open(&self.log)?;
            let from = log.metadata()?.len().saturating_sub(TAIL_BYTES).max(self.log_from);
            log.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            log.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

impl Log {
    /// Waits until nobody has the log any more, that is until a store of an earlier start ended, then takes it.
    pub(super) async fn take(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if !lock::take(&file, PREDECESSOR).await.with_context(|| format!("cannot lock {}", path.display()))? {
            bail!("a store of an earlier start still runs: it has {} open", path.display());
        }
        Self::shorten(file, path)
    }

    fn shorten(file: File, path: &Path) -> anyhow::Result<Self> {
        // Whoever else appends to it has ended, so cutting it loses lines of earlier starts only.
        if file.metadata()?.len() > LOG_BYTES {
            fs::copy(path, path.with_extension("old"))?;
            file.set_len(0)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }
}

/// A shell reports a child that a signal ended as 128 and the signal's number.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) if code > 128 => format!("signal {}", code - 128),
        (Some(code), _) => format!("status {code}"),
        (None, signal) => format!("its watcher was killed, signal {}", signal.unwrap_or_default()),
    }
}
