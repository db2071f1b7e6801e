//! Units that nobody waits for and that could not be done yet: they are tried until they are.
//!
//! The database is away, its disk is full, or it refuses one of them. Nobody must lose an audit event
//! by that, and nobody who waits must suffer: they are tried apart from the others, fewer at a time as
//! they fail and more as they succeed, so that one bad unit ends up alone.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{error::StoreError, queue::now, writer::Entry};

/// The wait after an attempt that failed.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// At the end so long is spent on them.
const AT_THE_END: Duration = Duration::from_secs(5);

pub(crate) struct Left {
    entries: VecDeque<Entry>,
    /// How many are tried together.
    at_once: usize,
    /// The most that are tried together.
    most: usize,
    due: Instant,
}

impl Left {
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), at_once: most, most, due: now() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes entries in that could not be done, because of `error`.
    pub(crate) fn add(&mut self, entries: Vec<Entry>, error: &StoreError) {
        if entries.is_empty() {
            return;
        }
        if self.entries.is_empty() {
            tracing::error!(
                error = error.chain(),
                "units of work that nobody waits for, audit events among them, cannot be stored; they are kept in memory and tried again, and callers wait for their own",
            );
            self.due = now() + AGAIN_AFTER;
        }
        self.entries.extend(entries);
    }

    /// How long the writer may wait for other work; as long as it likes if there is nothing here.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (!self.entries.is_empty()).then(|| self.due.saturating_duration_since(now()))
    }

    /// Those whose turn it is.
    pub(crate) fn due(&mut self) -> Vec<Entry> {
        if now() < self.due {
            return Vec::new();
        }
        self.entries.drain(..self.at_once.min(self.entries.len())).collect()
    }

    /// What was due is done.
    pub(crate) fn done(&mut self) {
        self.at_once = (self.at_once * 8).min(self.most);
        if self.entries.is_empty() {
            tracing::info!("what could not be stored is stored");
        }
    }

    /// What was due failed again.
    pub(crate) fn failed(&mut self, entries: Vec<Entry>) {
        if self.at_once == 1 {
            // The others may fare better.
            self.entries.extend(entries);
            self.due = now() + AGAIN_AFTER;
        } else {
            for entry in entries.into_iter().rev() {
                self.entries.push_front(entry);
            }
            self.at_once = (self.at_once / 8).max(1);
        }
    }

    /// Until when the last attempts are made when the store is closed.
    pub(crate) fn end() -> Instant {
        now() + AT_THE_END
    }

    /// Gives up those that are left.
    pub(crate) fn give_up(self) {
        if !self.entries.is_empty() {
            tracing::error!(
                units = self.entries.len(),
                "the store closes before units of work that nobody waits for, audit events among them, could be stored: they are lost",
            );
        }
    }
}
