//! What is done with the one value of a shared secret, but for changing it (contract/contacts-and-secrets,
//! section 4.2).

use keyfob_core::{
    id::SecretId,
    policy::{Action, Object},
    secret::Kind,
    time::Timestamp,
};
use keyfob_store::{ReadTx, WriteTx, authentication, secret};
use secrecy::ExposeSecret;

use super::{
    Broker, Caller, SecretRef,
    authentication::{Link, NOT_AUTHENTICABLE, NewLink},
    connection::{Found, Status, Verified},
    credential::{self, Handed},
    secret::SECRET,
    usable::Usable,
};
use crate::error::Error;

impl Broker {
    /// Whether a shared secret has a value that can be used, and the link to give it one if not.
    pub async fn verify_secret(&self, caller: &Caller, at: &SecretRef) -> Result<Verified, Error> {
        caller.decide(Action::SecretVerify, Object::Account)?;
        let now = self.now()?;
        let (broker, asking, at) = (self.clone(), caller.clone(), at.clone());
        let found = self.read(move |tx| broker.verify_secret_in(tx, &asking, &at, now));
        let Found { mut verified, can_connect } = found.await?;
        if can_connect {
            let secret = verified.secret.clone();
            let link = NewLink { contact: None, secret, return_url: None };
            verified.link = self.recent_link(caller, link).await?;
        }
        Ok(verified)
    }

    fn verify_secret_in(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        at: &SecretRef,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let usable = self.usable(tx, caller, Action::SecretVerify, at)?;
        if usable.secret.kind == Kind::Personal {
            let text = "Cannot verify secret for this secret configuration";
            return Err(Error::conflict(text));
        }
        let missing = || {
            Verified::authenticated(usable.secret.id.clone())
                .not(Status::Unauthenticated, "it has no value")
        };
        let can_connect = usable.shared.is_none() && credential::is_typed(usable.secret_type);
        let verified = self.verify_shared(tx, &usable, now)?.unwrap_or_else(missing);
        Ok(Found { verified, can_connect })
    }

    /// A link at which a person gives a shared secret its value. One that has a value keeps it: a link,
    /// which an agent may ask for, must not replace what everybody uses.
    pub async fn authenticate_secret(
        &self,
        caller: &Caller,
        at: &SecretRef,
        return_url: Option<String>,
    ) -> Result<Link, Error> {
        caller.decide(Action::SecretAuthenticate, Object::Account)?;
        let now = self.now()?;
        let (broker, caller, at) = (self.clone(), caller.clone(), at.clone());
        self.write(move |tx| {
            let usable = broker.usable(tx, &caller, Action::SecretAuthenticate, &at)?;
            if usable.secret.kind == Kind::Personal {
                return Err(Error::conflict(NOT_AUTHENTICABLE));
            }
            if usable.shared.is_some() {
                let text = "the secret has its value: revoke it before it is connected anew";
                return Err(Error::Conflict { code: "already_connected", message: text.into() });
            }
            broker.answer_link(tx, &caller, None, &usable, return_url.clone(), now)
        })
        .await
    }

    /// Gives a shared secret that has none the value that was handed over. The secret is held.
    pub(super) fn store_shared(
        &self,
        tx: &mut WriteTx<'_>,
        usable: &Usable,
        handed: &Handed,
        now: Timestamp,
    ) -> Result<SecretId, Error> {
        let Usable { secret, secret_type, config, .. } = usable;
        credential::expect_typed(*secret_type)?;
        let value = credential::stored(handed, *secret_type, config, now)?;
        let held = secret::touch(tx, &secret.account, &secret.id, now)?.ok_or(Error::NotFound)?;
        let value = self.seal_secret(tx, &held, "value", value.expose_secret().as_bytes())?;
        secret::update(tx, &secret::Secret { value: Some(value), ..held })?;
        Ok(secret.id.clone())
    }

    /// Takes the value of a shared secret away, and the links at which it could get one. Doing so again
    /// changes nothing.
    pub async fn revoke_secret(&self, caller: &Caller, at: &SecretRef) -> Result<SecretId, Error> {
        caller.decide(Action::SecretRevoke, Object::Account)?;
        let (now, caller, at) = (self.now()?, caller.clone(), at.clone());
        self.write(move |tx| {
            let id = at.resolve_own(tx, &caller)?;
            let secret = secret::hold(tx, caller.account(), &id)?.ok_or(Error::NotFound)?;
            if secret.kind == Kind::Personal {
                return Err(Error::conflict("Conflict"));
            }
            authentication::withdraw(tx, caller.account(), &id, None, now)?;
            let mut event = caller.event(now, Action::SecretRevoke, SECRET, id.to_shared());
            if secret.value.is_none() {
                event.result = "not_connected";
                return Ok(tx.commit(event, id));
            }
            let touched = secret::touch(tx, caller.account(), &id, now)?.unwrap_or(secret);
            secret::update(tx, &secret::Secret { value: None, ..touched })?;
            Ok(tx.commit(event, id))
        })
        .await
    }
}
