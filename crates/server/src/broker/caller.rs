//! Callers: who sends a request, and how that is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use keyfob_core::{
    id::{AccountId, KeyId},
    policy::{Action, Grant, Object, Permit, Role, decide},
    time::Timestamp,
    token::{KeySecret, parse_token},
};
use keyfob_store::{
    Event, Page, account,
    event::Actor,
    key::{self, Key},
};
use quick_cache::sync::Cache;

use super::Broker;
use crate::error::Error;

/// Keys kept in memory; another one costs a read.
const KEPT: usize = 10_000;
/// A key revoked on another node still works here for so long.
const FRESH: Duration = Duration::from_millis(900);

/// What a request says about who sends it.
pub struct Credentials {
    id: KeyId,
    secret: KeySecret,
}

impl Credentials {
    /// Those in `Authorization: Bearer`.
    pub fn from_token(token: &str) -> Result<Self, Error> {
        let (id, secret) = parse_token(token).map_err(|_| Error::InvalidCredentials)?;
        Ok(Self { id, secret })
    }

    /// Those in `sb-api-key-id` and `sb-api-secret-key`.
    pub fn from_pair(id: &str, secret: &str) -> Result<Self, Error> {
        let id = KeyId::parse(id).map_err(|_| Error::InvalidCredentials)?;
        let secret = KeySecret::parse(secret).map_err(|_| Error::InvalidCredentials)?;
        Ok(Self { id, secret })
    }
}

/// The child account that a caller acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The one with this id.
    Account(AccountId),
    /// The one with this e-mail address.
    Email(String),
}

/// Where a request came from, for the audit trail.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The address of the peer.
    pub ip: Option<Arc<str>>,
    /// The request's id.
    pub request_id: Arc<str>,
}

/// Someone who may use the vault: there is no other way to make one than to authenticate. Cheap to
/// clone, and small, because thousands of them may be waiting.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    grant: Grant,
    actor: Actor,
    origin: Origin,
    /// The key it came with; an operator on the machine itself has none.
    key: Option<KeyId>,
}

impl Caller {
    /// Someone who holds the database itself: a command on the machine.
    pub(crate) fn operator(grant: Grant, request_id: Arc<str>) -> Self {
        let (id, name) = ("local".into(), "command line".into());
        let actor = Actor { kind: "operator", id, name };
        let origin = Origin { ip: None, request_id };
        Self(Arc::new(Identity { grant, actor, origin, key: None }))
    }

    /// The id of the request it came with.
    pub(crate) fn request_id(&self) -> &str {
        &self.0.origin.request_id
    }

    pub(super) fn account(&self) -> &AccountId {
        self.0.grant.account()
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.0.grant
    }

    pub(super) fn key(&self) -> Option<&KeyId> {
        self.0.key.as_ref()
    }

    /// Decides whether this caller may do `action` on `object`.
    pub(super) fn decide(&self, action: Action, object: Object<'_>) -> Result<Permit, Error> {
        Ok(decide(&self.0.grant, action, object)?)
    }

    /// Tells the log of the rows that a list leaves out because they cannot be read.
    pub(super) fn log_damaged<T, Id>(&self, page: Page<T, Id>) -> Page<T, Id> {
        for error in &page.damaged {
            tracing::error!(request_id = self.request_id(), %error, "a list leaves a row out");
        }
        page
    }

    /// The event that tells that this caller did `action`.
    pub(super) fn event(
        &self,
        now: Timestamp,
        action: Action,
        noun: &'static str,
        id: Arc<str>,
    ) -> Event {
        Event {
            account: self.account().clone(),
            created_at: now,
            actor: self.0.actor.clone(),
            action,
            object_type: noun,
            object_id: id,
            contact_id: None,
            result: "ok",
            reason: None,
            ip: self.0.origin.ip.clone(),
            request_id: Arc::clone(&self.0.origin.request_id),
        }
    }
}

/// The keys that were seen lately.
pub(super) struct Callers {
    keys: Cache<KeyId, Arc<Known>>,
    /// Counts the changes of keys on this node: what was read before the last one is stale.
    changes: AtomicU64,
}

struct Known {
    key: Key,
    /// Who it is in the audit trail.
    actor: Actor,
    read_at: Timestamp,
    changes: u64,
}

impl Default for Callers {
    fn default() -> Self {
        Self { keys: Cache::new(KEPT), changes: AtomicU64::new(0) }
    }
}

impl Callers {
    /// Makes the next request of every key read it anew. To be called after the commit.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn fresh(&self, id: &KeyId, now: Timestamp) -> Option<Arc<Known>> {
        let known = self.keys.get(id)?;
        let age = now.as_millis().saturating_sub(known.read_at.as_millis()).unsigned_abs();
        let is_fresh = u128::from(age) <= FRESH.as_millis();
        (is_fresh && known.changes == self.changes.load(Ordering::Acquire)).then_some(known)
    }
}

impl Broker {
    /// Recognises the sender of a request. One error for all that can be wrong.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        run_as: Option<&RunAs>,
        origin: Origin,
    ) -> Result<Caller, Error> {
        let known = self.known(&credentials.id).await?.ok_or(Error::InvalidCredentials)?;
        let matches = known.key.hash.matches(&credentials.secret);
        if !matches || !known.key.is_live(self.now()?) {
            return Err(Error::InvalidCredentials);
        }
        let Key { account, id, role, expires_at, .. } = &known.key;
        let account = match run_as {
            None => account.clone(),
            Some(child) => self.child(account, *role, child).await?,
        };
        Ok(Caller(Arc::new(Identity {
            grant: Grant::new(account, *role).until(*expires_at),
            actor: known.actor.clone(),
            origin,
            key: Some(id.clone()),
        })))
    }

    /// The account that a key of `parent` acts as: a direct child. An agent's key is for its own
    /// account only.
    async fn child(
        &self,
        parent: &AccountId,
        role: Role,
        child: &RunAs,
    ) -> Result<AccountId, Error> {
        if role == Role::Agent {
            return Err(Error::Forbidden);
        }
        let (parent, child) = (parent.clone(), child.clone());
        let found = self.read(move |tx| {
            Ok(match &child {
                RunAs::Account(id) => account::find_child(tx, &parent, id)?,
                RunAs::Email(email) => account::find_child_by_email(tx, &parent, email)?,
            })
        });
        Ok(found.await?.ok_or(Error::InvalidCredentials)?.id)
    }

    /// Refuses a caller whose key has ended since it was recognised.
    pub(super) async fn reauthenticate(&self, caller: &Caller) -> Result<(), Error> {
        let Some(id) = caller.key() else {
            return Ok(());
        };
        let known = self.known(id).await?.ok_or(Error::InvalidCredentials)?;
        known.key.is_live(self.now()?).then_some(()).ok_or(Error::InvalidCredentials)
    }

    async fn known(&self, id: &KeyId) -> Result<Option<Arc<Known>>, Error> {
        let callers = &self.inner.callers;
        let now = self.now()?;
        if let Some(known) = callers.fresh(id, now) {
            return Ok(Some(known));
        }
        // Counted before the read: a change during it makes what was read stale at once.
        let changes = callers.changes.load(Ordering::Acquire);
        let wanted = id.clone();
        let found = self.read(move |tx| Ok(key::find_any(tx, &wanted)?)).await?;
        let Some(key) = found else { return Ok(None) };
        let name = key.name.as_str().into();
        let actor = Actor { kind: "key", id: key.id.to_shared(), name };
        let known = Arc::new(Known { key, actor, read_at: now, changes });
        callers.keys.insert(id.clone(), Arc::clone(&known));
        Ok(Some(known))
    }
}
