//! The data folder: marked as ours, used by one program at a time, emptied of nothing but what we made.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::child::Log;
use super::{home, lock};
use crate::cli::secrets;

/// Says that a folder was made by this program, and that everything of the names below may be removed from it.
pub(super) const MARKER: &str = ".anteroom-data";

const MARKER_TEXT: &str = "This folder was made by `anteroom dev`, which may remove what is in it.\n";
const LOCK: &str = "lock";
const REDIS: &str = "redis";
const POSTGRES: &str = "postgres";

/// How long to wait for the folder before it counts as in use. A child that is just being started has a copy of what this
/// process had open, so that a lock can outlive its owner by a moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// A data folder that is ours and that no other program uses while this value lives.
pub(super) struct Folder {
    dir: PathBuf,
    /// The kernel ends the lock with the process, however that ends.
    _lock: File,
}

impl Folder {
    /// Takes the folder, which is made where there is none.
    pub(super) async fn open(dir: &Path) -> anyhow::Result<Self> {
        make_dir(dir)?;
        let dir = dir.canonicalize()?;
        if !is_ours(&dir) {
            if fs::read_dir(&dir)?.next().is_some() {
                bail!("{} is not empty and was not made by `anteroom dev`: choose another folder", dir.display());
            }
            mark(&dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(dir.join(LOCK))?;
        if !lock::take(&file, PATIENCE).await.with_context(|| format!("cannot lock {}", dir.display()))? {
            bail!("{} is in use by another `anteroom dev`: stop it, or choose another folder", dir.display());
        }
        Ok(Self { dir, _lock: file })
    }

    pub(super) fn redis(&self) -> PathBuf {
        self.dir.join(REDIS)
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join(POSTGRES)
    }
}

/// Removes what the stores and the secrets left in a data folder; what else is in it stays. A folder that is not ours is
/// refused, and one in use; one that does not exist is wiped already.
pub async fn wipe(data_dir: &Path) -> anyhow::Result<()> {
    if !data_dir.try_exists()? {
        return Ok(());
    }
    if !is_ours(data_dir) {
        bail!("{} was not made by `anteroom dev`: nothing is removed from it", data_dir.display());
    }
    let folder = Folder::open(data_dir).await?;
    for store in [folder.redis(), folder.postgres()] {
        if store.try_exists()? {
            // Whom a killed program left behind is about to end, and would write into what we remove.
            let _ended: Log = Log::take(&store.join("log")).await?;
        }
    }
    home::remove_elsewhere(&folder.postgres())?;
    for name in [REDIS, POSTGRES] {
        gone(fs::remove_dir_all(folder.dir.join(name)), name)?;
    }
    for name in [secrets::TOKEN_KEY, secrets::ADMIN_TOKEN] {
        gone(fs::remove_file(folder.dir.join(name)), name)?;
    }
    Ok(())
}

/// Makes a folder that others may go through but not read: a Postgres of another user lives below it.
pub(super) fn make_dir(dir: &Path) -> anyhow::Result<()> {
    make(dir, 0o711)
}

/// Makes a folder for ourselves alone.
pub(super) fn make_private_dir(dir: &Path) -> anyhow::Result<()> {
    make(dir, 0o700)
}

fn make(dir: &Path, mode: u32) -> anyhow::Result<()> {
    let outcome = DirBuilder::new().recursive(true).mode(mode).create(dir);
    outcome.with_context(|| format!("cannot make the folder {}", dir.display()))
}

pub(super) fn is_ours(dir: &Path) -> bool {
    dir.join(MARKER).is_file()
}

/// Marks a folder that has no mark yet. Follows no link, because another user may have the folder by now.
pub(super) fn mark(dir: &Path) -> anyhow::Result<()> {
    let marked = OpenOptions::new().write(true).create_new(true).open(dir.join(MARKER));
    let marked = marked.and_then(|mut file| file.write_all(MARKER_TEXT.as_bytes()));
    marked.with_context(|| format!("cannot write into {}", dir.display()))
}

/// Removing what is not there is no error.
pub(super) fn gone(removed: std::io::Result<()>, name: &str) -> anyhow::Result<()> {
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).with_context(|| format!("cannot remove {name}")),
        _ => Ok(()),
    }
}
