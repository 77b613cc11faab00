//! Locks on files, which the kernel takes back from a process however it ends.

use std::fs::{File, TryLockError};
use std::time::Duration;

use tokio::time::sleep;

use crate::clock;

const BETWEEN: Duration = Duration::from_millis(20);

/// Locks a file, waiting a while for whoever has it; says whether it could. The lock belongs to all who have this very
/// opening of the file, and ends when the last of them closes it.
pub(super) async fn take(file: &File, patience: Duration) -> std::io::Result<bool> {
    let started = clock::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if started.elapsed() >= patience => return Ok(false),
            Err(TryLockError::WouldBlock) => sleep(BETWEEN).await,
        }
    }
}
