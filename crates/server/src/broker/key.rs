//! API keys.

use std::sync::Arc;

use keyfob_core::{
    id::{AccountId, KeyId},
    policy::{Action, Grant, Limits, Object, Role},
    time::Timestamp,
    token::KeySecret,
};
use keyfob_store::{
    Page, WriteTx,
    key::{self, Key},
};

use super::{
    Broker, Caller, Given, Slice,
    caller::grant_of,
    key_limits::{LimitsChange, in_words},
    slice::SCANNED,
};
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
    /// What it is limited to within its role.
    pub limits: LimitsChange,
}

/// What of a key is to be changed; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// What people call it.
    pub name: Option<String>,
    /// When it ends by itself.
    pub expires_at: Given<Timestamp>,
    /// What it is limited to.
    pub limits: LimitsChange,
}

/// What a key that is about to be stored is.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) limits: Limits,
}

impl Made {
    /// What the event tells of it.
    pub(super) fn told(&self) -> String {
        in_words(self.role, self.expires_at, &self.limits)
    }
}

impl Broker {
    /// Makes a key in the caller's account, with rights no wider than the caller's.
    pub async fn create_key(&self, caller: &Caller, plan: Plan) -> Result<NewKey, Error> {
        caller.decide(Action::KeyCreate, Object::Account)?;
        let Plan { role, name, expires_at, limits } = plan;
        check_role(caller.grant(), role)?;
        let limits = limits.over(role, &Limits::NONE)?;
        check_lasts(caller.grant(), expires_at)?;
        check_limits(caller.grant(), &limits)?;
        text::check("name", &name, 0)?;
        let now = self.now()?;
        check_end(expires_at, now)?;
        let (broker, caller) = (self.clone(), caller.clone());
        let made = Made { role, name, expires_at, limits };
        self.write(move |tx| {
            let key = broker.insert_key(tx, caller.account(), &made, now)?;
            let mut event = caller.event(now, Action::KeyCreate, "key", key.id.to_shared());
            event.reason = Some(made.told());
            Ok(tx.commit(event, key))
        })
        .await
    }

    pub(super) fn insert_key(
        &self,
        tx: &mut WriteTx<'_>,
        account: &AccountId,
        made: &Made,
        now: Timestamp,
    ) -> Result<NewKey, Error> {
        let random = &*self.inner.random;
        let Made { role, name, expires_at, limits } = made.clone();
        let (id, secret) = (KeyId::generate(now, random), KeySecret::generate(random));
        let key = Key {
            account: account.clone(),
            id: id.clone(),
            name: name.clone(),
            role,
            limits: Arc::new(limits),
            is_readable: true,
            hash: secret.hash(),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        key::insert(tx, &key)?;
        Ok(NewKey { id, secret, role, name })
    }

    /// Keys of the caller's account, revoked ones included. One that is limited sees no key that reaches what it
    /// does not.
    pub async fn list_keys(
        &self,
        caller: &Caller,
        slice: Slice<KeyId>,
    ) -> Result<Page<Key, KeyId>, Error> {
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::KeyList, Object::Account)?;
        let asking = caller.clone();
        let limit = if caller.grant().limits().is_empty() { slice.take } else { SCANNED };
        let page = self.read(move |tx| {
            let list = if slice.oldest_first { key::list } else { key::list_newest };
            let mut page = list(tx, asking.account(), slice.after.as_ref(), limit)?;
            page.rows.retain(|key| reaches(&asking, key));
            slice.end(&mut page, |key| &key.id);
            Ok(page)
        });
        Ok(caller.log_damaged(page.await?))
    }

    /// A key of the caller's account.
    pub async fn fetch_key(&self, caller: &Caller, id: &KeyId) -> Result<Key, Error> {
        caller.decide(Action::KeyFetch, Object::Key(id))?;
        let (caller, id) = (caller.clone(), id.clone());
        self.read(move |tx| reached(&caller, key::find(tx, caller.account(), &id)?)).await
    }

    /// Changes the name, the end or the limits of a key of the caller's account, to no more than the caller may
    /// do itself.
    pub async fn update_key(
        &self,
        caller: &Caller,
        id: &KeyId,
        change: KeyChange,
    ) -> Result<(), Error> {
        caller.decide(Action::KeyUpdate, Object::Key(id))?;
        if let Some(name) = &change.name {
            text::check("name", name, 0)?;
        }
        let (now, caller, id) = (self.now()?, caller.clone(), id.clone());
        self.write(move |tx| {
            let key = reached(&caller, key::touch(tx, caller.account(), &id)?)?;
            let changed = changed(&caller, key, change.clone(), now)?;
            key::update(tx, &changed)?;
            let mut event = caller.event(now, Action::KeyUpdate, "key", id.to_shared());
            event.reason = Some(in_words(changed.role, changed.expires_at, &changed.limits));
            Ok(tx.commit(event, ()))
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
            reached(&caller, key::touch(tx, caller.account(), &id)?)?;
            if key::revoke(tx, caller.account(), &id, now)? {
                let event = caller.event(now, Action::KeyRevoke, "key", id.to_shared());
                return Ok(tx.commit(event, ()));
            }
            Ok(tx.commit_unaudited(()))
        })
        .await?;
        self.inner.callers.forget();
        Ok(())
    }
}

/// Whether a key reaches nothing that the caller does not. One whose limits cannot be read may reach anything.
fn reaches(caller: &Caller, key: &Key) -> bool {
    let limits = if key.is_readable { &*key.limits } else { &Limits::NONE };
    caller.grant().limits().reach(limits)
}

/// The key, if it is there and reaches nothing that the caller does not.
fn reached(caller: &Caller, key: Option<Key>) -> Result<Key, Error> {
    key.filter(|key| reaches(caller, key)).ok_or(Error::NotFound)
}

/// A key after a change. What it says nothing of is not looked at, unless the key becomes a wider one: a key that
/// ends may rename one that does not, but gives it nothing that would outlive itself.
fn changed(caller: &Caller, key: Key, change: KeyChange, now: Timestamp) -> Result<Key, Error> {
    if !key.is_readable {
        let text = "the limits of this key cannot be read, so it is refused: revoke it, and make another one";
        return Err(Error::Conflict { code: "unreadable_key", message: text.into() });
    }
    let before = grant_of(&key, key.account.clone());
    let KeyChange { name, expires_at, limits } = change;
    let limits = limits.over(key.role, &key.limits)?;
    if limits != *key.limits {
        check_limits(caller.grant(), &limits)?;
    }
    let changes_end = expires_at != Given::Absent;
    let expires_at = expires_at.over(key.expires_at);
    if changes_end {
        check_lasts(caller.grant(), expires_at)?;
        check_end(expires_at, now)?;
    }
    let name = name.unwrap_or_else(|| key.name.clone());
    let changed = Key { name, expires_at, limits: Arc::new(limits), ..key };
    if !before.covers(&grant_of(&changed, changed.account.clone())) {
        check_role(caller.grant(), changed.role)?;
        check_lasts(caller.grant(), changed.expires_at)?;
        check_limits(caller.grant(), &changed.limits)?;
    }
    Ok(changed)
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

fn check_role(own: &Grant, role: Role) -> Result<(), Error> {
    if own.role() >= role { Ok(()) } else { Err(Error::Forbidden) }
}

fn check_lasts(own: &Grant, end: Option<Timestamp>) -> Result<(), Error> {
    if own.lasts_for(end) {
        return Ok(());
    }
    let own = own.expires_at().map_or(0, Timestamp::as_millis);
    let text = format!(
        "this key ends at {own}, and one that it makes must not outlive it: send an expiresAt up to then"
    );
    Err(Error::invalid("invalid_expires_at", text))
}

fn check_limits(own: &Grant, limits: &Limits) -> Result<(), Error> {
    if own.limits().cover(limits) {
        return Ok(());
    }
    let message = "this key is limited, and one that it makes or changes must not be less so: send limits that are the same or narrower (GET /api/v1/key/list shows its own)";
    Err(Error::Denied { code: "limits_too_wide", message: message.into() })
}
