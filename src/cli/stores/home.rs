//! Where Postgres' data is, and whose it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::child::{Child, Launch, Log};
use super::user::User;
use super::{find, folder};
use crate::cli::secrets;

/// The name of Postgres' user and of its database.
pub(super) const NAME: &str = "anteroom";

/// In a store's folder: names the folder of the data, where it cannot be below.
const ELSEWHERE: &str = "elsewhere";

/// A folder of the user that Postgres runs as. `data` in it is complete or absent, never half made.
pub(super) struct Home {
    /// The store's folder, with the log: ours, where the home may be another user's.
    dir: PathBuf,
    path: PathBuf,
    user: Option<User>,
    password: String,
}

impl Home {
    /// Finds or makes the home that belongs to a store's folder.
    pub(super) async fn prepare(dir: &Path) -> anyhow::Result<Self> {
        let user = User::unprivileged().await?;
        let dir = dir.canonicalize()?;
        let path = place(&dir, user)?;
        own(&path, user)?;
        let file = path.join("password");
        let password = secrets::keep(&file, || Ok(secrets::random_hex()))?;
        if let Some(user) = user {
            // `initdb` reads it, as that user.
            chown(&file, Some(user.uid), Some(user.gid))?;
        }
        Ok(Self { dir, path, user, password })
    }

    /// The folder that Postgres calls its data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The password of Postgres' only user.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Makes the data where there is none yet. Data of another major version are refused.
    pub(super) async fn initialize(&self, programs: &find::Postgres) -> anyhow::Result<()> {
        if let Ok(version) = fs::read_to_string(self.data().join("PG_VERSION")) {
            if version.trim() != programs.major.to_string() {
                bail!(
                    "the data in {} are of Postgres {}, the programs in {} of {}: start afresh, or name others in POSTGRES_BIN",
                    self.data().display(),
                    version.trim(),
                    programs.bin.display(),
                    programs.major
                );
            }
            return Ok(());
        }
        let log = Log::take(&self.dir.join("log")).await?;
        let new = self.path.join("new");
        folder::gone(fs::remove_dir_all(&new), "an unfinished folder of Postgres")?;
        let initdb = programs.bin.join("initdb").display().to_string();
        let arguments = ["--username", NAME, "--pwfile", "password", "--auth", "scram-sha-256"];
        let format = ["--encoding", "UTF8", "--locale", "C", "--no-instructions", "--pgdata", "new"];
        let command = [initdb.as_str()].into_iter().chain(arguments).chain(format).map(String::from).collect();
        let mut initdb = Child::start(self.launch("initdb", command, "TERM KILL"), log).await?;
        if !initdb.ended().await?.success() {
            bail!(initdb.broken().await);
        }
        fs::rename(new, self.data()).context("cannot name the data of Postgres")
    }

    /// Starts Postgres, once none of an earlier start is left.
    pub(super) async fn start_postgres(&self, command: Vec<String>) -> anyhow::Result<Child> {
        let log = Log::take(&self.dir.join("log")).await?;
        // Having the log, we know that nobody is at work on these data. So a process that has the number of the one that
        // was killed here is another, and Postgres would refuse to start because of it.
        folder::gone(fs::remove_file(self.data().join("postmaster.pid")), "postmaster.pid")?;
        Child::start(self.launch("Postgres", command, "INT QUIT KILL"), log).await
    }

    fn launch(&self, name: &'static str, command: Vec<String>, ending: &'static str) -> Launch<'_> {
        Launch { name, command, dir: &self.path, user: self.user, ending }
    }
}

/// Removes the data of a store's folder that are not below it.
pub(super) fn remove_elsewhere(dir: &Path) -> anyhow::Result<()> {
    match fs::read_to_string(dir.join(ELSEWHERE)) {
        Ok(path) => remove_ours(Path::new(&path)),
        Err(_) => Ok(()),
    }
}

fn remove_ours(path: &Path) -> anyhow::Result<()> {
    if !folder::is_ours(path) {
        return Ok(());
    }
    folder::gone(fs::remove_dir_all(path), &path.display().to_string())
}

/// Below the store's folder if the user can get there, else where it was before, else in a temporary folder.
fn place(dir: &Path, user: Option<User>) -> anyhow::Result<PathBuf> {
    let named = dir.join(ELSEWHERE);
    if let Ok(path) = fs::read_to_string(&named) {
        return Ok(path.into());
    }
    match user {
        Some(user) if !user.reaches(dir) => {
            let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
            let name = u64::from_be_bytes(std::array::from_fn(|i| digest[i]));
            let path = temporary_dir().join(format!("anteroom-{name:016x}"));
            // Of a data folder of this name that someone removed by hand.
            remove_ours(&path)?;
            fs::write(&named, path.as_os_str().as_encoded_bytes())?;
            Ok(path)
        }
        _ => Ok(dir.join("home")),
    }
}

/// Rather the one that outlives a restart of the machine.
fn temporary_dir() -> PathBuf {
    let lasting = Path::new("/var/tmp");
    if lasting.is_dir() { lasting.to_owned() } else { std::env::temp_dir() }
}

/// Makes the home, the user's alone. In a temporary folder its name can be guessed, so one that a stranger made is refused.
fn own(path: &Path, user: Option<User>) -> anyhow::Result<()> {
    if path.symlink_metadata().is_err() {
        folder::make_private_dir(path)?;
    }
    let about = path.symlink_metadata()?;
    let of_a_stranger = user.is_some_and(|user| ![0, user.uid].contains(&about.uid()));
    if !about.is_dir() || of_a_stranger {
        bail!("{} was not made by this program: remove it", path.display());
    }
    if !folder::is_ours(path) {
        folder::mark(path)?;
    }
    if let Some(user) = user {
        chown(path, Some(user.uid), Some(user.gid))?;
    }
    Ok(())
}
