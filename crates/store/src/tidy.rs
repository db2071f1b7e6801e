//! When the writer empties SQLite's write-ahead log, in which what was deleted or overwritten is still to
//! be read.

use std::time::{Duration, Instant};

use crate::queue::now;

/// A writer that had nothing to do for so long empties it.
const IDLE: Duration = Duration::from_secs(1);
/// One that always has something to do empties it so long after it first wrote. Emptying costs two waits
/// for the disk, and the log's room on the disk has to be found anew.
const BUSY: Duration = Duration::from_secs(3);
/// The wait after a reader was in the way: what could be moved was, so trying again costs next to nothing.
const IN_THE_WAY: Duration = Duration::from_millis(100);

/// What is known of the log.
#[derive(Default)]
pub(crate) struct Tidy {
    /// When it is to be emptied at the latest; `None` if nothing was written since it was.
    due: Option<Instant>,
}

impl Tidy {
    /// Something is about to be written.
    pub(crate) fn note_write(&mut self) {
        self.due.get_or_insert_with(|| now() + BUSY);
    }

    /// How long the writer waits for work before it empties the log; `None` if that is empty.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.due.map(|_| IDLE)
    }

    /// Whether it holds something.
    pub(crate) fn is_wanted(&self) -> bool {
        self.due.is_some()
    }

    /// Whether it can wait no longer.
    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= now())
    }

    /// It was tried.
    pub(crate) fn note(&mut self, is_empty: bool) {
        self.due = (!is_empty).then(|| now() + IN_THE_WAY);
    }
}
