//! API keys.

use keyfob_core::{
    id::{AccountId, KeyId},
    policy::{Action, Grant, Object, Role},
    time::Timestamp,
    token::KeySecret,
};
use keyfob_store::{
    Page, WriteTx,
    key::{self, Key},
};

use super::{Broker, Caller, Slice};
use crate::{error::Error, text};

/// The name of an account's first key.
pub(super) const FIRST: &str = "first owner key";

/// The latest moment that RFC 3339 can write: 9999-12-31T23:59:59.999Z.
const LATEST: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// A key at the only moment its secret is known here.
pub struct NewKey {
    /// The key's id.
    pub id: KeyId,
    /// Its secret part.
    pub secret: KeySecret,
    /// What it may do.
    pub role: Role,
    /// What people call it.
    pub name: String,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it may do.
    pub role: Role,
    /// What people call it.
    pub name: String,
    /// When it ends by itself, if ever.
    pub expires_at: Option<Timestamp>,
}

impl Broker {
    /// Makes a key in the caller's account, with rights no wider than the caller's.
    pub async fn create_key(&self, caller: &Caller, plan: Plan) -> Result<NewKey, Error> {
        caller.decide(Action::KeyCreate, Object::Account)?;
        let wanted = Grant::new(caller.account().clone(), plan.role).until(plan.expires_at);
        if !caller.grant().covers(&wanted) {
            return Err(too_wide(caller.grant(), &wanted));
        }
        text::check("name", &plan.name, 0)?;
        let now = self.now()?;
        check_end(plan.expires_at, now)?;
        let (broker, caller) = (self.clone(), caller.clone());
        self.write(move |tx| {
            let key = broker.insert_key(tx, caller.account(), &plan, now)?;
            let event = caller.event(now, Action::KeyCreate, "key", key.id.to_shared());
            Ok(tx.commit(event, key))
        })
        .await
    }

    pub(super) fn insert_key(
        &self,
        tx: &mut WriteTx<'_>,
        account: &AccountId,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<NewKey, Error> {
        let random = &*self.inner.random;
        let Plan { role, name, expires_at } = plan.clone();
        let (id, secret) = (KeyId::generate(now, random), KeySecret::generate(random));
        let key = Key {
            account: account.clone(),
            id: id.clone(),
            name: name.clone(),
            role,
            hash: secret.hash(),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        key::insert(tx, &key)?;
        Ok(NewKey { id, secret, role, name })
    }

    /// Keys of the caller's account, revoked ones included.
    pub async fn list_keys(
        &self,
        caller: &Caller,
        slice: Slice<KeyId>,
    ) -> Result<Page<Key, KeyId>, Error> {
        caller.decide(Action::KeyList, Object::Account)?;
        self.reauthenticate(caller).await?;
        let account = caller.account().clone();
        let page = self.read(move |tx| {
            let list = if slice.oldest_first { key::list } else { key::list_newest };
            Ok(list(tx, &account, slice.after.as_ref(), slice.take)?)
        });
        Ok(caller.log_damaged(page.await?))
    }

    /// A key of the caller's account.
    pub async fn fetch_key(&self, caller: &Caller, id: &KeyId) -> Result<Key, Error> {
        caller.decide(Action::KeyFetch, Object::Key(id))?;
        let (account, id) = (caller.account().clone(), id.clone());
        self.read(move |tx| key::find(tx, &account, &id)?.ok_or(Error::NotFound)).await
    }

    /// Gives a key of the caller's account another name.
    pub async fn update_key(&self, caller: &Caller, id: &KeyId, name: String) -> Result<(), Error> {
        caller.decide(Action::KeyUpdate, Object::Key(id))?;
        text::check("name", &name, 0)?;
        let (now, caller, id) = (self.now()?, caller.clone(), id.clone());
        self.write(move |tx| {
            if !key::rename(tx, caller.account(), &id, &name)? {
                return Err(Error::NotFound);
            }
            Ok(tx.commit(caller.event(now, Action::KeyUpdate, "key", id.to_shared()), ()))
        })
        .await?;
        self.inner.callers.forget();
        Ok(())
    }

    /// Ends a key of the caller's account. Doing it again changes nothing.
    pub async fn revoke_key(&self, caller: &Caller, id: &KeyId) -> Result<(), Error> {
        caller.decide(Action::KeyRevoke, Object::Key(id))?;
        let (now, caller, id) = (self.now()?, caller.clone(), id.clone());
        self.write(move |tx| {
            if key::revoke(tx, caller.account(), &id, now)? {
                return Ok(
                    tx.commit(caller.event(now, Action::KeyRevoke, "key", id.to_shared()), ())
                );
            }
            key::find(tx, caller.account(), &id)?.ok_or(Error::NotFound)?;
            Ok(tx.commit_unaudited(()))
        })
        .await?;
        self.inner.callers.forget();
        Ok(())
    }
}

/// A key ends in the future, and in a year that every program can write.
fn check_end(end: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    let text = match end {
        Some(end) if end <= now => "expiresAt must be in the future",
        Some(end) if end > LATEST => {
            "expiresAt must be at most 253402300799999, the end of the year 9999; leave it out for a key that does not end"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid("invalid_expires_at", text))
}

/// Why a key may not make one with the grant `wanted`.
fn too_wide(own: &Grant, wanted: &Grant) -> Error {
    match own.expires_at() {
        Some(end) if own.role() >= wanted.role() => Error::invalid(
            "invalid_expires_at",
            format!(
                "this key ends at {}, and one that it makes must not outlive it: send an expiresAt up to then",
                end.as_millis(),
            ),
        ),
        _ => Error::Forbidden,
    }
}
