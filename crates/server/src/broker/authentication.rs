//! Authentications: the links at which a person hands over a credential. Who has a link can use it, once,
//! in one browser; what happens there is in `link`.

use std::time::Duration;

use keyfob_core::{
    id::{ContactId, KeyId, SecretId},
    policy::{Action, Object},
    secret::Kind,
    ticket::Ticket,
    time::Timestamp,
};
use keyfob_store::{
    Commit, ReadTx, WriteTx,
    account::{self, Account},
    authentication::{self, Authentication},
};
use quick_cache::{UnitWeighter, sync::Cache};
use secrecy::SecretString;
use url::Url;

use super::{
    Broker, Caller, SecretRef,
    connection::{NOT_OF_CONTACT, find_contact},
    credential,
    usable::Usable,
};
use crate::error::Error;

/// How long a link can be used (contract/contacts-and-secrets, section 5.5).
pub(crate) const USABLE_FOR: Duration = Duration::from_mins(15);
/// So long a link that ended is remembered, so that its page can say how.
pub(crate) const REMEMBERED_FOR: Duration = Duration::from_hours(24);
/// Links of one contact and secret that one key has open at a time.
const MOST_OPEN: u32 = 100;
/// Who asks again within this, gets the link that it was given: programs ask whether a contact has
/// connected many times while the contact does so.
const SAME_FOR: Duration = Duration::from_mins(5);
/// Links that are kept to be given again.
const KEPT: u64 = 10_000;
/// Links that there is room for before it is needed.
const EXPECTED: usize = 16;
/// The longest return URL, in characters.
const LONGEST_URL: usize = 2048;

/// What a link is to be made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NewLink {
    /// The contact who connects; `None` for the one value of a shared secret.
    pub(super) contact: Option<ContactId>,
    /// The secret.
    pub(super) secret: SecretId,
    /// Where the person goes at the end.
    pub(super) return_url: Option<String>,
}

/// What making a link is: for a contact, or for the one value of a shared secret.
pub(super) const fn link_action(contact: Option<&ContactId>) -> Action {
    match contact {
        Some(_) => Action::ConnectionAuthenticate,
        None => Action::SecretAuthenticate,
    }
}

impl NewLink {
    pub(super) const fn action(&self) -> Action {
        link_action(self.contact.as_ref())
    }
}

/// A link, and what it is for.
#[derive(Debug)]
pub struct Link {
    /// The secret.
    pub secret: SecretId,
    /// The link. Who has it can use it.
    pub url: SecretString,
}

/// Who asked for which link.
#[derive(Clone, PartialEq, Eq, Hash)]
struct For {
    key: Option<KeyId>,
    link: NewLink,
}

/// The links that were made lately for those who ask again and again.
pub(super) struct RecentLinks(Cache<For, (Ticket, Timestamp)>);

impl Default for RecentLinks {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, KEPT, UnitWeighter))
    }
}

impl Broker {
    /// A link at which the contact connects the secret, and then goes to `return_url`.
    pub async fn authenticate_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
        return_url: Option<String>,
    ) -> Result<Link, Error> {
        caller.decide(Action::ConnectionAuthenticate, Object::Account)?;
        let now = self.now()?;
        let (broker, caller) = (self.clone(), caller.clone());
        let (contact, at) = (contact.clone(), at.clone());
        self.write(move |tx| {
            let usable = broker.connectable(tx, &caller, Some(&contact), &at)?;
            broker.answer_link(tx, &caller, Some(contact.clone()), &usable, return_url.clone(), now)
        })
        .await
    }

    /// The secret, if this caller may have a link made for it: for the contact, or for its one shared value.
    pub(super) fn connectable(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Usable, Error> {
        let action = link_action(contact);
        caller.decide(action, Object::Account)?;
        let contact = contact.map(|id| find_contact(tx, caller, action, id)).transpose()?;
        let usable = self.usable(tx, caller, action, at)?;
        match (&contact, usable.secret.kind) {
            (Some(_), Kind::Shared) => Err(Error::conflict(NOT_OF_CONTACT)),
            (Some(contact), _) if contact.verified_at.is_none() => {
                Err(Error::conflict(NOT_AUTHENTICABLE))
            }
            (None, Kind::Personal) => Err(Error::conflict(NOT_AUTHENTICABLE)),
            _ => Ok(usable),
        }
    }

    /// Makes a link and answers it.
    pub(super) fn answer_link(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        contact: Option<ContactId>,
        usable: &Usable,
        return_url: Option<String>,
        now: Timestamp,
    ) -> Result<Commit<Link>, Error> {
        credential::expect_connected(usable)?;
        let return_url = match return_url {
            Some(url) => Some(checked_return_url(tx, caller, &url)?),
            None => None,
        };
        let secret = usable.secret.id.clone();
        let link = NewLink { contact, secret: secret.clone(), return_url };
        let made = self.make_link(tx, caller, link, now)?;
        Ok(made.map(|ticket| Link { secret, url: self.url_of(&ticket) }))
    }

    /// The link that this caller was given for the same a moment ago, or a new one. None if it has too many
    /// already, or may not have any: who only asks how things stand shall not fail for that.
    pub(super) async fn recent_link(
        &self,
        caller: &Caller,
        link: NewLink,
    ) -> Result<Option<SecretString>, Error> {
        if caller.may(link.action()).is_err() {
            return Ok(None);
        }
        match self.same_link(caller, link).await {
            Ok(url) => Ok(Some(url)),
            Err(Error::WaitTooLong { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The link that this caller was given for the same a moment ago, or a new one.
    pub(super) async fn same_link(
        &self,
        caller: &Caller,
        link: NewLink,
    ) -> Result<SecretString, Error> {
        let now = self.now()?;
        let wanted = For { key: caller.key().cloned(), link: link.clone() };
        if let Some((ticket, made)) = self.inner.recent_links.0.get(&wanted)
            && made.plus(SAME_FOR) > now
            && self.is_untouched(&ticket).await?
        {
            return Ok(self.url_of(&ticket));
        }
        let (broker, caller) = (self.clone(), caller.clone());
        let made = self.write(move |tx| broker.make_link(tx, &caller, link.clone(), now)).await?;
        self.inner.recent_links.0.insert(wanted, (made.clone(), now));
        Ok(self.url_of(&made))
    }

    /// Whether nobody has used the link yet, nor taken it back.
    async fn is_untouched(&self, ticket: &Ticket) -> Result<bool, Error> {
        let state = ticket.hash();
        let found = self.read(move |tx| Ok(authentication::find(tx, &state)?)).await?;
        Ok(found.is_some_and(|found| found.outcome.is_none() && found.browser.is_none()))
    }

    fn make_link(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        link: NewLink,
        now: Timestamp,
    ) -> Result<Commit<Ticket>, Error> {
        let action = link.action();
        let NewLink { contact, secret, return_url } = link;
        let ticket = Ticket::generate(&*self.inner.random);
        let new = Authentication {
            state: ticket.hash(),
            account: caller.account().clone(),
            contact,
            secret,
            key: caller.key().cloned(),
            return_url,
            created_at: now,
            expires_at: now.plus(USABLE_FOR),
            browser: None,
            outcome: None,
        };
        if authentication::count_like(tx, &new, now, MOST_OPEN)? >= MOST_OPEN as usize {
            return Err(too_many());
        }
        authentication::insert(tx, &new)?;
        let usable = self.usable(tx, caller, action, &SecretRef::Id(new.secret.clone()))?;
        let mut event = caller.event(now, action, "secret", new.secret.to_shared());
        event.contact_id = new.contact.as_ref().map(ContactId::to_shared);
        event.reason = usable.told();
        Ok(tx.commit(event, ticket))
    }

    fn url_of(&self, ticket: &Ticket) -> SecretString {
        let base = self.inner.public_url.as_str().trim_end_matches('/');
        format!("{base}/connect/{}", ticket.expose()).into()
    }
}

pub(super) const NOT_AUTHENTICABLE: &str =
    "Cannot authenticate secret for this secret configuration";

fn too_many() -> Error {
    Error::WaitTooLong {
        code: "too_many_links",
        message: "this key has 100 links for this open already: use one of them, or wait until they expire"
            .into(),
        after: Duration::from_mins(1),
    }
}

/// Whether an account lets its contacts be sent to this URL.
pub(super) fn is_allowed(account: &Account, url: &Url) -> bool {
    // The origin of a `blob:` URL is that of what it holds.
    let is_web = matches!(url.scheme(), "http" | "https");
    is_web && account.allowed_origins.contains(&url.origin().ascii_serialization())
}

/// The return URL, if its origin is one that the caller's account allows.
pub(super) fn checked_return_url(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    text: &str,
) -> Result<String, Error> {
    let wrong = |what: String| Error::invalid("invalid_return_url", what);
    let url = Url::parse(text).ok().filter(|_| text.len() <= LONGEST_URL);
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
    let url = url.ok_or_else(|| wrong("\"returnUrl\" must be an absolute URL".into()))?;
    let account = account::find(tx, caller.account())?.ok_or(Error::NotFound)?;
    if is_allowed(&account, &url) {
        return Ok(url.into());
    }
    Err(wrong(
        "the origin of \"returnUrl\" is not one that this account allows: an owner key adds it with POST /api/v1/account/update {\"allowedOrigins\": […]}".into(),
    ))
}

impl Broker {
    /// Forgets the links that ended long ago; how many. A few at a time.
    pub async fn forget_links(&self) -> Result<u64, Error> {
        let before = self.now()?.minus(REMEMBERED_FOR);
        self.forget(move |tx, limit| authentication::forget(tx, before, limit)).await
    }
}
