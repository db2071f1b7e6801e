//! What was read lately, so that it need not be read again for each request.
//!
//! A change on this node is seen by the next request, one on another node within [`FRESH`].

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use keyfob_core::time::Timestamp;
use quick_cache::{UnitWeighter, sync::Cache};

/// Rows kept; another one costs a read.
const KEPT: usize = 10_000;
/// Rows that there is room for before it is needed.
const EXPECTED: usize = 64;
/// What was changed on another node still counts here for so long: less than the second within which a
/// revoked key has to end everywhere (contract/keyfob).
const FRESH: Duration = Duration::from_millis(900);

pub(super) struct Recent<K, V> {
    rows: Cache<K, Arc<Row<V>>>,
    /// Counts the changes on this node: what was read before the last one is stale.
    changes: AtomicU64,
}

struct Row<V> {
    value: V,
    reading: Reading,
}

/// When something was read. Taken before the read: a change during it makes what was read stale.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    at: Timestamp,
    changes: u64,
}

impl<K, V> Default for Recent<K, V>
where
    K: Eq + Hash,
{
    fn default() -> Self {
        let rows = Cache::with_weighter(EXPECTED, KEPT as u64, UnitWeighter);
        Self { rows, changes: AtomicU64::new(0) }
    }
}

impl<K, V> Recent<K, V>
where
    K: Eq + Hash + Clone,
    V: Clone,
{
    /// What was read of `key` at most [`FRESH`] ago, and not changed here since.
    pub(super) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let row = self.rows.get(key)?;
        let age = now.as_millis().saturating_sub(row.reading.at.as_millis()).unsigned_abs();
        let is_fresh = u128::from(age) <= FRESH.as_millis();
        let is_unchanged = row.reading.changes == self.changes.load(Ordering::Acquire);
        (is_fresh && is_unchanged).then(|| row.value.clone())
    }

    /// Begins a read.
    pub(super) fn begin(&self, now: Timestamp) -> Reading {
        Reading { at: now, changes: self.changes.load(Ordering::Acquire) }
    }

    /// Keeps what a read found. It must be committed: what an open transaction holds may be undone.
    pub(super) fn keep(&self, key: K, value: V, reading: Reading) {
        self.rows.insert(key, Arc::new(Row { value, reading }));
    }

    /// Makes the next request of each row read it anew. To be called after the commit of a change, and
    /// before its answer.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}
