//! The audit trail that proves itself: hash chains over events, signed checkpoints, and how both are checked.
//!
//! ```text
//! birth ─► event 1 ─► event 2 ─► … ─► event n          one chain per writer
//!              │                         │
//!              ▼                         ▼
//!         checkpoint 1 ────────────► checkpoint 2      one log for all chains, signed
//! ```
//!
//! The hash of an event covers all of its fields, its place in its chain and the hash of the event before it. A
//! checkpoint names the heads of chains and the hash of the checkpoint before it, and is signed by a key that
//! whoever writes the database does not have. What is later than the newest checkpoint is held by the events'
//! tags, which only that key makes and checks.
//!
//! Nothing here reads or stores rows: texts come in as they are stored, changed ones too.

mod checkpoint;
mod encoding;
mod finding;
mod key;
mod known;
mod linked;
mod log;
mod part;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub use self::{
    checkpoint::{Checkpoint, Edge, Head, MalformedHeads},
    encoding::{Birth, Record, chain_id},
    finding::{At, Finding, Report},
    key::{AuditKey, AuditKeyId, MalformedPublicKey, PublicKey},
    linked::Linked,
    log::{BrokenLog, Log, follow},
    part::Part,
    verify::Verifier,
};

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;

/// A SHA-256 hash, or half of one: the tag of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<const N: usize>([u8; N]);

/// The chain that events from before there were chains are sealed as: in the order of their times, accounts and
/// ids, after zeros.
pub const SEALED: &str = "";

/// The hash of an event, of a chain's birth or of a checkpoint: SHA-256.
pub type Hash = Bytes<32>;

/// What only the holder of the audit key can have made for an event: the first half of an HMAC-SHA-256 of the
/// event's hash.
pub type Tag = Bytes<16>;

impl<const N: usize> Bytes<N> {
    /// The bytes as they are.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes as they are stored; `None` if there are more or fewer.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes that are written as hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_stored(&HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?)
    }

    /// The bytes as they are stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
