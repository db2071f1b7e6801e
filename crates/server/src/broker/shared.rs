//! What is done with the one value of a shared secret, but for changing it (contract/contacts-and-secrets,
//! section 4.2).

use keyfob_core::{
    id::SecretId,
    oauth::Grant,
    policy::{Action, Object},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{
    ReadTx, WriteTx, authentication,
    refresh::{self, Holder},
    revocation,
    secret::{self, Secret},
};
use secrecy::ExposeSecret;

use super::{
    Broker, Caller, SecretRef,
    authentication::Link,
    credential::{self, Handed},
    grant::{Held, keeper},
    secret::SECRET,
    usable::Usable,
};
use crate::error::Error;

impl Broker {
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
            let usable = broker.connectable(tx, &caller, None, &at)?;
            credential::expect_connected(&usable)?;
            expect_no_value(&usable, now)?;
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
        if *secret_type == SecretType::OAuth {
            let grant = credential::grant(handed, config, now)?;
            return self.store_shared_grant(tx, usable, &grant, now);
        }
        let value = credential::stored(handed, *secret_type, config, now)?;
        let held = secret::touch(tx, &secret.account, &secret.id, now)?.ok_or(Error::NotFound)?;
        let value = self.seal_secret(tx, &held, "value", value.expose_secret().as_bytes())?;
        secret::update(tx, &secret::Secret { value: Some(value), ..held })?;
        Ok(secret.id.clone())
    }

    /// Gives a shared secret that has none a grant. The secret is held.
    pub(super) fn store_shared_grant(
        &self,
        tx: &mut WriteTx<'_>,
        usable: &Usable,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<SecretId, Error> {
        let Usable { secret, config, .. } = usable;
        // At the secret itself, whatever it stands for has.
        let (account, id) = (secret.account.clone(), secret.id.clone());
        let holder = Holder { account, contact: None, secret: id };
        let held = secret::touch(tx, &secret.account, &secret.id, now)?.ok_or(Error::NotFound)?;
        let value = Some(self.seal_grant(tx, &holder, grant)?);
        let (expires_at, scopes) = (grant.ends_at(), grant.scope.clone());
        let stored = secret::Secret { value, expires_at, scopes, broken: None, ..held };
        secret::update(tx, &stored)?;
        self.plan_refresh(tx, &holder, grant, config, now)?;
        Ok(secret.id.clone())
    }

    /// Takes the value of a shared secret away, and the links at which it could get one. Doing so again
    /// changes nothing.
    pub async fn revoke_secret(&self, caller: &Caller, at: &SecretRef) -> Result<SecretId, Error> {
        caller.decide(Action::SecretRevoke, Object::Account)?;
        let (now, caller, at) = (self.now()?, caller.clone(), at.clone());
        let broker = self.clone();
        let revoked = self.change(move |tx| {
            let id = at.resolve_own(tx, &caller, Action::SecretRevoke)?;
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
            broker.queue_shared(tx, &secret, now)?;
            let touched = secret::touch(tx, caller.account(), &id, now)?.unwrap_or(secret);
            secret::update(tx, &without_value(touched))?;
            Ok(tx.commit(event, id))
        });
        let id = revoked.await?;
        self.begin_revocations();
        Ok(id)
    }

    /// Has the grant of a shared secret kept alive that was just changed, if it can be. `is_new`: it has
    /// another value than before.
    pub(super) fn keep_shared(
        &self,
        tx: &mut WriteTx<'_>,
        secret: &Secret,
        is_new: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (holder, held) = self.held_shared(tx, secret)?;
        let Some(held) = held else { return Ok(refresh::end(tx, &holder).map(drop)?) };
        match &held.grant {
            Some(grant) if is_new => {
                Ok(self.plan_refresh(tx, &holder, grant, &held.config, now)?)
            }
            _ => Ok(self.replan_refresh(tx, &held, now)?),
        }
    }

    /// The grant of a shared secret. One that does not open is none: it must not keep anybody from replacing
    /// or deleting the secret.
    fn held_shared(
        &self,
        tx: &mut WriteTx<'_>,
        secret: &Secret,
    ) -> Result<(Holder, Option<Held>), Error> {
        let (account, id) = (secret.account.clone(), secret.id.clone());
        let holder = Holder { account, contact: None, secret: id };
        let held = match self.held(tx, &holder) {
            Err(error) if error.is_damage() => {
                error.log("grant");
                None
            }
            held => held?,
        };
        Ok((holder, held))
    }

    /// Has the grant of a shared secret revoked at its provider, and kept alive no longer. The secret is held.
    pub(super) fn queue_shared(
        &self,
        tx: &mut WriteTx<'_>,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (account, id) = (secret.account.clone(), secret.id.clone());
        let holder = Holder { account, contact: None, secret: id };
        refresh::end(tx, &holder)?;
        if let Some(value) = &secret.value
            && self.has_grant(tx, secret)?
        {
            let grant = self.to_revoke(&holder, Some(secret), value.clone(), now);
            revocation::insert(tx, &grant)?;
        }
        Ok(())
    }

    /// Whether a shared secret's value is a grant. One whose config does not open, or leads nowhere, can still
    /// be deleted.
    fn has_grant(&self, tx: &mut ReadTx<'_>, secret: &Secret) -> Result<bool, Error> {
        match secret.secret_type {
            SecretType::OAuth => Ok(true),
            SecretType::Template | SecretType::Reference => {
                let object = Object::Secret(&secret.id);
                let permit = keeper(&secret.account).decide(Action::SecretRefresh, object)?;
                let usable = self.follow(tx, secret.clone(), permit);
                Ok(usable.is_ok_and(|usable| usable.secret_type == SecretType::OAuth))
            }
            _ => Ok(false),
        }
    }
}

/// Refuses a shared secret that has its value.
pub(super) fn expect_no_value(usable: &Usable, now: Timestamp) -> Result<(), Error> {
    if usable.has_value(now) {
        let text = "the secret has its value: revoke it before it is connected anew";
        return Err(Error::Conflict { code: "already_connected", message: text.into() });
    }
    Ok(())
}

fn without_value(secret: Secret) -> Secret {
    Secret { value: None, expires_at: None, scopes: None, broken: None, ..secret }
}
