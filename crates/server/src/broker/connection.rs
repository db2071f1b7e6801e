//! Connections: what contacts have connected (contract/contacts-and-secrets, section 5; contract/keyfob,
//! "Connections").

use keyfob_core::{
    id::{ConnectionId, ContactId, SecretId},
    policy::{Action, Object, connection_row},
    secret::Kind,
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, WriteTx, authentication,
    connection::{self, Connection},
    contact::{self, Contact},
    revocation,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Broker, Caller, SecretRef,
    authentication::NewLink,
    credential::{self, Handed, Unusable},
    usable::{Usable, find_usable},
};
use crate::error::Error;

/// The table, and the noun in seals.
pub(super) const CONNECTION: &str = "connection";

/// Whether a credential can be used. The words never grow (contract/keyfob, "Every answer").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can.
    Authenticated,
    /// There is none, or it is of no use.
    Unauthenticated,
    /// Its time is over, and nothing renews it.
    Expired,
    /// It cannot be used any more: whoever issued it has said so.
    Broken,
}

impl Status {
    /// The status as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Unauthenticated => "unauthenticated",
            Self::Expired => "expired",
            Self::Broken => "broken",
        }
    }
}

/// What is known of a credential.
#[derive(Debug)]
pub struct Verified {
    /// The secret.
    pub secret: SecretId,
    /// Whether its credential can be used.
    pub status: Status,
    /// Why not, for people. Tells nothing of the credential.
    pub reason: Option<String>,
    /// When it ends, if it says so.
    pub expires_at: Option<Timestamp>,
    /// What it allows, separated by blanks, if it says so.
    pub scopes: Option<String>,
    /// The link at which it can be handed over, if it has to be.
    pub link: Option<SecretString>,
}

/// What is known, and whether a person can do something about it.
pub(super) struct Found {
    pub(super) verified: Verified,
    pub(super) can_connect: bool,
}

impl Verified {
    pub(super) fn authenticated(secret: SecretId) -> Self {
        let status = Status::Authenticated;
        Self { secret, status, reason: None, expires_at: None, scopes: None, link: None }
    }

    pub(super) fn not(self, status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: Some(reason.into()), ..self }
    }
}

/// What a connection says of itself, without being opened.
pub(super) fn status(connection: &Connection, now: Timestamp) -> Status {
    if connection.broken.is_some() {
        Status::Broken
    } else if connection.expires_at.is_some_and(|end| end <= now) {
        Status::Expired
    } else {
        Status::Authenticated
    }
}

impl Broker {
    /// Whether the contact has connected the secret, and the link to do so if not.
    pub async fn verify_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Verified, Error> {
        caller.decide(Action::ConnectionVerify, Object::Account)?;
        let now = self.now()?;
        let (broker, asking) = (self.clone(), caller.clone());
        let (of, at) = (contact.clone(), at.clone());
        let found = self.read(move |tx| broker.verify_in(tx, &asking, &of, &at, now));
        let Found { mut verified, can_connect } = found.await?;
        if can_connect {
            let link = NewLink {
                contact: Some(contact.clone()),
                secret: verified.secret.clone(),
                return_url: None,
            };
            verified.link = self.recent_link(caller, link).await?;
        }
        Ok(verified)
    }

    fn verify_in(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let contact = find_contact(tx, caller, contact)?;
        let usable = self.usable(tx, caller, Action::ConnectionVerify, at)?;
        if usable.secret.kind == Kind::Shared {
            return match self.verify_shared(tx, &usable, now)? {
                Some(verified) => Ok(Found { verified, can_connect: false }),
                None => Err(Error::conflict(NOT_OF_CONTACT)),
            };
        }
        if contact.verified_at.is_none() {
            let text = "Cannot verify secret for this secret configuration";
            return Err(Error::conflict(text));
        }
        let secret = &usable.secret.id;
        let connected = connection::find(tx, caller.account(), &contact.id, secret)?;
        let verified = match connected {
            None => Verified::authenticated(secret.clone())
                .not(Status::Unauthenticated, "the contact has not connected it"),
            Some(connection) => self.verify_value(tx, caller, &usable, connection, now)?,
        };
        let is_usable = verified.status == Status::Authenticated;
        Ok(Found { verified, can_connect: !is_usable && credential::is_typed(usable.secret_type) })
    }

    /// Whether what a contact has connected can be used.
    fn verify_value(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        usable: &Usable,
        connection: Connection,
        now: Timestamp,
    ) -> Result<Verified, Error> {
        let mut verified = Verified::authenticated(connection.secret.clone());
        verified.expires_at = connection.expires_at;
        verified.scopes.clone_from(&connection.scopes);
        match status(&connection, now) {
            Status::Broken => {
                return Ok(verified.not(Status::Broken, connection.broken.unwrap_or_default()));
            }
            Status::Expired => return Ok(verified.not(Status::Expired, "it has expired")),
            Status::Authenticated | Status::Unauthenticated => {}
        }
        if connection.value_type != usable.secret_type {
            let text = "the secret's type has changed since the contact connected it";
            return Ok(verified.not(Status::Unauthenticated, text));
        }
        let object = Object::Connection(&connection.contact, &connection.secret);
        let permit = caller.decide(Action::ConnectionVerify, object)?;
        let value = self.open_text(tx, &permit, "value", &connection.value)?;
        Ok(match credential::check(&value, usable.secret_type, &usable.config, now) {
            Ok(()) => verified,
            Err(why) => verified.not(Status::Unauthenticated, why.into_text()),
        })
    }

    /// Whether a shared secret's value can be used; `None` if it has none.
    pub(super) fn verify_shared(
        &self,
        tx: &mut ReadTx<'_>,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Option<Verified>, Error> {
        let Some((permit, value)) = &usable.shared else { return Ok(None) };
        let value = self.open_text(tx, permit, "value", value)?;
        let verified = Verified::authenticated(usable.secret.id.clone());
        let checked = credential::check(&value, usable.secret_type, &usable.config, now);
        Ok(Some(match checked.map_err(Unusable::into_text) {
            Ok(()) => verified,
            Err(why) => verified.not(Status::Unauthenticated, why),
        }))
    }

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
        self.write(move |tx| {
            let contact = hold_contact(tx, &caller, &contact)?;
            let usable = broker.usable_held(tx, &caller, Action::ConnectionConnect, &at)?;
            if usable.secret.kind == Kind::Shared {
                return Err(Error::conflict(NOT_OF_CONTACT));
            }
            if contact.verified_at.is_none() {
                let text = "Cannot connect secret for this secret configuration";
                return Err(Error::conflict(text));
            }
            let secret = broker.store_connection(tx, &caller, &contact, &usable, &handed, now)?;
            let event = told(&caller, now, Action::ConnectionConnect, &contact.id, &secret);
            Ok(tx.commit(event, secret))
        })
        .await
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
        credential::expect_typed(*secret_type)?;
        let value = credential::stored(handed, *secret_type, config, now)?;
        let account = caller.account();
        let row = connection_row(&contact.id, &secret.id);
        let key = self.inner.keyring.newest(tx, account)?;
        let random = &*self.inner.random;
        let value = value.expose_secret().as_bytes();
        let connection = Connection {
            account: account.clone(),
            contact: contact.id.clone(),
            secret: secret.id.clone(),
            id: ConnectionId::generate(now, random),
            value_type: *secret_type,
            value: key.seal(CONNECTION, &row, "value", value, random),
            expires_at: None,
            scopes: None,
            broken: None,
            created_at: now,
            updated_at: now,
        };
        connection::upsert(tx, &connection)?;
        Ok(secret.id.clone())
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
        self.write(move |tx| {
            let contact = hold_contact(tx, &caller, &contact)?.id;
            let secret = to_revoke(tx, &caller, &contact, &at)?;
            let account = caller.account();
            revocation::queue_connection(tx, account, &contact, &secret, now)?;
            let was_connected = connection::delete(tx, account, &contact, &secret)?;
            authentication::withdraw(tx, account, &secret, Some(&contact), now)?;
            let mut event = told(&caller, now, Action::ConnectionRevoke, &contact, &secret);
            if !was_connected {
                event.result = "not_connected";
            }
            Ok(tx.commit(event, secret))
        })
        .await
    }
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
        return Ok(id);
    }
    let (secret, _) = find_usable(tx, caller.grant(), Action::ConnectionRevoke, at)?;
    match secret.kind {
        Kind::Personal => Ok(secret.id),
        Kind::Shared => Err(Error::conflict(NOT_OF_CONTACT)),
    }
}

/// The caller's contact.
pub(super) fn find_contact(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    id: &ContactId,
) -> Result<Contact, Error> {
    contact::find(tx, caller.account(), id)?.ok_or(Error::NotFound)
}

/// The caller's contact, which nobody else changes or deletes until the unit ends.
pub(super) fn hold_contact(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    id: &ContactId,
) -> Result<Contact, Error> {
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
