//! Contacts: the end users for whom agents act (contract/contacts-and-secrets, sections 2 and 11).

use keyfob_core::{
    id::ContactId,
    policy::{Action, Object},
    random,
    time::Timestamp,
};
use keyfob_store::{
    Commit, Event, Page, StoreError, WriteTx, account, authentication, connection,
    contact::{self, Contact},
    refresh, revocation, totp,
};

use super::{
    Broker, Caller, Given, Slice,
    creation::{Claim, Repeat},
    deletion::connections,
    meta::{self, MetaChange, MetaFilter},
    person,
    slice::SCANNED,
};
use crate::{error::Error, text};

/// The shortest fingerprint: shorter ones are guessed, or meant for something else.
const SHORTEST_FINGERPRINT: usize = 16;
/// The namespace of fingerprints that are derived from who a contact says to be.
const NAMESPACE: uuid::Uuid = uuid::uuid!("83eac369-0401-4a2c-992f-dd9b914420af");

/// What a contact is to hold.
#[derive(Clone, Debug, Default)]
pub struct ContactChange {
    /// What people call it.
    pub name: Given<String>,
    /// More about it, for people.
    pub description: Given<String>,
    /// What the account itself calls it by.
    pub fingerprint: Given<String>,
    /// An e-mail address.
    pub email: Given<String>,
    /// A phone number.
    pub phone: Given<String>,
    /// A nickname.
    pub nick: Given<String>,
    /// What it prefers, in its own words.
    pub preferences: Given<String>,
    /// Since when the account vouches for it.
    pub verified_at: Given<Timestamp>,
    /// A JSON object of the account's own.
    pub meta: Given<MetaChange>,
}

impl ContactChange {
    /// Checks every field, and brings each into the form that is stored.
    fn checked(self) -> Result<Self, Error> {
        let short = |field, value: Given<String>| value.try_map(|text| text::line(field, text));
        Ok(Self {
            name: short("name", self.name)?,
            description: self.description.try_map(|text| text::prose("description", text))?,
            fingerprint: self.fingerprint.try_map(|text| fingerprint(&text))?,
            email: self.email.try_map(person::email)?,
            phone: self.phone.try_map(|text| person::phone(&text))?,
            nick: short("nick", self.nick)?,
            preferences: self.preferences.try_map(|text| text::prose("preferences", text))?,
            ..self
        })
    }

    fn over(self, before: Contact) -> Result<Contact, Error> {
        Ok(Contact {
            name: self.name.over(Some(before.name)).unwrap_or_default(),
            description: self.description.over(Some(before.description)).unwrap_or_default(),
            // Taking the fingerprint away would make the contact nobody's: it stays.
            fingerprint: self.fingerprint.value().unwrap_or(before.fingerprint),
            email: self.email.over(before.email),
            phone: self.phone.over(before.phone),
            nick: self.nick.over(before.nick),
            preferences: self.preferences.over(before.preferences),
            verified_at: self.verified_at.over(before.verified_at),
            meta: meta::over(self.meta, before.meta)?,
            ..before
        })
    }

    /// The fingerprint of a contact that has none of its own: who it says to be.
    fn derived_fingerprint(&self) -> Option<String> {
        let said = [&self.name, &self.email, &self.phone, &self.nick];
        let mut said: Vec<_> = said.map(|given| given.clone().value().unwrap_or_default()).into();
        if said.iter().all(String::is_empty) {
            return None;
        }
        said.sort();
        Some(uuid::Uuid::new_v5(&NAMESPACE, said.join(";").as_bytes()).to_string())
    }
}

fn fingerprint(value: &str) -> Result<Option<String>, Error> {
    let value = value.trim();
    text::check_line("fingerprint", value)?;
    if value.is_empty() {
        return Ok(None);
    }
    if value.chars().count() < SHORTEST_FINGERPRINT {
        return Err(Error::invalid("bad_request", "Fingerprint is too short (fingerprint)"));
    }
    Ok(Some(value.to_owned()))
}

impl Broker {
    /// Stores a contact, unless this request is a repeated one: then the first one's id.
    pub async fn create_contact(
        &self,
        caller: &Caller,
        change: ContactChange,
        repeat: Repeat,
    ) -> Result<ContactId, Error> {
        caller.decide(Action::ContactCreate, Object::Account)?;
        let (now, change) = (self.now()?, change.checked()?);
        let said = format!("{change:?}");
        let (broker, creator) = (self.clone(), caller.clone());
        self.create(caller, move |tx, attempt| {
            let contact = broker.new_contact(change.clone(), now)?;
            let content: [&[u8]; 2] = [b"contact.create", said.as_bytes()];
            let object_id = contact.id.as_str();
            let claim = Claim { repeat: &repeat, content: &content, object_id, now, attempt };
            if let Some(first) = broker.claim_creation(tx, &creator, &claim)? {
                let first = ContactId::from_stored(&first);
                if contact::find(tx, creator.account(), &first)?.is_some() {
                    return Ok(ended(tx, &creator, now, Action::ContactCreate, first, "repeated"));
                }
                broker.reclaim_creation(tx, &creator, &claim)?;
            }
            if !contact::insert(tx, creator.account(), &contact)? {
                return Err(Error::taken());
            }
            Ok(ended(tx, &creator, now, Action::ContactCreate, contact.id, "ok"))
        })
        .await
    }

    fn new_contact(&self, change: ContactChange, now: Timestamp) -> Result<Contact, Error> {
        let random = &*self.inner.random;
        let fresh = uuid::Builder::from_random_bytes(random::bytes(random)).into_uuid();
        change.over(Contact {
            id: ContactId::generate(now, random),
            name: String::new(),
            description: String::new(),
            fingerprint: fresh.to_string(),
            email: None,
            phone: None,
            nick: None,
            preferences: None,
            verified_at: None,
            meta: None,
            created_at: now,
            updated_at: now,
        })
    }

    /// The contact with this fingerprint, made if there is none. With a fingerprint of its own the
    /// account vouches for it; without, the contact is known by who it says to be, and nobody vouches.
    ///
    /// One upsert: any number of simultaneous calls have one contact and one answer.
    pub async fn ensure_contact(
        &self,
        caller: &Caller,
        change: ContactChange,
    ) -> Result<ContactId, Error> {
        caller.decide(Action::ContactCreate, Object::Account)?;
        let (now, mut change) = (self.now()?, change.checked()?);
        let is_trusted = matches!(change.fingerprint, Given::Value(_));
        if !is_trusted {
            let nobody = "one of \"fingerprint\", \"name\", \"email\", \"phone\" and \"nick\" is required: there is nothing to know this contact by";
            let derived = change.derived_fingerprint();
            let derived = derived.ok_or_else(|| Error::invalid("bad_request", nobody))?;
            change.fingerprint = Given::Value(derived);
        }
        change.verified_at = if is_trusted { Given::Value(now) } else { Given::Null };
        let (broker, caller) = (self.clone(), caller.clone());
        self.change(move |tx| {
            let contact = broker.new_contact(change.clone(), now)?;
            if contact::insert(tx, caller.account(), &contact)? {
                return Ok(ended(tx, &caller, now, Action::ContactCreate, contact.id, "ok"));
            }
            // It was there a statement ago, and a deletion since is as good as one before.
            let found = contact::find_by_fingerprint(tx, caller.account(), &contact.fingerprint)?;
            let found = found.ok_or_else(Error::taken)?;
            if !is_trusted || found.verified_at.is_some() {
                return Ok(tx.commit_unaudited(found.id));
            }
            let verified = Contact { verified_at: Some(now), ..found };
            contact::update(tx, caller.account(), &verified)?;
            Ok(ended(tx, &caller, now, Action::ContactUpdate, verified.id, "verified"))
        })
        .await
    }

    /// A contact of the caller's account.
    pub async fn fetch_contact(&self, caller: &Caller, id: &ContactId) -> Result<Contact, Error> {
        caller.decide(Action::ContactFetch, Object::Contact(id))?;
        let (account, id) = (caller.account().clone(), id.clone());
        self.read(move |tx| contact::find(tx, &account, &id)?.ok_or(Error::NotFound)).await
    }

    /// Contacts of the caller's account that `filter` asks for. A page may have fewer than were asked
    /// for, or none, although more follow.
    pub async fn list_contacts(
        &self,
        caller: &Caller,
        action: Action,
        slice: Slice<ContactId>,
        filter: MetaFilter,
    ) -> Result<Page<Contact, ContactId>, Error> {
        // A long list is read in many parts, and a key may end, or be changed, in between.
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(action, Object::Account)?;
        let asking = caller.clone();
        let limit = if filter.is_empty() { slice.take } else { SCANNED };
        let page = self.read(move |tx| {
            let list = if slice.oldest_first { contact::list } else { contact::list_newest };
            let account = asking.account();
            let mut page = match &asking.grant().limits().contacts {
                None => list(tx, account, slice.after.as_ref(), limit)?,
                Some(few) => slice.of_few(few, |id| contact::find(tx, account, id))?,
            };
            if !filter.is_empty() {
                page.rows.retain(|contact| filter.matches(contact.meta.as_deref()));
                slice.end(&mut page, |contact| &contact.id);
            }
            Ok(page)
        });
        Ok(caller.log_damaged(page.await?))
    }

    /// Changes a contact.
    pub async fn update_contact(
        &self,
        caller: &Caller,
        id: &ContactId,
        change: ContactChange,
    ) -> Result<(), Error> {
        caller.decide(Action::ContactUpdate, Object::Contact(id))?;
        let (now, change) = (self.now()?, change.checked()?);
        let (caller, id) = (caller.clone(), id.clone());
        self.change(move |tx| {
            let before = contact::touch(tx, caller.account(), &id, now)?.ok_or(Error::NotFound)?;
            let changed = change.clone().over(before)?;
            contact::update(tx, caller.account(), &changed).map_err(|error| match error {
                StoreError::Conflict => Error::taken(),
                error => error.into(),
            })?;
            let event = caller.event(now, Action::ContactUpdate, "contact", id.to_shared());
            Ok(tx.commit(event, ()))
        })
        .await
    }

    /// Deletes a contact for good, with what it has connected and its one-time-password entries. That is one unit, however much it is: a
    /// contact has at most one connection of each secret that somebody defined, so thousands at the most.
    pub async fn delete_contact(&self, caller: &Caller, id: &ContactId) -> Result<(), Error> {
        caller.decide(Action::ContactDelete, Object::Contact(id))?;
        let (now, caller, id) = (self.now()?, caller.clone(), id.clone());
        let deleted = self.change(move |tx| {
            contact::hold(tx, caller.account(), &id)?.ok_or(Error::NotFound)?;
            revocation::queue_contact(tx, caller.account(), &id, now)?;
            authentication::withdraw_contact(tx, caller.account(), &id, now)?;
            let removed = connection::delete_of_contact(tx, caller.account(), &id)?;
            refresh::end_contact(tx, caller.account(), &id)?;
            delete_entries(tx, &caller, &id, now)?;
            contact::delete(tx, caller.account(), &id)?;
            let mut event = caller.event(now, Action::ContactDelete, "contact", id.to_shared());
            event.reason = connections(removed);
            Ok(tx.commit(event, ()))
        });
        deleted.await?;
        self.inner.entries.forget();
        self.begin_revocations();
        Ok(())
    }
}

/// Deletes the one-time-password entries of a contact that is being deleted, and tells of each.
fn delete_entries(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    contact: &ContactId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let entries = totp::delete_of_contact(tx, caller.account(), contact)?;
    if !entries.is_empty() {
        account::remove_totp(tx, caller.account(), entries.len())?;
    }
    for entry in entries {
        let event = caller.event(now, Action::TotpDelete, "totp", entry.to_shared());
        tx.also(Event { contact_id: Some(contact.to_shared()), ..event });
    }
    Ok(())
}

fn ended(
    tx: &WriteTx<'_>,
    caller: &Caller,
    now: Timestamp,
    action: Action,
    id: ContactId,
    result: &'static str,
) -> Commit<ContactId> {
    let mut event = caller.event(now, action, "contact", id.to_shared());
    event.result = result;
    tx.commit(event, id)
}
