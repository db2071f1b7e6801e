//! Checks a part of a trail: the events of one account, in any order, as they are listed.

use std::collections::BTreeMap;

use super::{Finding, Hash, Linked};

/// Checks events one by one, and those that are neighbours in their chain against each other. That none is
/// missing only the whole trail can tell.
#[derive(Default)]
pub struct Part {
    /// The last event that was seen of each chain: its position, its hash and the one that it follows.
    last: BTreeMap<String, (i64, Option<Hash>, Option<Hash>)>,
}

impl Part {
    /// What is wrong with the next event.
    pub fn event(&mut self, event: &Linked<'_>) -> Option<Finding> {
        let seen = (event.position, event.hash, event.previous);
        let last = self.last.insert(event.chain.to_owned(), seen);
        if !event.is_whole() {
            return Some(Finding::Changed(event.at()));
        }
        let (position, hash, previous) = last?;
        let is_broken = match event.position.saturating_sub(position) {
            1 => event.previous != hash,
            -1 => event.hash != previous,
            0 => return Some(Finding::Doubled(event.at())),
            _ => false,
        };
        is_broken.then(|| Finding::Replaced(event.at()))
    }
}
