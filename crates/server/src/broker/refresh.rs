//! Renewals that somebody asks for, and those whose turn has come (contract/keyfob, "Connections").

use keyfob_core::{
    id::ContactId,
    policy::{Action, Object},
    secret::{Kind, SecretType},
};
use keyfob_store::refresh::Holder;

use super::{
    Broker, Caller, SecretRef, Verified,
    connection::{NOT_OF_CONTACT, find_contact},
    grant::shared_holder,
    renewal::Need,
};
use crate::error::Error;

impl Broker {
    /// Has the tokens of what the contact has connected renewed now; what is known after that. A connection
    /// that works goes on to work, whatever comes of it.
    pub async fn refresh_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Verified, Error> {
        caller.decide(Action::ConnectionRefresh, Object::Account)?;
        let (broker, asking) = (self.clone(), caller.clone());
        let (of, secret) = (contact.clone(), at.clone());
        let holder = self.read(move |tx| {
            let contact = find_contact(tx, &asking, Action::ConnectionRefresh, &of)?;
            let usable = broker.usable(tx, &asking, Action::ConnectionRefresh, &secret)?;
            if usable.secret.kind == Kind::Shared {
                return Err(Error::conflict(NOT_OF_CONTACT));
            }
            if contact.verified_at.is_none() {
                let text = "Cannot refresh secret for this secret configuration";
                return Err(Error::conflict(text));
            }
            expect_oauth(usable.secret_type)?;
            let (account, contact) = (asking.account().clone(), Some(contact.id));
            Ok(Holder { account, contact, secret: usable.secret.id })
        });
        let caller = &self.force(caller, &holder.await?).await?;
        self.verify_connection_for(caller, Action::ConnectionRefresh, contact, at).await
    }

    /// Has the tokens of a shared secret renewed now; what is known after that.
    pub async fn refresh_secret(&self, caller: &Caller, at: &SecretRef) -> Result<Verified, Error> {
        caller.decide(Action::SecretRefresh, Object::Account)?;
        let (broker, asking, secret) = (self.clone(), caller.clone(), at.clone());
        let holder = self.read(move |tx| {
            let usable = broker.usable(tx, &asking, Action::SecretRefresh, &secret)?;
            if usable.secret.kind == Kind::Personal {
                let text = "Cannot refresh secret for this secret configuration";
                return Err(Error::conflict(text));
            }
            expect_oauth(usable.secret_type)?;
            Ok(shared_holder(&usable))
        });
        let caller = &self.force(caller, &holder.await?).await?;
        self.verify_secret_for(caller, Action::SecretRefresh, at).await
    }

    /// Has it renewed whether it is due or not; the caller as it is after that.
    async fn force(&self, caller: &Caller, holder: &Holder) -> Result<Caller, Error> {
        let (broker, of) = (self.clone(), holder.clone());
        let held = self.read(move |tx| broker.held(tx, &of)).await?;
        // Whoever asks means the tokens that are there now: if somebody else replaces them meanwhile, that is
        // what was asked for.
        let Some(held) = held else { return Ok(caller.clone()) };
        let seen = held.place.value().cloned();
        let (caller, _) = self.renew_for(caller, holder, Need::Forced(seen)).await?;
        Ok(caller)
    }
}

fn expect_oauth(secret_type: SecretType) -> Result<(), Error> {
    if secret_type == SecretType::OAuth {
        return Ok(());
    }
    let message = "only secrets of type oauth have tokens that are renewed".into();
    Err(Error::Conflict { code: "not_refreshable", message })
}
