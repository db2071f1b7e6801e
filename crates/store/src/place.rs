//! Whether the file of SQLite is still the one that was opened.
//!
//! A file that is removed or replaced under a running server stays open: whatever is written to it is
//! answered, and on no disk. So the file's place is looked at from time to time, and what was opened
//! elsewhere is refused.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{StoreError, queue::now};

/// The place is looked at again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where a file was when it was opened.
pub(crate) struct Place {
    path: PathBuf,
    /// The file's device and number.
    file: (u64, u64),
    opened_at: Instant,
    /// When it was last looked at, in milliseconds since it was opened.
    looked_at: AtomicU64,
    is_gone: AtomicBool,
}

impl Place {
    /// The place of the file that is there now.
    pub(crate) fn of(path: &Path) -> Result<Self, StoreError> {
        let missing = || StoreError::Open(format!("there is no file {}", path.display()));
        Ok(Self {
            path: path.to_owned(),
            file: file_at(path).ok_or_else(missing)?,
            opened_at: now(),
            looked_at: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        })
    }

    /// Refuses work on a file that is not in its place any more; for good, because one that is put back
    /// may hold anything. Looks about once a second.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let passed = now().saturating_duration_since(self.opened_at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        if u128::from(passed.saturating_sub(looked_at)) >= AGAIN_AFTER.as_millis() {
            self.looked_at.store(passed, Ordering::Relaxed);
            return self.look();
        }
        self.refuse_if_gone()
    }

    /// Looks now: before an answer leaves, what it tells of must be in the place.
    pub(crate) fn look(&self) -> Result<(), StoreError> {
        if file_at(&self.path) != Some(self.file) {
            self.is_gone.store(true, Ordering::Relaxed);
        }
        self.refuse_if_gone()
    }

    fn refuse_if_gone(&self) -> Result<(), StoreError> {
        if !self.is_gone.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = self.path.display();
        let text = format!(
            "the database file {path} was removed or replaced while it was open: stop the server, put the file back, and start again"
        );
        Err(StoreError::Unavailable(text.into()))
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
