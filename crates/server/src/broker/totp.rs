//! One-time-password entries: store, list, change, delete. Their codes are in `code`.

use std::sync::Arc;

use keyfob_core::{
    id::{ContactId, TotpId},
    policy::{Action, Object, TotpName},
    random,
    time::Timestamp,
    totp::{Parameters, Seed, uri::Enrolment},
};
use keyfob_store::{
    Page, ReadTx, WriteTx, account, contact,
    totp::{self, Policy, Totp},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Broker, Caller, Given, Slice,
    attempt::Attempt,
    creation::{Claim, Repeat},
};
use crate::{error::Error, text};

/// Bytes of a secret that Keyfob makes itself: 160 bits (RFC 4226 section 4, R6).
const GENERATED: usize = 20;
/// Entries read at a time when a list is streamed.
const PAGE: u32 = 200;

/// What an entry is to hold.
#[derive(Debug)]
pub struct Content {
    /// What people call it.
    pub label: String,
    /// The service it belongs to; a blank one is none.
    pub issuer: Option<String>,
    /// How its codes are made.
    pub parameters: Parameters,
    /// The secret; `None` has one made.
    pub seed: Option<Seed>,
}

impl Content {
    /// What a URI holds. `fallback` is the label of one that has none.
    #[must_use]
    pub fn from_uri(uri: Enrolment, fallback: Option<String>) -> Self {
        let label = match uri.label() {
            label if label.is_empty() => fallback.unwrap_or_else(|| "unnamed".into()),
            label => label,
        };
        let Enrolment { seed, parameters, issuer, .. } = uri;
        Self { label, issuer, parameters, seed: Some(seed) }
    }
}

/// A request to store an entry.
#[derive(Debug)]
pub struct Draft {
    /// What to store.
    pub content: Content,
    /// The contact it belongs to, if to one.
    pub contact: Option<ContactId>,
    /// Whether it may have been sent before.
    pub repeat: Repeat,
}

/// A stored entry with its secret, at the only moment it is given out.
pub struct CreatedTotp {
    /// The entry.
    pub totp: Totp,
    /// Its secret, in base32.
    pub secret: SecretString,
    /// Whether the secret is shorter than RFC 4226 demands.
    pub is_weak: bool,
}

/// What to change of an entry; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The contact it belongs to.
    pub contact: Given<ContactId>,
    /// The label.
    pub label: Option<String>,
    /// The issuer; a blank one takes it away.
    pub issuer: Option<String>,
    /// Whether steps are handed out at most once.
    pub unique: Option<bool>,
    /// Seconds a code must still be valid.
    pub min_validity: Option<u32>,
    /// Whether steps that were handed out while the clock was ahead may be handed out again.
    pub forget_steps_ahead: bool,
}

impl Broker {
    /// Stores an entry, unless this request is a repeated one: then the first one's answer.
    pub async fn create_totp(
        &self,
        caller: &Caller,
        mut draft: Draft,
    ) -> Result<CreatedTotp, Error> {
        caller.may(Action::TotpCreate)?;
        check_contact(caller, Action::TotpCreate, draft.contact.as_ref())?;
        let Content { label, issuer, .. } = &mut draft.content;
        text::check("label", label, 1)?;
        issuer.take_if(|issuer| text::is_blank(issuer));
        if let Some(issuer) = issuer {
            text::check("issuer", issuer, 0)?;
        }
        let now = self.now()?;
        let (broker, creator) = (self.clone(), caller.clone());
        self.create(caller, move |tx, attempt| {
            broker.create_totp_in(tx, &creator, (&draft, attempt), now)
        })
        .await
    }

    fn create_totp_in(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        (draft, attempt): (&Draft, Option<&Arc<Attempt>>),
        now: Timestamp,
    ) -> Result<keyfob_store::Commit<CreatedTotp>, Error> {
        let id = TotpId::generate(now, &*self.inner.random);
        let event = |id: &TotpId| caller.event(now, Action::TotpCreate, "totp", id.to_shared());
        if let Some(first) = self.first_like(tx, caller, (draft, attempt), &id, now)? {
            let mut event = event(&first.totp.id);
            event.result = "repeated";
            return Ok(tx.commit(event, first));
        }
        // Before the account, which a deletion of the contact counts down when it holds that.
        hold_contact(tx, caller, draft.contact.as_ref())?;
        let limit = i64::from(self.inner.limits.totp_per_account);
        if !account::add_totp(tx, caller.account(), limit)? {
            return Err(Error::Conflict {
                code: "limit_reached",
                message: format!("this account holds {limit} entries, which is its limit: delete some, or raise KEYFOB_MAX_TOTP").into(),
            });
        }
        let created = self.insert_totp(tx, caller, draft, id, now)?;
        let mut event = event(&created.totp.id);
        event.contact_id = draft.contact.as_ref().map(ContactId::to_shared);
        Ok(tx.commit(event, created))
    }

    fn insert_totp(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        draft: &Draft,
        id: TotpId,
        now: Timestamp,
    ) -> Result<CreatedTotp, Error> {
        let (content, random) = (&draft.content, &*self.inner.random);
        let generated;
        let seed = if let Some(seed) = &content.seed {
            seed
        } else {
            generated = Seed::from_bytes(random::bytes::<GENERATED>(random).to_vec())?;
            &generated
        };
        let secret = seed.to_base32();
        let key = self.inner.keyring.newest(tx, caller.account())?;
        let plaintext = secret.expose_secret().as_bytes();
        let sealed = key.seal("totp", id.as_str(), "secret", plaintext, random);
        let totp = Totp {
            id,
            contact: draft.contact.clone(),
            label: content.label.clone(),
            issuer: content.issuer.clone(),
            parameters: content.parameters,
            policy: Policy::default(),
            created_at: now,
            updated_at: now,
        };
        totp::insert(tx, caller.account(), &totp, &sealed)?;
        Ok(CreatedTotp { totp, secret, is_weak: seed.is_weak() })
    }

    /// The entry that an earlier request like this one made, if this one repeats it.
    fn first_like(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        (draft, attempt): (&Draft, Option<&Arc<Attempt>>),
        id: &TotpId,
        now: Timestamp,
    ) -> Result<Option<CreatedTotp>, Error> {
        let Content { label, issuer, parameters, seed } = &draft.content;
        let contact = draft.contact.as_ref().map_or("", ContactId::as_str);
        let content: [&[u8]; 9] = [
            b"totp.create",
            label.as_bytes(),
            issuer.as_deref().unwrap_or_default().as_bytes(),
            parameters.kind().as_str().as_bytes(),
            parameters.algorithm().as_str().as_bytes(),
            &[parameters.digits()],
            &parameters.period().to_be_bytes(),
            seed.as_ref().map_or(b"", |seed| seed.as_bytes()),
            contact.as_bytes(),
        ];
        let (repeat, object_id) = (&draft.repeat, id.as_str());
        let claim = Claim { repeat, content: &content, object_id, now, attempt };
        let Some(first) = self.claim_creation(tx, caller, &claim)? else {
            return Ok(None);
        };
        let found = self.created(tx, caller, &TotpId::from_stored(&first))?;
        if found.is_none() {
            self.reclaim_creation(tx, caller, &claim)?;
        }
        Ok(found)
    }

    fn created(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        id: &TotpId,
    ) -> Result<Option<CreatedTotp>, Error> {
        let account = caller.account();
        let (Some(totp), Some(sealed)) =
            (totp::find(tx, account, id)?, totp::find_sealed(tx, account, id)?)
        else {
            return Ok(None);
        };
        let permit = caller.decide(Action::TotpCreate, Object::Totp(totp.entry()))?;
        let seed = self.open_seed(tx, &permit, &sealed.secret)?;
        Ok(Some(CreatedTotp { totp, secret: seed.to_base32(), is_weak: seed.is_weak() }))
    }

    /// A page of the account's entries after `after`, oldest first, those that the caller's key reaches: there may
    /// be none of them, although more follow. It is at its end without a `last`.
    pub async fn list_totp(
        &self,
        caller: &Caller,
        after: Option<TotpId>,
    ) -> Result<Page<Totp, TotpId>, Error> {
        // A long list is read in many parts, and a key may end, or be changed, in between.
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::TotpList, Object::Account)?;
        let asking = caller.clone();
        let page = self.read(move |tx| {
            let account = asking.account();
            let mut page = match ids(asking.grant().limits().totp()) {
                None => totp::list(tx, account, after.as_ref(), PAGE)?,
                Some(few) => {
                    let slice = Slice { after: after.clone(), oldest_first: true, take: PAGE };
                    slice.of_few(&few, |id| totp::find(tx, account, id))?
                }
            };
            let reaches =
                |it: &Totp| asking.decide(Action::TotpList, Object::Totp(it.entry())).is_ok();
            page.rows.retain(reaches);
            Ok(page)
        });
        Ok(caller.log_damaged(page.await?))
    }

    /// What is known of an entry.
    pub async fn fetch_totp(&self, caller: &Caller, id: &TotpId) -> Result<Totp, Error> {
        caller.may(Action::TotpFetch)?;
        let (caller, id) = (caller.clone(), id.clone());
        self.read(move |tx| {
            let totp = totp::find(tx, caller.account(), &id)?.ok_or(Error::NotFound)?;
            caller.decide(Action::TotpFetch, Object::Totp(totp.entry()))?;
            Ok(totp)
        })
        .await
    }

    /// Changes an entry's contact, label, issuer or policy.
    pub async fn update_totp(
        &self,
        caller: &Caller,
        id: &TotpId,
        change: Change,
    ) -> Result<Totp, Error> {
        caller.may(Action::TotpUpdate)?;
        match &change.contact {
            Given::Absent => {}
            Given::Null => check_contact(caller, Action::TotpUpdate, None)?,
            Given::Value(contact) => check_contact(caller, Action::TotpUpdate, Some(contact))?,
        }
        if let Some(label) = &change.label {
            text::check("label", label, 1)?;
        }
        if let Some(issuer) = &change.issuer {
            text::check("issuer", issuer, 0)?;
        }
        let (now, caller, id) = (self.now()?, caller.clone(), id.clone());
        let changed = self.write(move |tx| {
            if let Given::Value(contact) = &change.contact {
                hold_contact(tx, &caller, Some(contact))?;
            }
            let touched = totp::touch(tx, caller.account(), &id, now)?;
            let mut totp = touched.ok_or(Error::NotFound)?;
            caller.decide(Action::TotpUpdate, Object::Totp(totp.entry()))?;
            apply(&mut totp, &change)?;
            totp::update(tx, caller.account(), &totp)?;
            let mut event = caller.event(now, Action::TotpUpdate, "totp", id.to_shared());
            if change.forget_steps_ahead {
                let (account, current) =
                    (caller.account(), totp.parameters.step_at(now.as_seconds())?);
                let reach = super::code::reach(totp.parameters, now)?;
                if totp::forget_steps_ahead(tx, account, &id, current, reach)? {
                    let text = format!("time steps after {} are forgotten", current.get());
                    event.reason = Some(text);
                }
            }
            Ok(tx.commit(event, totp))
        });
        let changed = changed.await?;
        self.inner.entries.forget();
        Ok(changed)
    }

    /// Deletes an entry for good.
    pub async fn delete_totp(&self, caller: &Caller, id: &TotpId) -> Result<(), Error> {
        caller.may(Action::TotpDelete)?;
        let (now, caller, id) = (self.now()?, caller.clone(), id.clone());
        let deleted = self.write(move |tx| {
            let totp = totp::touch(tx, caller.account(), &id, now)?.ok_or(Error::NotFound)?;
            caller.decide(Action::TotpDelete, Object::Totp(totp.entry()))?;
            totp::delete(tx, caller.account(), &id)?;
            account::remove_totp(tx, caller.account(), 1)?;
            Ok(tx.commit(caller.event(now, Action::TotpDelete, "totp", id.to_shared()), ()))
        });
        deleted.await?;
        self.inner.entries.forget();
        Ok(())
    }
}

fn apply(totp: &mut Totp, change: &Change) -> Result<(), Error> {
    let Change { contact, label, issuer, unique, min_validity, .. } = change.clone();
    totp.contact = contact.over(totp.contact.take());
    totp.label = label.unwrap_or_else(|| totp.label.clone());
    totp.issuer = issuer.or(totp.issuer.take()).filter(|issuer| !text::is_blank(issuer));
    totp.policy.unique = unique.unwrap_or(totp.policy.unique);
    totp.policy.min_validity = min_validity.unwrap_or(totp.policy.min_validity);
    check_min_validity(totp.policy.min_validity, totp.parameters)
}

/// The ids among these names, if they are all ids.
fn ids(names: Option<&[TotpName]>) -> Option<Vec<TotpId>> {
    let id = |name: &TotpName| match name {
        TotpName::Id(id) => Some(id.clone()),
        TotpName::Label(_) => None,
    };
    names?.iter().map(id).collect()
}

/// Refuses a contact whom the caller's key does not reach. A key of some contacts stores nothing of nobody's.
fn check_contact(
    caller: &Caller,
    action: Action,
    contact: Option<&ContactId>,
) -> Result<(), Error> {
    match contact {
        Some(contact) => {
            caller.decide(action, Object::Contact(contact)).map(drop).map_err(|_| no_contact())
        }
        None if caller.grant().limits().contacts.is_some() => {
            let text = "contact_id is required: this key is limited to some contacts";
            Err(Error::invalid("invalid_contact_id", text))
        }
        None => Ok(()),
    }
}

/// Sees to it that the contact is there until the unit ends.
fn hold_contact(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    contact: Option<&ContactId>,
) -> Result<(), Error> {
    match contact {
        Some(contact) => {
            contact::hold(tx, caller.account(), contact)?.map(drop).ok_or_else(no_contact)
        }
        None => Ok(()),
    }
}

fn no_contact() -> Error {
    Error::invalid("invalid_contact_id", "contact_id must be the id of a contact of this account")
}

/// No code is ever valid for longer than its period.
pub(super) fn check_min_validity(seconds: u32, parameters: Parameters) -> Result<(), Error> {
    let period = parameters.period();
    if seconds <= period {
        return Ok(());
    }
    let text = format!(
        "min_validity is {seconds} s, but a code of this entry is valid for {period} s at the most: ask for {period} or less"
    );
    Err(Error::invalid("invalid_min_validity", text))
}
