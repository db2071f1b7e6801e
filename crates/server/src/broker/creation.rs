//! Creates that are sent again: the first one's answer, and no second object.

use keyfob_core::time::Timestamp;
use keyfob_store::{
    ReadTx, WriteTx,
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
    /// this one makes its object: also one that names itself by its content, because who sends it
    /// again may leave the name out.
    pub(super) fn claim_creation(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<Option<String>, Error> {
        let (by_content, by_name) = self.creations(tx, caller, claim)?;
        let first = match claim.repeat {
            Repeat::No => None,
            Repeat::Retry => earlier(tx, caller, &by_content)?,
            Repeat::Key(_) => earlier(tx, caller, &by_name)?,
        };
        if first.is_none() {
            creation::replace(tx, caller.account(), &by_content)?;
        }
        Ok(first)
    }

    /// Remembers that this request makes its object although it repeats another: what that one made
    /// was deleted since.
    pub(super) fn reclaim_creation(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<(), Error> {
        let (by_content, by_name) = self.creations(tx, caller, claim)?;
        creation::replace(tx, caller.account(), &by_name)?;
        Ok(creation::replace(tx, caller.account(), &by_content)?)
    }

    /// What is remembered of a create: under its content, and under its name, which is its content
    /// where it has none.
    fn creations(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<(Creation, Creation), Error> {
        let key = self.inner.keyring.newest(tx, caller.account())?;
        let sender = caller.key().map_or("", |key| key.as_str()).as_bytes();
        let parts: Vec<_> = [sender].into_iter().chain(claim.content.iter().copied()).collect();
        let content = key.fingerprint(&parts);
        let name = match claim.repeat {
            Repeat::Key(name) => key.fingerprint(&[b"idempotency key", sender, name.as_bytes()]),
            Repeat::No | Repeat::Retry => content,
        };
        let by = |fingerprint| {
            let object_id = claim.object_id.to_owned();
            Creation { fingerprint, content, object_id, created_at: claim.now }
        };
        Ok((by(content), by(name)))
    }
}

/// What a create with this one's fingerprint made in the last minutes. Otherwise this one is remembered
/// under it.
fn earlier(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    creation: &Creation,
) -> Result<Option<String>, Error> {
    let since = creation.created_at.minus(CREATES_KEPT);
    let Some(first) = creation::claim(tx, caller.account(), creation, since)? else {
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
