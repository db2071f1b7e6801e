//! How grants are revoked at their providers.

use keyfob_api::revocation::Revocation;

use crate::{Client, List};

impl Client {
    /// How revocations go that wait, or that ended in the last days, page by page, newest first. `status`:
    /// only those that are `pending`, `revoked`, `unsupported` or `failed`.
    #[must_use]
    pub fn list_revocations(&self, status: Option<&str>) -> List<Revocation> {
        let query = status.map(|status| ("status".into(), status.into()));
        List::new(self, &["v1", "revocation", "list"], query.into_iter().collect())
    }
}
