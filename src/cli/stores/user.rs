//! Whom Postgres runs as when we are root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::bail;
use tokio::process::Command;

/// A user without rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// The user for what refuses to run as root: none where we are not root.
    pub(super) async fn unprivileged() -> anyhow::Result<Option<Self>> {
        if id(&["-u"]).await != Some(0) {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id(&["-u", name]).await, id(&["-g", name]).await) {
                return Ok(Some(Self { uid, gid }));
            }
        }
        bail!("Postgres does not run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// Whether this user can go through a folder and all above it.
    pub(super) fn reaches(self, dir: &Path) -> bool {
        let Ok(dir) = dir.canonicalize() else { return false };
        dir.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|about| self.passes(&about)))
    }

    fn passes(self, folder: &fs::Metadata) -> bool {
        let right = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & right != 0
    }
}

/// What `id` says: the portable way to read users, on macOS too, without unsafe calls.
async fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().await.ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
