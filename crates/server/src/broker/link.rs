//! What a person does at a link: looks at it, hands over a credential, or declines. Everything is decided
//! anew at that moment: the account may have changed its mind since it made the link (W24).

use data_encoding::HEXLOWER;
use keyfob_core::{
    policy::{Action, Grant, Object, Role, decide},
    secret::Kind,
    ticket::{Ticket, TicketHash},
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, WriteTx,
    account::{self, Account},
    authentication::{self, Authentication, Outcome},
    contact::{self, Contact},
    event::Actor,
    key::{self, Key},
    secret,
};
use url::Url;

use super::{
    Broker, Caller, Ended, Origin, SecretRef,
    authentication::link_action,
    caller::grant_of,
    connection::told,
    credential::{self, Handed},
    shown::shown,
    usable::{Usable, find_usable},
};
use crate::error::{Error, LinkProblem};

/// Someone at a link: its state, and the browser they use, if it has been there before.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The hash of the link's state.
    pub state: TicketHash,
    /// What the browser holds since it was first shown a link.
    pub browser: Option<Ticket>,
    /// Where the request came from.
    pub origin: Origin,
}

/// A link that can be used, with everything it is for.
pub(super) struct Open {
    pub(super) authentication: Authentication,
    pub(super) account: Account,
    pub(super) contact: Option<Contact>,
    pub(super) usable: Usable,
    pub(super) caller: Caller,
}

impl Broker {
    /// A ticket that nobody has: what a browser is to hold that was never shown a link, or the name of a question.
    pub(crate) fn new_ticket(&self) -> Ticket {
        Ticket::generate(&*self.inner.random)
    }

    /// Where people reach the pages.
    pub(crate) fn public_url(&self) -> &Url {
        &self.inner.public_url
    }

    /// Whether people reach the pages over TLS.
    pub(crate) fn is_reached_over_tls(&self) -> bool {
        self.inner.public_url.scheme() == "https"
    }

    /// Stores what is handed over at a link, which ends it. `proof` shows that the form comes from the
    /// link's page in this browser, and what that showed: nobody agrees to what has changed since. From the first time on the link belongs to this browser, also when what is handed over is
    /// refused.
    pub async fn connect_at_link(
        &self,
        visit: &Visit,
        proof: &str,
        handed: Handed,
    ) -> Result<Ended, Error> {
        let (now, (browser, seen)) = (self.now()?, proven(visit, proof)?);
        let (broker, visit, seen) = (self.clone(), visit.clone(), seen.to_owned());
        let ended = self.change(move |tx| {
            let open = broker.hold_link(tx, &visit, &browser, now)?;
            let mut event = open.event(now);
            match broker.store_at_link(tx, &open, &seen, &handed, now) {
                Ok(()) => {
                    let ended = end(tx, &visit, &open, Outcome::Connected, now)?;
                    Ok(tx.commit(event, Ok(ended)))
                }
                Err(error @ Error::Invalid { .. }) => {
                    // The link now belongs to this browser.
                    event.result = "refused";
                    Ok(tx.commit(event, Err(error)))
                }
                Err(error) => Err(error),
            }
        });
        ended.await?
    }

    /// Ends a link without handing anything over.
    pub async fn decline_link(&self, visit: &Visit, proof: &str) -> Result<Ended, Error> {
        let (now, (browser, _)) = (self.now()?, proven(visit, proof)?);
        let (broker, visit) = (self.clone(), visit.clone());
        self.change(move |tx| {
            let open = broker.hold_link(tx, &visit, &browser, now)?;
            let mut event = open.event(now);
            event.result = "declined";
            let ended = end(tx, &visit, &open, Outcome::Declined, now)?;
            Ok(tx.commit(event, ended))
        })
        .await
    }

    fn store_at_link(
        &self,
        tx: &mut WriteTx<'_>,
        open: &Open,
        seen: &str,
        handed: &Handed,
        now: Timestamp,
    ) -> Result<(), Error> {
        expect_seen(tx, open, seen)?;
        let Open { contact, usable, caller, .. } = open;
        match contact {
            Some(contact) => self.store_connection(tx, caller, contact, usable, handed, now)?,
            None => self.store_shared(tx, usable, handed, now)?,
        };
        Ok(())
    }

    /// The link with all it is for locked, bound to this browser.
    pub(super) fn hold_link(
        &self,
        tx: &mut WriteTx<'_>,
        visit: &Visit,
        browser: &TicketHash,
        now: Timestamp,
    ) -> Result<Open, Error> {
        // In the order of all other units: the contact, the secret, and then what hangs on them.
        if let Some(link) = authentication::find(tx, &visit.state)? {
            if let Some(contact) = &link.contact {
                contact::hold(tx, &link.account, contact)?;
            }
            if let Some(account) = secret::account_of(tx, &link.secret)? {
                secret::hold(tx, &account, &link.secret)?;
            }
        }
        let open = self.open_link(tx, visit, now)?;
        if !authentication::bind(tx, &visit.state, browser)? {
            // Another one was faster: it says how.
            self.open_link(tx, visit, now)?;
            return Err(LinkProblem::OtherBrowser.into());
        }
        Ok(open)
    }

    /// The link, if it can be used now, by this browser.
    pub(super) fn open_link(
        &self,
        tx: &mut ReadTx<'_>,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<Open, Error> {
        let found = authentication::find(tx, &visit.state)?;
        let authentication = found.ok_or(LinkProblem::Unknown)?;
        check(&authentication, visit, now)?;
        let gone = || Error::from(LinkProblem::Withdrawn);
        if let Some(id) = &authentication.key {
            // A link ends with the key that asked for it, and where that may ask for it no more.
            let key = key::find_any(tx, id)?.filter(|key| key.is_live(now)).ok_or_else(gone)?;
            may_ask(tx, &key, &authentication).map_err(|error| match error {
                Error::NotFound | Error::Forbidden => gone(),
                error => error,
            })?;
        }
        let open = self.resolve_link(tx, authentication, visit)?;
        let Open { contact, usable, .. } = &open;
        let fits = match usable.secret.kind {
            Kind::Personal => contact.is_some(),
            Kind::Shared => contact.is_none() && !usable.has_value(now),
        };
        if !fits || !credential::is_connected(usable) {
            return Err(gone());
        }
        Ok(open)
    }

    /// A link with everything that it is for, if that is still there.
    pub(super) fn resolve_link(
        &self,
        tx: &mut ReadTx<'_>,
        authentication: Authentication,
        visit: &Visit,
    ) -> Result<Open, Error> {
        let gone = || Error::from(LinkProblem::Withdrawn);
        let account = account::find(tx, &authentication.account)?.ok_or_else(gone)?;
        let contact = match &authentication.contact {
            Some(id) => {
                let contact = contact::find(tx, &account.id, id)?.ok_or_else(gone)?;
                contact.verified_at.ok_or_else(gone)?;
                Some(contact)
            }
            None => None,
        };
        let caller = person(&account, contact.as_ref(), visit);
        let action = link_action(authentication.contact.as_ref());
        let at = SecretRef::Id(authentication.secret.clone());
        let usable = self.usable(tx, &caller, action, &at).map_err(|error| match error {
            Error::NotFound | Error::Conflict { .. } => gone(),
            error => error,
        })?;
        Ok(Open { authentication, account, contact, usable, caller })
    }
}

impl Open {
    pub(super) fn event(&self, now: Timestamp) -> Event {
        let secret = &self.usable.secret.id;
        let event = match &self.contact {
            Some(contact) => {
                told(&self.caller, now, Action::ConnectionConnect, &contact.id, secret)
            }
            None => self.caller.event(now, Action::SecretConnect, "secret", secret.to_shared()),
        };
        let asked = self.authentication.key.as_ref();
        let asked = asked.map(|key| format!("link asked for by {key}"));
        let told: Vec<_> = asked.into_iter().chain(self.usable.told()).collect();
        Event { reason: Some(told.join("; ")).filter(|told| !told.is_empty()), ..event }
    }
}

/// Decides whether a key may ask for this link now.
fn may_ask(tx: &mut ReadTx<'_>, key: &Key, link: &Authentication) -> Result<(), Error> {
    let grant = grant_of(key, link.account.clone());
    let action = link_action(link.contact.as_ref());
    if let Some(contact) = &link.contact {
        decide(&grant, action, Object::Contact(contact))?;
    }
    find_usable(tx, &grant, action, &SecretRef::Id(link.secret.clone())).map(drop)
}

/// Refuses what the person was not shown.
pub(super) fn expect_seen(tx: &mut ReadTx<'_>, open: &Open, seen: &str) -> Result<(), Error> {
    if shown(tx, open)?.fingerprint() == seen {
        return Ok(());
    }
    let text = "what is asked for, or what it is used for, has changed since you opened this page: look at it again";
    Err(Error::invalid("bad_request", text))
}

fn check(link: &Authentication, visit: &Visit, now: Timestamp) -> Result<(), LinkProblem> {
    match link.outcome {
        Some(Outcome::Connected) => return Err(LinkProblem::Used),
        Some(Outcome::Declined) => return Err(LinkProblem::Declined),
        Some(Outcome::Withdrawn) => return Err(LinkProblem::Withdrawn),
        None => {}
    }
    if link.expires_at <= now {
        return Err(LinkProblem::Expired);
    }
    let is_same =
        |bound: TicketHash| visit.browser.as_ref().is_some_and(|browser| bound.matches(browser));
    link.browser.is_none_or(is_same).then_some(()).ok_or(LinkProblem::OtherBrowser)
}

/// The browser that a form comes from, if it comes from the link's page there, and what that showed.
pub(super) fn proven<'a>(visit: &Visit, proof: &'a str) -> Result<(TicketHash, &'a str), Error> {
    let browser = visit.browser.as_ref().ok_or(LinkProblem::NotFromPage)?;
    let (proof, seen) = proof.split_once('.').unwrap_or_default();
    let is_proven = browser.proves(&visit.state, proof);
    is_proven.then(|| (browser.hash(), seen)).ok_or_else(|| LinkProblem::NotFromPage.into())
}

/// Who has a link may do what whoever made it could have it made for, and nothing else.
fn person(account: &Account, contact: Option<&Contact>, visit: &Visit) -> Caller {
    let grant = Grant::new(account.id.clone(), Role::Agent);
    // Whether it is the contact nobody knows: whoever has the link can use it.
    let id = HEXLOWER.encode(&visit.state.as_bytes()[..8]);
    let name = contact.map_or("", |contact| contact.name.as_str());
    let actor = Actor { kind: "link", id: id.into(), name: name.into() };
    Caller::person(grant, actor, visit.origin.clone())
}

/// Ends a link whose page was shown to the end.
pub(super) fn end(
    tx: &mut WriteTx<'_>,
    visit: &Visit,
    open: &Open,
    outcome: Outcome,
    now: Timestamp,
) -> Result<Ended, Error> {
    if !authentication::end(tx, &visit.state, outcome, now)? {
        return Err(LinkProblem::Used.into());
    }
    let secret = open.usable.secret.id.to_string();
    Ok(Ended { shown: shown(tx, open)?, secret, outcome })
}
