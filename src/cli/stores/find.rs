//! Where the stores' programs are: where a variable says, in PATH, or where Debian and Homebrew put them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::process::Command;

/// A folder with `postgres` and `initdb`. Not `ANTEROOM_…`: those are settings of the service, and others are refused.
const POSTGRES_BIN: &str = "POSTGRES_BIN";

/// The program `redis-server`.
const REDIS_SERVER: &str = "REDIS_SERVER";

/// The oldest that the tables and the scripts work on.
const POSTGRES_SINCE: u32 = 15;
const REDIS_SINCE: u32 = 7;

/// Folders beyond PATH that hold programs themselves.
const PROGRAM_DIRS: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];

/// Folders that hold one folder per version, whose `bin` holds the programs.
const VERSION_DIRS: [&str; 4] = ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/opt/local/lib"];

/// Postgres' programs, and their major version.
pub(super) struct Postgres {
    pub(super) bin: PathBuf,
    pub(super) major: u32,
}

/// The program of Redis, recent enough.
pub(super) async fn redis() -> anyhow::Result<PathBuf> {
    let named = env::var_os(REDIS_SERVER).filter(|named| !named.is_empty()).map(PathBuf::from);
    let found = named.or_else(|| {
        ["redis-server", "valkey-server"]
            .iter()
            .find_map(|name| program_dirs().into_iter().map(|dir| dir.join(name)).find(|p| p.is_file()))
    });
    let Some(program) = found else {
        bail!("redis-server is not installed: run `make setup`, or name the program in {REDIS_SERVER}");
    };
    let (major, version) = version(&program, "v=").await?;
    if major < REDIS_SINCE {
        bail!("Redis {REDIS_SINCE} or later is needed; {} says: {version}", program.display());
    }
    Ok(program)
}

/// The programs of Postgres, recent enough.
pub(super) async fn postgres() -> anyhow::Result<Postgres> {
    let named = env::var_os(POSTGRES_BIN).filter(|named| !named.is_empty()).map(PathBuf::from);
    let found = match named {
        Some(dir) => Some(dir),
        None => program_dirs().into_iter().chain(version_dirs()).find(|dir| has_postgres(dir)),
    };
    let Some(bin) = found.filter(|dir| has_postgres(dir)) else {
        bail!("Postgres is not installed: run `make setup`, or name the folder of its programs in {POSTGRES_BIN}");
    };
    let (major, version) = version(&bin.join("postgres"), "(PostgreSQL) ").await?;
    if major < POSTGRES_SINCE {
        bail!("Postgres {POSTGRES_SINCE} or later is needed; the one in {} says: {version}", bin.display());
    }
    Ok(Postgres { bin, major })
}

fn has_postgres(dir: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|name| dir.join(name).is_file())
}

fn program_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(PROGRAM_DIRS.map(PathBuf::from)).collect()
}

/// `<folder>/<version>/bin`, the newest first.
fn version_dirs() -> Vec<PathBuf> {
    let entries = VERSION_DIRS.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut dirs: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((version_of_folder(&entry.file_name())?, entry.path().join("bin")))).collect();
    dirs.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    dirs.into_iter().map(|(_, dir)| dir).collect()
}

/// Debian's folders are `15`, Homebrew's `postgresql@15`, those of `MacPorts` `postgresql15`.
fn version_of_folder(name: &OsStr) -> Option<u32> {
    let name = name.to_str()?;
    name.trim_start_matches("postgresql").trim_start_matches('@').parse().ok()
}

/// The major version after `mark` in what `--version` says, and all that it says.
async fn version(program: &Path, mark: &str) -> anyhow::Result<(u32, String)> {
    let asked = Command::new(program).arg("--version").output().await;
    let output = asked.with_context(|| format!("cannot run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let number = said.split_once(mark).map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
    let major = number.flatten().and_then(|digits| digits.parse().ok());
    let major = major.with_context(|| format!("{} does not tell its version: {said:?}", program.display()))?;
    Ok((major, said))
}
