//! Connections: what contacts have connected (contract/contacts-and-secrets, section 5; contract/keyfob,
//! "Connections").

use keyfob_core::{
    crypto::Sealed,
    id::{ConnectionId, ContactId, SecretId},
    oauth::Grant,
    policy::{Action, Object, connection_row},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, WriteTx, authentication,
    connection::{self, Connection},
    contact::{self, Contact},
    refresh::{self, Holder},
    revocation,
};
use secrecy::ExposeSecret;

use super::{
    Broker, Caller, SecretRef,
    config::Terms,
    credential::{self, Again, Handed},
    usable::{Usable, find_usable},
    verify::Status,
};
use crate::error::Error;

/// The table, and the noun in seals.
pub(super) const CONNECTION: &str = "connection";

/// What a connection says of itself, without being opened. One that is broken can be used for as long as its
/// token lives.
pub(super) fn status(connection: &Connection, now: Timestamp) -> Status {
    let is_over = connection.expires_at.is_some_and(|end| end <= now);
    match &connection.broken {
        Some(_) if is_over || connection.expires_at.is_none() => Status::Broken,
        None if is_over => Status::Expired,
        _ => Status::Authenticated,
    }
}

impl Broker {
    /// Stores a contact's value of a personal secret, in place of what it had.
    pub async fn connect(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
        handed: Handed,
    ) -> Result<SecretId, Error> {
        caller.decide(Action::ConnectionConnect, Object::Account)?;
        let now = self.now()?;
        let (broker, caller) = (self.clone(), caller.clone());
        let (contact, at) = (contact.clone(), at.clone());
        self.change(move |tx| {
            let contact = hold_contact(tx, &caller, Action::ConnectionConnect, &contact)?;
            let usable = broker.usable_held(tx, &caller, Action::ConnectionConnect, &at)?;
            if usable.secret.kind == Kind::Shared {
                return Err(Error::conflict(NOT_OF_CONTACT));
            }
            if contact.verified_at.is_none() {
                let text = "Cannot connect secret for this secret configuration";
                return Err(Error::conflict(text));
            }
            let secret = usable.secret.id.clone();
            let mut event = told(&caller, now, Action::ConnectionConnect, &contact.id, &secret);
            let again = broker.imported_before(tx, (&caller, &contact, &usable), &handed, now)?;
            if again.is_some() {
                event.result = "repeated";
            }
            match again {
                Some(Again::Same) => broker.agree_anew(tx, &caller, &contact, &usable)?,
                Some(Again::Moved(grant)) => {
                    let terms = usable.config.terms();
                    broker.store_grant(tx, &caller, &contact, &usable, (&grant, &terms), now)?;
                }
                None => {
                    broker.store_connection(tx, &caller, &contact, &usable, &handed, now)?;
                }
            }
            Ok(tx.commit(event, secret))
        })
        .await
    }

    /// Whether this very grant was handed over before and works: a caller whose answer was lost sends it again,
    /// and what it holds may be used up by now. What it was renewed to stays; if it is for another place now, it
    /// is what is to be stored.
    fn imported_before(
        &self,
        tx: &mut ReadTx<'_>,
        (caller, contact, usable): (&Caller, &Contact, &Usable),
        handed: &Handed,
        now: Timestamp,
    ) -> Result<Option<Again>, Error> {
        if usable.secret_type != SecretType::OAuth {
            return Ok(None);
        }
        let given = credential::grant(handed, &usable.config, now)?;
        let there = self.held(tx, &holder(caller, contact, usable))?;
        let works = there.filter(|there| there.place.broken().is_none());
        Ok(works.and_then(|there| there.grant).and_then(|there| credential::again(there, &given)))
    }

    /// Has what the contact connects once more go where the secret lets it now.
    fn agree_anew(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        contact: &Contact,
        usable: &Usable,
    ) -> Result<(), Error> {
        let holder = holder(caller, contact, usable);
        if let Some(terms) = self.seal_terms(tx, &holder, &usable.config.terms())? {
            connection::set_terms(tx, &holder.account, &contact.id, &holder.secret, &terms)?;
        }
        Ok(())
    }

    /// Stores what was handed over for a secret that may be used. Contact and secret are held.
    pub(super) fn store_connection(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        contact: &Contact,
        usable: &Usable,
        handed: &Handed,
        now: Timestamp,
    ) -> Result<SecretId, Error> {
        let Usable { secret, secret_type, config, .. } = usable;
        if *secret_type == SecretType::OAuth {
            let grant = credential::grant(handed, config, now)?;
            let terms = config.terms();
            return self.store_grant(tx, caller, contact, usable, (&grant, &terms), now);
        }
        let value = credential::stored(handed, *secret_type, config, now)?;
        let row = connection_row(&contact.id, &secret.id);
        let key = self.inner.keyring.newest(tx, caller.account())?;
        let random = &*self.inner.random;
        let value = value.expose_secret().as_bytes();
        let value = key.seal(CONNECTION, &row, "value", value, random);
        let holder = holder(caller, contact, usable);
        let terms = self.seal_terms(tx, &holder, &config.terms())?;
        let connection = self.connection(caller, contact, usable, (value, terms), now);
        connection::upsert(tx, &connection)?;
        refresh::end(tx, &holder)?;
        Ok(secret.id.clone())
    }

    /// Stores a grant of a contact's, and what it was obtained under, in place of what there was. That is not revoked at its provider: to
    /// many providers the old grant and the new one are the same, and both would end. Contact and secret are
    /// held.
    pub(super) fn store_grant(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        contact: &Contact,
        usable: &Usable,
        (grant, terms): (&Grant, &Terms),
        now: Timestamp,
    ) -> Result<SecretId, Error> {
        let holder = holder(caller, contact, usable);
        let value = self.seal_grant(tx, &holder, grant)?;
        let terms = self.seal_terms(tx, &holder, terms)?;
        let connection = Connection {
            expires_at: grant.ends_at(),
            scopes: grant.scope.clone(),
            ..self.connection(caller, contact, usable, (value, terms), now)
        };
        connection::upsert(tx, &connection)?;
        self.plan_refresh(tx, &holder, grant, &usable.config, now)?;
        Ok(usable.secret.id.clone())
    }

    fn connection(
        &self,
        caller: &Caller,
        contact: &Contact,
        usable: &Usable,
        (value, terms): (Sealed, Option<Sealed>),
        now: Timestamp,
    ) -> Connection {
        Connection {
            account: caller.account().clone(),
            contact: contact.id.clone(),
            secret: usable.secret.id.clone(),
            id: ConnectionId::generate(now, &*self.inner.random),
            value_type: usable.secret_type,
            value,
            terms,
            expires_at: None,
            scopes: None,
            broken: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Takes away what the contact has connected the secret with, and the links at which it could connect
    /// it. Doing so again changes nothing. A shared value is never touched.
    pub async fn revoke_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<SecretId, Error> {
        caller.decide(Action::ConnectionRevoke, Object::Account)?;
        let now = self.now()?;
        let (caller, contact, at) = (caller.clone(), contact.clone(), at.clone());
        let revoked = self.change(move |tx| {
            let contact = hold_contact(tx, &caller, Action::ConnectionRevoke, &contact)?.id;
            let secret = to_revoke(tx, &caller, &contact, &at)?;
            let account = caller.account();
            revocation::queue_connection(tx, account, &contact, &secret, now)?;
            let was_connected = connection::delete(tx, account, &contact, &secret)?;
            let (account, contact_id) = (account.clone(), Some(contact.clone()));
            let holder = Holder { account, contact: contact_id, secret: secret.clone() };
            refresh::end(tx, &holder)?;
            authentication::withdraw(tx, caller.account(), &secret, Some(&contact), now)?;
            let mut event = told(&caller, now, Action::ConnectionRevoke, &contact, &secret);
            if !was_connected {
                event.result = "not_connected";
            }
            Ok(tx.commit(event, secret))
        });
        let secret = revoked.await?;
        self.begin_revocations();
        Ok(secret)
    }
}

fn holder(caller: &Caller, contact: &Contact, usable: &Usable) -> Holder {
    let (account, contact) = (caller.account().clone(), Some(contact.id.clone()));
    Holder { account, contact, secret: usable.secret.id.clone() }
}

/// A shared secret is nothing that a contact connects.
pub(super) const NOT_OF_CONTACT: &str = "Cannot obtain secret for this secret type";

/// Which secret's connection is to be taken away. What a contact has connected can be, even where its
/// account may not use the secret any more.
fn to_revoke(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    contact: &ContactId,
    at: &SecretRef,
) -> Result<SecretId, Error> {
    if let Some((_, id)) = at.resolve(tx, caller.account())?
        && connection::find(tx, caller.account(), contact, &id)?.is_some()
    {
        caller.decide(Action::ConnectionRevoke, Object::Connection(contact, &id))?;
        return Ok(id);
    }
    let (secret, _) = find_usable(tx, caller.grant(), Action::ConnectionRevoke, at)?;
    match secret.kind {
        Kind::Personal => Ok(secret.id),
        Kind::Shared => Err(Error::conflict(NOT_OF_CONTACT)),
    }
}

/// The caller's contact, for whom it is to do `action`.
pub(super) fn find_contact(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    action: Action,
    id: &ContactId,
) -> Result<Contact, Error> {
    caller.decide(action, Object::Contact(id))?;
    contact::find(tx, caller.account(), id)?.ok_or(Error::NotFound)
}

/// [`find_contact`], which nobody else changes or deletes until the unit ends.
pub(super) fn hold_contact(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    action: Action,
    id: &ContactId,
) -> Result<Contact, Error> {
    caller.decide(action, Object::Contact(id))?;
    contact::hold(tx, caller.account(), id)?.ok_or(Error::NotFound)
}

/// The event that tells what happened to a contact's secret.
pub(super) fn told(
    caller: &Caller,
    now: Timestamp,
    action: Action,
    contact: &ContactId,
    secret: &SecretId,
) -> Event {
    let event = caller.event(now, action, "secret", secret.to_shared());
    Event { contact_id: Some(contact.to_shared()), ..event }
}
