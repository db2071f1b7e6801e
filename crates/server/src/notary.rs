//! What vouches for events as the store writes them: the vault's audit key, which the store never sees.

use std::sync::OnceLock;

use keyfob_core::audit::{AuditKey, Hash, Tag};
use keyfob_store::Notary;

/// The audit key, once it is known: a new vault's database is there before its master key is, and no event is
/// written in between.
#[derive(Default)]
pub(crate) struct VaultNotary(OnceLock<AuditKey>);

impl VaultNotary {
    /// From now on events are vouched for with this key.
    pub(crate) fn set(&self, key: AuditKey) {
        // It is set once, where the vault is opened.
        let _ = self.0.set(key);
    }
}

impl Notary for VaultNotary {
    fn tag(&self, hash: &Hash) -> Option<Tag> {
        Some(self.0.get()?.tag(hash))
    }
}
