//! Callers: who sends a request, and how that is known.

use std::sync::Arc;

use keyfob_core::{
    id::{AccountId, KeyId},
    policy::{Action, Grant, Object, Permit, Role, decide, may},
    time::Timestamp,
    token::{KeySecret, parse_token},
};
use keyfob_store::{
    Event, Page, account,
    event::Actor,
    key::{self, Key},
};

use super::{Broker, recent::Recent, usage::Full};
use crate::{delivery::Delivery, error::Error};

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
    /// What follows the answer of a create, if it came over a connection.
    pub delivery: Option<Delivery>,
}

/// Someone who may use the vault: there is no other way to make one than to authenticate. Cheap to
/// clone, and small, because thousands of them may be waiting.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Identity>);

#[derive(Clone, Debug)]
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
        let origin = Origin { ip: None, request_id, delivery: None };
        Self(Arc::new(Identity { grant, actor, origin, key: None }))
    }

    /// Someone at a link that was made for them: their grant is what the link is for.
    pub(super) fn person(grant: Grant, actor: Actor, origin: Origin) -> Self {
        Self(Arc::new(Identity { grant, actor, origin, key: None }))
    }

    /// The same caller with what it is given now, or as another account.
    fn with(&self, grant: Grant) -> Self {
        Self(Arc::new(Identity { grant, ..Identity::clone(&self.0) }))
    }

    /// The id of the request it came with.
    pub(crate) fn request_id(&self) -> &str {
        &self.0.origin.request_id
    }

    pub(super) fn delivery(&self) -> Option<&Delivery> {
        self.0.origin.delivery.as_ref()
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

    /// Decides whether this caller may do `action` on anything at all.
    pub(super) fn may(&self, action: Action) -> Result<(), Error> {
        Ok(may(&self.0.grant, action)?)
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
pub(super) type Callers = Recent<KeyId, Arc<Known>>;

/// A key, and who it is in the audit trail.
pub(super) struct Known {
    pub(super) key: Key,
    actor: Actor,
    /// Until when it is known to have been used too often.
    pub(super) full: Full,
}

/// What a key is given in an account: its own, or a child of that.
pub(super) fn grant_of(key: &Key, account: AccountId) -> Grant {
    let is_own = account == key.account;
    let limits = if is_own { Arc::clone(&key.limits) } else { Arc::new(key.limits.in_child()) };
    Grant::new(account, key.role).until(key.expires_at).limited(limits)
}

impl Broker {
    /// Recognises the sender of a request, and counts it if the key may be used so often only. One error for all
    /// that can be wrong with the credentials: those that are refused count for nobody. Whom it acts as is looked up
    /// after that: also who tries whether somebody is there is counted.
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
        let Key { account, id, role, limits, .. } = &known.key;
        let caller = Caller(Arc::new(Identity {
            grant: grant_of(&known.key, account.clone()),
            actor: known.actor.clone(),
            origin,
            key: Some(id.clone()),
        }));
        if limits.is_counted() {
            self.count_use(&caller, &known).await?;
        }
        let Some(child) = run_as else { return Ok(caller) };
        let child = self.child(account, *role, child).await?;
        Ok(caller.with(grant_of(&known.key, child)))
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

    /// The caller with what its key is given by now, which what follows is to be decided with: it may be another one
    /// than when it was recognised. One whose key has ended is refused.
    pub(super) async fn reauthenticate(&self, caller: &Caller) -> Result<Caller, Error> {
        let Some(id) = caller.key() else {
            return Ok(caller.clone());
        };
        let known = self.known(id).await?.ok_or(Error::InvalidCredentials)?;
        if !known.key.is_live(self.now()?) {
            return Err(Error::InvalidCredentials);
        }
        let grant = grant_of(&known.key, caller.account().clone());
        Ok(if grant == *caller.grant() { caller.clone() } else { caller.with(grant) })
    }

    /// Refuses a caller whose key has ended, or is given something else, since it was recognised.
    pub(crate) async fn expect_unchanged(&self, caller: &Caller) -> Result<(), Error> {
        let now = self.reauthenticate(caller).await?;
        (now.grant() == caller.grant()).then_some(()).ok_or(Error::KeyChanged)
    }

    async fn known(&self, id: &KeyId) -> Result<Option<Arc<Known>>, Error> {
        let callers = &self.inner.callers;
        let now = self.now()?;
        if let Some(known) = callers.get(id, now) {
            return Ok(Some(known));
        }
        let (reading, wanted) = (callers.begin(now), id.clone());
        let found = self.read(move |tx| Ok(key::find_any(tx, &wanted)?)).await?;
        let Some(key) = found else { return Ok(None) };
        if !key.is_readable {
            tracing::error!(key = %key.id, "the limits of a key cannot be read: it is refused");
        }
        let name = key.name.as_str().into();
        let actor = Actor { kind: "key", id: key.id.to_shared(), name };
        let known = Arc::new(Known { key, actor, full: Full::default() });
        callers.keep(id.clone(), Arc::clone(&known), reading);
        Ok(Some(known))
    }
}
