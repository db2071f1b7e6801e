//! Handing a token itself out (contract/contacts-and-secrets, section 6.1): the access token of a grant, or a
//! token that is signed for the occasion.

use keyfob_core::{
    id::ContactId,
    policy::{Action, Object},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::ReadTx;
use secrecy::SecretString;

use super::{
    Broker, Caller, SecretRef,
    connection::{find_contact, told},
    secret::SECRET,
    source::{Ready, Wanted},
    usable::Usable,
};
use crate::error::Error;

/// A token, and when it ends.
pub struct Minted {
    /// The token.
    pub token: SecretString,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
}

impl Broker {
    /// A token of what the contact has connected. The secret must be the caller's own.
    pub async fn mint_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Minted, Error> {
        self.mint(caller, Some(contact), at, Action::ConnectionMint).await
    }

    /// A token of a shared secret of the caller's own.
    pub async fn mint_secret(&self, caller: &Caller, at: &SecretRef) -> Result<Minted, Error> {
        self.mint(caller, None, at, Action::SecretMint).await
    }

    async fn mint(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
        action: Action,
    ) -> Result<Minted, Error> {
        caller.decide(action, Object::Account)?;
        let (caller, contact, at) = (caller.clone(), contact.cloned(), at.clone());
        let wanted = Wanted { caller, contact, at, action };
        self.acquire(&wanted, mintable, |tx, of, usable, ready, now| {
            let Ready { text: token, expires_at } = ready;
            let (caller, secret) = (&of.caller, &usable.secret.id);
            let mut event = match &of.contact {
                Some(contact) => told(caller, now, of.action, contact, secret),
                None => caller.event(now, of.action, SECRET, secret.to_shared()),
            };
            event.reason = usable.told();
            Ok(tx.commit(event, Minted { token, expires_at }))
        })
        .await
    }
}

/// The secret that is wanted, if it is the caller's own and has tokens.
fn mintable(broker: &Broker, tx: &mut ReadTx<'_>, wanted: &Wanted) -> Result<Usable, Error> {
    let Wanted { caller, contact, at, action } = wanted;
    let contact = contact.as_ref().map(|id| find_contact(tx, caller, *action, id)).transpose()?;
    let usable = broker.usable(tx, caller, *action, at)?;
    // What is another account's must not be had by way of a reference of one's own either.
    if usable.secret.account != *caller.account() || !usable.is_of_one_account {
        return Err(Error::Forbidden);
    }
    match (&contact, usable.secret.kind) {
        (Some(_), Kind::Shared) => {
            let text = "a shared secret has no token of a contact's";
            return Err(Error::Denied { code: "not_mintable", message: text.into() });
        }
        (None, Kind::Personal) => {
            return Err(not_mintable("a personal secret has tokens of contacts only"));
        }
        (Some(contact), Kind::Personal) if contact.verified_at.is_none() => {
            return Err(Error::conflict("Cannot mint secret for this secret configuration"));
        }
        _ => {}
    }
    match usable.secret_type {
        SecretType::OAuth | SecretType::Jwt => Ok(usable),
        _ => Err(not_mintable("only secrets of type oauth and jwt have tokens")),
    }
}

fn not_mintable(why: &'static str) -> Error {
    Error::Conflict { code: "not_mintable", message: why.into() }
}
