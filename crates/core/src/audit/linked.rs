//! An event with its place in its chain.

use super::{At, Hash, Record, Tag};

/// So far from its position it is looked where an event was written that has been moved.
const REACH: i64 = 1000;

/// An event with its place in its chain, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Linked<'a> {
    /// What it tells.
    pub record: Record<'a>,
    /// Its chain.
    pub chain: &'a str,
    /// Its position there.
    pub position: i64,
    /// The hash that it says it follows.
    pub previous: Option<Hash>,
    /// Its hash.
    pub hash: Option<Hash>,
    /// Its tag.
    pub tag: Option<Tag>,
}

impl Linked<'_> {
    pub(super) fn at(&self) -> At {
        At {
            event: self.record.id.to_owned(),
            account: self.record.account.to_owned(),
            chain: self.chain.to_owned(),
            position: self.position,
        }
    }

    /// Whether it holds what its hash is of.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole_at(self.position)
    }

    fn is_whole_at(&self, position: i64) -> bool {
        let hash = self.previous.map(|previous| self.record.hash(self.chain, position, &previous));
        hash.is_some() && hash == self.hash
    }

    /// Where it was written, if that is near and another position.
    pub(super) fn origin(&self) -> Option<i64> {
        let near = self.position.saturating_sub(REACH)..=self.position.saturating_add(REACH);
        near.into_iter().find(|position| self.is_whole_at(*position))
    }
}
