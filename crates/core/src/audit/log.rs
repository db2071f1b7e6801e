//! The log of checkpoints, as whoever adds to it knows it.

use std::collections::BTreeMap;

use super::{Checkpoint, Edge, Hash, PublicKey, known::Known};
use crate::time::Timestamp;

/// The log does not go on at this number as this vault wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log of checkpoints of the audit trail is not as this vault wrote it at number {0}: nothing more is signed or removed. `keyfob event verify` says what was changed"
)]
pub struct BrokenLog(pub i64);

/// The newest checkpoint, of these that follow `last`: each names the hash of the one before it, and the key
/// has signed the last of them, and so all. There is one at least, unless `last` is one.
pub fn follow(
    last: Option<(i64, Hash)>,
    checkpoints: &[Checkpoint],
    key: &PublicKey,
) -> Result<(i64, Hash), BrokenLog> {
    let (mut number, mut hash) = last.unwrap_or((0, Checkpoint::NOTHING));
    for checkpoint in checkpoints {
        number += 1;
        if checkpoint.number != number || checkpoint.previous != hash {
            return Err(BrokenLog(number));
        }
        hash = checkpoint.hash();
    }
    let is_signed = checkpoints.last().map_or(last.is_some(), |newest| key.has_signed(newest));
    if is_signed { Ok((number, hash)) } else { Err(BrokenLog(number.max(1))) }
}

/// What a log says, whose checkpoints were all signed by one key, from the first one on.
#[derive(Default)]
pub struct Log {
    newest: Option<(i64, Hash)>,
    /// When that was made.
    newest_at: Option<Timestamp>,
    chains: BTreeMap<String, Known>,
}

impl Log {
    /// The newest checkpoint's number and hash.
    #[must_use]
    pub const fn newest(&self) -> Option<(i64, Hash)> {
        self.newest
    }

    /// When the newest checkpoint was made.
    #[must_use]
    pub const fn newest_at(&self) -> Option<Timestamp> {
        self.newest_at
    }

    /// Takes the checkpoints that come next, or none of them.
    pub fn extend(&mut self, checkpoints: &[Checkpoint], key: &PublicKey) -> Result<(), BrokenLog> {
        self.newest = Some(follow(self.newest, checkpoints, key)?);
        for checkpoint in checkpoints {
            let Checkpoint { number, created_at, heads, .. } = checkpoint;
            self.newest_at = Some(*created_at);
            for head in heads {
                let known = self.chains.entry(head.chain.clone()).or_default();
                known.note(head, *number, *created_at);
            }
        }
        Ok(())
    }

    /// Up to where the chain is covered, and the hash there.
    #[must_use]
    pub fn covered(&self, chain: &str) -> Option<(i64, Hash)> {
        let known = self.chains.get(chain)?;
        known.end().map(|hash| (known.covered(), hash))
    }

    /// When a checkpoint has named the chain last.
    #[must_use]
    pub fn named_at(&self, chain: &str) -> Option<Timestamp> {
        self.chains.get(chain)?.at
    }

    /// Up to where the chain was removed.
    #[must_use]
    pub fn edge(&self, chain: &str) -> Option<(i64, Edge)> {
        self.chains.get(chain)?.edge
    }

    /// Up to where the chain was covered before a moment, up to an hour before it.
    #[must_use]
    pub fn covered_before(&self, chain: &str, before: Timestamp) -> i64 {
        self.chains.get(chain).map_or(0, |known| known.covered_before(before))
    }
}
