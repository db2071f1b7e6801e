//! Creates that are sent again: the first one's answer, and no second object.

use keyfob_core::{crypto::DataKey, time::Timestamp};
use keyfob_store::{
    WriteTx,
    creation::{self, Creation},
};

use super::{Broker, CREATES_KEPT, Caller};
use crate::error::Error;

/// How a request says that it may be one that was sent before.
#[derive(Clone, Debug)]
pub enum Repeat {
    /// It does not.
    No,
    /// It is a retry of a client that sends no key.
    Retry,
    /// It names itself (`Idempotency-Key`).
    Key(String),
}

/// A create that is about to be done.
pub(super) struct Claim<'a> {
    pub(super) repeat: &'a Repeat,
    /// All that the request says; its first part names what it makes.
    pub(super) content: &'a [&'a [u8]],
    /// What it makes, if it is the first.
    pub(super) object_id: &'a str,
    pub(super) now: Timestamp,
}

impl Broker {
    /// What an earlier request like this one made, if this one repeats it. Otherwise remembers that
    /// this one makes its object.
    pub(super) fn claim_creation(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<Option<String>, Error> {
        let account = caller.account();
        let key = self.inner.keyring.newest(tx, account)?;
        let creation = claim.creation(&key, caller);
        if matches!(claim.repeat, Repeat::No) {
            creation::replace(tx, account, &creation)?;
            return Ok(None);
        }
        let since = claim.now.minus(CREATES_KEPT);
        let Some(first) = creation::claim(tx, account, &creation, since)? else {
            return Ok(None);
        };
        if first.content != creation.content {
            return Err(Error::Conflict {
                code: "idempotency_key_reused",
                message: "this Idempotency-Key was sent with other content in the last ten minutes: use a new one".into(),
            });
        }
        Ok(Some(first.object_id))
    }

    /// Remembers that this request makes its object although it repeats another: what that one made
    /// was deleted since.
    pub(super) fn reclaim_creation(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<(), Error> {
        let key = self.inner.keyring.newest(tx, caller.account())?;
        Ok(creation::replace(tx, caller.account(), &claim.creation(&key, caller))?)
    }
}

impl Claim<'_> {
    fn creation(&self, key: &DataKey, caller: &Caller) -> Creation {
        let sender = caller.key().map_or("", |key| key.as_str()).as_bytes();
        let parts: Vec<_> = [sender].into_iter().chain(self.content.iter().copied()).collect();
        let content = key.fingerprint(&parts);
        let fingerprint = match self.repeat {
            Repeat::Key(name) => key.fingerprint(&[b"idempotency key", sender, name.as_bytes()]),
            Repeat::No | Repeat::Retry => content,
        };
        let object_id = self.object_id.to_owned();
        Creation { fingerprint, content, object_id, created_at: self.now }
    }
}
