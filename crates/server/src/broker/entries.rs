//! The entries that codes were asked for lately: agents ask for the same ones again and again.

use std::sync::Arc;

use keyfob_core::id::{AccountId, TotpId};
use keyfob_store::totp::{self, SealedTotp};

use super::{
    Broker,
    code::Request,
    recent::{Reading, Recent},
};
use crate::error::Error;

/// Entries with the account they belong to, sealed as they are stored.
pub(super) type Entries = Recent<TotpId, (AccountId, Arc<SealedTotp>)>;

impl Broker {
    /// The entry as it was read lately. With `may_read` it is read if it was not.
    pub(super) async fn recent_entry(
        &self,
        request: &Request,
        may_read: bool,
    ) -> Result<Option<Arc<SealedTotp>>, Error> {
        let (entries, now) = (&self.inner.entries, self.now()?);
        let known = entries.get(&request.id, now);
        let known = known.filter(|(account, _)| account == request.caller.account());
        if known.is_some() || !may_read {
            return Ok(known.map(|(_, totp)| totp));
        }
        let (reading, asked) = (entries.begin(now), request.clone());
        let find = self.read(move |tx| {
            let found = totp::find_sealed(tx, asked.caller.account(), &asked.id)?;
            found.ok_or(Error::NotFound)
        });
        let totp = Arc::new(find.await?);
        self.keep_entry(request, Arc::clone(&totp), reading);
        Ok(Some(totp))
    }

    /// Keeps an entry that is committed as it is here.
    pub(super) fn keep_entry(&self, request: &Request, totp: Arc<SealedTotp>, reading: Reading) {
        let entry = (request.caller.account().clone(), totp);
        self.inner.entries.keep(request.id.clone(), entry, reading);
    }
}
