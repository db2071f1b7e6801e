//! Secrets: the definitions of credentials (contract/contacts-and-secrets, sections 3, 4.1 and 11).

use std::sync::Arc;

use keyfob_core::{
    id::SecretId,
    policy::{Action, Object, Permit, Relation, decide_use},
    secret::{Kind, SecretType, Visibility},
    time::Timestamp,
};
use keyfob_store::{
    Commit, Page, ReadTx, StoreError, WriteTx,
    secret::{self, Secret},
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Broker, Caller, Given, SecretRef, Slice,
    attempt::Attempt,
    creation::{Claim, Repeat},
    meta::MetaFilter,
    secret_change::SecretChange,
    slice::SCANNED,
    usable::{definition, find_usable},
};
use crate::error::{Damaged, Error};

/// The table, and the noun in events.
pub(super) const SECRET: &str = "secret";

/// What is told of a secret: everything but its value.
pub struct Described {
    /// The secret.
    pub secret: Secret,
    /// Its config, with what is sensitive masked.
    pub config: Option<Map<String, Value>>,
}

/// Which secrets a list is asked for.
#[derive(Clone, Debug, Default)]
pub struct SecretFilter {
    /// Those with this `meta`.
    pub meta: MetaFilter,
    /// Those of this blueprint.
    pub blueprint_id: Option<String>,
}

impl SecretFilter {
    fn is_empty(&self) -> bool {
        self.meta.is_empty() && self.blueprint_id.is_none()
    }

    fn matches(&self, secret: &Secret) -> bool {
        self.meta.matches(secret.meta.as_deref())
            && (self.blueprint_id.is_none() || self.blueprint_id == secret.blueprint_id)
    }
}

impl Broker {
    /// Stores a secret, unless this request is a repeated one: then the first one's id.
    pub async fn create_secret(
        &self,
        caller: &Caller,
        change: SecretChange,
        repeat: Repeat,
    ) -> Result<SecretId, Error> {
        caller.decide(Action::SecretCreate, Object::Account)?;
        let (now, change) = (self.now()?, change.checked()?);
        let (broker, creator) = (self.clone(), caller.clone());
        self.create(caller, move |tx, attempt| {
            broker.create_secret_in(tx, &creator, &change, (&repeat, attempt), now)
        })
        .await
    }

    fn create_secret_in(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        change: &SecretChange,
        (repeat, attempt): (&Repeat, Option<&Arc<Attempt>>),
        now: Timestamp,
    ) -> Result<Commit<SecretId>, Error> {
        let id = SecretId::generate(now, &*self.inner.random);
        // The texts of value and config are kept apart from what `Debug` shows of a change.
        let said = format!("{change:?}");
        let config = match &change.config {
            Given::Value(config) => config.to_bytes()?,
            Given::Absent | Given::Null => Zeroizing::default(),
        };
        let value = match &change.value {
            Given::Value(value) => value.expose_secret().as_bytes(),
            Given::Absent | Given::Null => b"",
        };
        let content: [&[u8]; 4] = [b"secret.create", said.as_bytes(), &config, value];
        let claim = Claim { repeat, content: &content, object_id: id.as_str(), now, attempt };
        let mut event = caller.event(now, Action::SecretCreate, SECRET, id.to_shared());
        if let Some(first) = self.claim_creation(tx, caller, &claim)? {
            let first = SecretId::from_stored(&first);
            if secret::account_of(tx, &first)?.is_some() {
                event.object_id = first.to_shared();
                event.result = "repeated";
                return Ok(tx.commit(event, first));
            }
            self.reclaim_creation(tx, caller, &claim)?;
        }
        let permit = caller.decide(Action::SecretCreate, Object::Secret(&id))?;
        let blank = blank(caller, id.clone(), now);
        let secret = self.changed_secret(tx, &permit, blank, change, now)?;
        if !secret::insert(tx, &secret)? {
            return Err(Error::taken());
        }
        self.expect_no_loop(tx, &permit, &secret)?;
        self.keep_shared(tx, &secret, true, now)?;
        Ok(tx.commit(event, id))
    }

    /// What is told of a secret of the caller's account.
    pub async fn fetch_secret(&self, caller: &Caller, at: &SecretRef) -> Result<Described, Error> {
        caller.decide(Action::SecretFetch, Object::Account)?;
        let (broker, caller, at) = (self.clone(), caller.clone(), at.clone());
        self.read(move |tx| {
            let id = at.resolve_own(tx, &caller, Action::SecretFetch)?;
            let secret = secret::find(tx, caller.account(), &id)?.ok_or(Error::NotFound)?;
            broker.describe(tx, &caller, Action::SecretFetch, secret)
        })
        .await
    }

    /// Secrets of the caller's account that `filter` asks for. A page may have fewer than were asked
    /// for, or none, although more follow.
    pub async fn list_secrets(
        &self,
        caller: &Caller,
        slice: Slice<SecretId>,
        filter: SecretFilter,
    ) -> Result<Page<Described, SecretId>, Error> {
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::SecretList, Object::Account)?;
        let (broker, asking) = (self.clone(), caller.clone());
        let is_filtered = !filter.is_empty() || caller.grant().limits().contacts.is_some();
        let limit = if is_filtered { SCANNED } else { slice.take };
        let page = self.read(move |tx| {
            let list = if slice.oldest_first { secret::list } else { secret::list_newest };
            let (account, grant) = (asking.account(), asking.grant());
            let mut page = match grant.limits().secrets() {
                None => list(tx, account, slice.after.as_ref(), limit)?,
                Some(few) => slice.of_few(few, |id| secret::find(tx, account, id))?,
            };
            let reaches = |it: &Secret| grant.reaches_secret(&it.id, it.kind);
            page.rows.retain(|secret| reaches(secret) && filter.matches(secret));
            slice.end(&mut page, |secret| &secret.id);
            broker.describe_all(tx, &asking, page)
        });
        Ok(caller.log_damaged(page.await?))
    }

    fn describe_all(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        page: Page<Secret, SecretId>,
    ) -> Result<Page<Described, SecretId>, Error> {
        let Page { rows: secrets, mut damaged, last } = page;
        let mut rows = Vec::with_capacity(secrets.len());
        for secret in secrets {
            match self.describe(tx, caller, Action::SecretList, secret) {
                Ok(described) => rows.push(described),
                // One that does not open must not hide all the others.
                Err(error) => damaged.push(damage(error)?),
            }
        }
        Ok(Page { rows, damaged, last })
    }

    fn describe(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        action: Action,
        secret: Secret,
    ) -> Result<Described, Error> {
        let permit = decide_use(caller.grant(), action, definition(&secret, Relation::Same))?;
        let config = self.open_config(tx, &permit, secret.config.as_ref())?;
        Ok(Described { config: config.map(|config| config.masked()), secret })
    }

    /// Changes a secret; which one.
    pub async fn update_secret(
        &self,
        caller: &Caller,
        at: &SecretRef,
        change: SecretChange,
    ) -> Result<SecretId, Error> {
        caller.decide(Action::SecretUpdate, Object::Account)?;
        let (now, change) = (self.now()?, change.checked()?);
        let (broker, caller, at) = (self.clone(), caller.clone(), at.clone());
        let updated = self.change(move |tx| {
            let id = at.resolve_own(tx, &caller, Action::SecretUpdate)?;
            let before = secret::touch(tx, caller.account(), &id, now)?.ok_or(Error::NotFound)?;
            let permit = caller.decide(Action::SecretUpdate, Object::Secret(&id))?;
            let changed = broker.changed_secret(tx, &permit, before.clone(), &change, now)?;
            broker.check_reference(tx, (&caller, &permit), &before, &changed)?;
            if changed.value.is_none() {
                broker.queue_shared(tx, &before, now)?;
            }
            secret::update(tx, &changed).map_err(|error| match error {
                StoreError::Conflict => Error::taken(),
                error => error.into(),
            })?;
            broker.expect_no_loop(tx, &permit, &changed)?;
            if changed.value != before.value || changed.config != before.config {
                let is_new = changed.value != before.value;
                broker.keep_shared(tx, &changed, is_new, now)?;
            }
            let event = caller.event(now, Action::SecretUpdate, SECRET, id.to_shared());
            Ok(tx.commit(event, id))
        });
        let id = updated.await?;
        self.begin_revocations();
        Ok(id)
    }
}

impl Broker {
    /// Refuses a secret, stored as it is to be, that stands for itself: by the next change of a name it would stand
    /// for another one, and nobody who looked at it first would have seen which.
    fn expect_no_loop(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        secret: &Secret,
    ) -> Result<(), Error> {
        let Some(at) = self.reference(tx, permit, secret)? else { return Ok(()) };
        let at = SecretRef::parse(&at).map(|at| at.resolve(tx, &secret.account)).transpose()?;
        match at.flatten() {
            Some((_, id)) if id == secret.id => {
                Err(Error::invalid("bad_request", "\"config\" has the secret refer to itself"))
            }
            _ => Ok(()),
        }
    }

    /// What a secret refers to, as its config says it, if it is a reference.
    fn reference(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        secret: &Secret,
    ) -> Result<Option<String>, Error> {
        if secret.secret_type != SecretType::Reference {
            return Ok(None);
        }
        let config = self.open_config(tx, permit, secret.config.as_ref())?.unwrap_or_default();
        Ok(config.reference().map(str::to_owned))
    }

    /// A caller whose key reaches some secrets only must not have one of them stand for another one. It names what
    /// one stands for by its id: what a name or an alias means may change once it was decided on.
    fn check_reference(
        &self,
        tx: &mut ReadTx<'_>,
        (caller, permit): (&Caller, &Permit),
        before: &Secret,
        changed: &Secret,
    ) -> Result<(), Error> {
        if caller.grant().limits().secrets().is_none() {
            return Ok(());
        }
        let reference = self.reference(tx, permit, changed)?;
        if reference.is_none() || reference == self.reference(tx, permit, before)? {
            return Ok(());
        }
        let Some(at @ SecretRef::Id(_)) = reference.as_deref().and_then(SecretRef::parse) else {
            let text = "this key is limited to some secrets: \"config\" must name the one it refers to by its id";
            return Err(Error::invalid("bad_request", text));
        };
        match find_usable(tx, caller.grant(), Action::SecretUpdate, &at) {
            Ok(_) => Ok(()),
            Err(Error::NotFound) => {
                let text = "\"config\" refers to a secret that is not there for this key";
                Err(Error::invalid("bad_request", text))
            }
            Err(error) => Err(error),
        }
    }
}

/// The damaged row that an error tells of; any other error stays one.
fn damage(error: Error) -> Result<StoreError, Error> {
    let found = match &error {
        Error::Internal(source) => source.downcast_ref::<Damaged>(),
        _ => None,
    };
    match found {
        Some(Damaged { table: SECRET, row, column, .. }) => {
            let (row, column) = (row.clone(), (*column).to_owned());
            Ok(StoreError::Corrupt { table: SECRET, column, row })
        }
        _ => Err(error),
    }
}

fn blank(caller: &Caller, id: SecretId, now: Timestamp) -> Secret {
    Secret {
        account: caller.account().clone(),
        id,
        alias: None,
        name: String::new(),
        description: String::new(),
        blueprint_id: None,
        kind: Kind::Shared,
        secret_type: SecretType::Plain,
        value: None,
        expires_at: None,
        scopes: None,
        broken: None,
        config: None,
        visibility: Visibility::Private,
        meta: None,
        created_at: now,
        updated_at: now,
    }
}
