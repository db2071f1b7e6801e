//! What has come of the links that keys asked for, for those who were not at them: a program that has a person connect
//! something asks again until that is done, at whichever node.

use keyfob_core::id::ContactId;
use keyfob_store::{
    authentication::{self, Outcome},
    refresh::Holder,
};
use secrecy::SecretString;

use super::{
    Broker, Caller, SecretRef,
    authentication::{NewLink, checked_return_url},
    credential,
    shared::expect_no_value,
};
use crate::error::Error;

/// What has come of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It can still be used.
    Open,
    /// A credential was handed over.
    Connected,
    /// The person did not want to.
    Declined,
    /// It was taken back.
    Withdrawn,
}

impl Broker {
    /// What has come of the link that this key asked for last, if that was made within the 15 minutes that it can be
    /// used for. The key must be one that may ask for such a link.
    pub async fn link_state(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Option<LinkState>, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let (caller, contact, at) = (caller.clone(), contact.cloned(), at.clone());
        self.read(move |tx| {
            let usable = broker.connectable(tx, &caller, contact.as_ref(), &at)?;
            let Some(key) = caller.key() else { return Ok(None) };
            let (account, secret) = (caller.account().clone(), usable.secret.id);
            let holder = Holder { account, contact: contact.clone(), secret };
            let last = authentication::last(tx, &holder, key, now)?;
            Ok(last.map(|link| match link.outcome {
                None => LinkState::Open,
                Some(Outcome::Connected) => LinkState::Connected,
                Some(Outcome::Declined) => LinkState::Declined,
                Some(Outcome::Withdrawn) => LinkState::Withdrawn,
            }))
        })
        .await
    }

    /// The link that this caller was given for the same a moment ago, or a new one: who asks again until a person is
    /// done needs no further one.
    pub async fn link_again(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
        return_url: Option<&str>,
    ) -> Result<SecretString, Error> {
        let (now, broker, asking) = (self.now()?, self.clone(), caller.clone());
        let (contact, at) = (contact.cloned(), at.clone());
        let return_url = return_url.map(str::to_owned);
        let link = self.read(move |tx| {
            let usable = broker.connectable(tx, &asking, contact.as_ref(), &at)?;
            credential::expect_connected(&usable)?;
            if contact.is_none() {
                expect_no_value(&usable, now)?;
            }
            let return_url = return_url.as_deref();
            let return_url = return_url.map(|url| checked_return_url(tx, &asking, url));
            let return_url = return_url.transpose()?;
            Ok(NewLink { contact: contact.clone(), secret: usable.secret.id, return_url })
        });
        self.same_link(caller, link.await?).await
    }
}
