//! What checkpoints say of one chain. It is not more for more checkpoints.

use std::collections::BTreeMap;

use super::{Hash, Head};

/// Heads that are remembered of a chain: where it is rewritten, they say between which two.
const REMEMBERED: usize = 256;

/// What checkpoints say of a chain.
#[derive(Default)]
pub(super) struct Known {
    /// The farthest head: its position, its hash and the checkpoint that names it.
    last: Option<(i64, Hash, i64)>,
    /// Some of the heads before it, as far apart as they must be to be few.
    some: BTreeMap<i64, (Hash, i64)>,
    /// One of so many, as a power of two, is among those.
    rarity: u32,
    seen: u64,
    /// Up to where events were removed, and the hash there.
    pub(super) edge: Option<(i64, Hash)>,
    pub(super) is_walked: bool,
}

impl Known {
    pub(super) fn covered(&self) -> i64 {
        self.last.map_or(0, |(position, ..)| position)
    }

    pub(super) fn edge(&self) -> i64 {
        self.edge.map_or(0, |(position, _)| position)
    }

    /// The hash that a position must have, and the checkpoint that says so.
    pub(super) fn at(&self, position: i64) -> Option<(Hash, i64)> {
        let last = self.last.filter(|(last, ..)| *last == position);
        last.map(|(_, hash, number)| (hash, number)).or_else(|| self.some.get(&position).copied())
    }

    pub(super) fn note(&mut self, head: &Head, checkpoint: i64) {
        if head.is_edge && head.position > self.edge() {
            self.edge = Some((head.position, head.hash));
        }
        if self.last.is_none_or(|(last, ..)| head.position > last) {
            self.last = Some((head.position, head.hash, checkpoint));
        }
        if self.seen.trailing_zeros() >= self.rarity {
            self.some.entry(head.position).or_insert((head.hash, checkpoint));
        }
        self.seen += 1;
        if self.some.len() > REMEMBERED {
            let mut keep = false;
            self.some.retain(|_, _| {
                keep = !keep;
                keep
            });
            self.rarity += 1;
        }
    }
}
