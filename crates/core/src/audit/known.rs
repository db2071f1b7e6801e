//! What checkpoints say of one chain. It is not more for more checkpoints of an hour.

use std::collections::BTreeMap;

use super::{Edge, Hash, Head};
use crate::time::Timestamp;

/// Heads that are remembered of a chain: where it is rewritten, they say between which two.
const REMEMBERED: usize = 256;
/// How exactly it is remembered since when a chain is signed up to where.
const HOUR: i64 = 3_600_000;

/// What checkpoints say of a chain.
#[derive(Default)]
pub(super) struct Known {
    /// The farthest head: its position, its hash and the checkpoint that names it.
    last: Option<(i64, Hash, i64)>,
    /// When a checkpoint has named the chain last.
    pub(super) at: Option<Timestamp>,
    /// Some of the heads before it, as far apart as they must be to be few.
    some: BTreeMap<i64, (Hash, i64)>,
    /// One of so many, as a power of two, is among those.
    rarity: u32,
    seen: u64,
    /// The farthest position that was signed in each hour, by the number of the hour that follows.
    hours: BTreeMap<i64, i64>,
    /// Up to where events were removed.
    pub(super) edge: Option<(i64, Edge)>,
    pub(super) is_walked: bool,
}

impl Known {
    pub(super) fn covered(&self) -> i64 {
        self.last.map_or(0, |(position, ..)| position)
    }

    /// The hash of the farthest event that is covered.
    pub(super) fn end(&self) -> Option<Hash> {
        self.last.map(|(_, hash, _)| hash)
    }

    pub(super) fn edge(&self) -> i64 {
        self.edge.map_or(0, |(position, _)| position)
    }

    /// The hash that a position must have, and the checkpoint that says so.
    pub(super) fn at(&self, position: i64) -> Option<(Hash, i64)> {
        let last = self.last.filter(|(last, ..)| *last == position);
        last.map(|(_, hash, number)| (hash, number)).or_else(|| self.some.get(&position).copied())
    }

    /// Up to where checkpoints covered it before a moment, up to an hour before it.
    pub(super) fn covered_before(&self, before: Timestamp) -> i64 {
        let hour = before.as_millis().div_euclid(HOUR);
        self.hours.range(..=hour).map(|(_, position)| *position).max().unwrap_or(0)
    }

    pub(super) fn note(&mut self, head: &Head, checkpoint: i64, at: Timestamp) {
        if let Some(birth) = head.edge_of
            && head.position > self.edge()
        {
            self.edge = Some((head.position, Edge { hash: head.hash, birth }));
        }
        if self.last.is_none_or(|(last, ..)| head.position > last) {
            self.last = Some((head.position, head.hash, checkpoint));
        }
        self.at = Some(at);
        let farthest = self.hours.entry(at.as_millis().div_euclid(HOUR) + 1).or_default();
        *farthest = head.position.max(*farthest);
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
