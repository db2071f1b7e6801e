//! What a person does at a link: looks at it, hands over a credential, or declines. Everything is decided
//! anew at that moment: the account may have changed its mind since it made the link (W24).

use data_encoding::HEXLOWER;
use keyfob_core::{
    policy::{Action, Grant, Role},
    secret::{Kind, SecretType},
    ticket::{Ticket, TicketHash},
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, WriteTx,
    account::{self, Account},
    authentication::{self, Authentication, Outcome},
    connection,
    contact::{self, Contact},
    event::Actor,
    key,
};

use super::{
    Broker, Caller, Origin, SecretRef,
    connection::told,
    credential::{self, Handed},
    usable::Usable,
};
use crate::error::{Error, LinkProblem};

/// Someone at a link: its state, and the browser they use, if it has been there before.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The link's state.
    pub state: Ticket,
    /// What the browser holds since it was first shown a link.
    pub browser: Option<Ticket>,
    /// Where the request came from.
    pub origin: Origin,
}

/// What a link's page shows.
#[derive(Debug)]
pub struct Shown {
    /// What people call the account that asks.
    pub account: String,
    /// What people call the contact who connects; `None` for a shared secret.
    pub contact: Option<String>,
    /// What people call the secret.
    pub name: String,
    /// More about it.
    pub description: String,
    /// What is to be handed over.
    pub secret_type: SecretType,
    /// The hosts that it may be sent to.
    pub hosts: Vec<String>,
    /// Since when the contact has connected it, if it has: what is handed over takes its place.
    pub connected_since: Option<Timestamp>,
    /// Until when the link can be used.
    pub until: Timestamp,
    /// Where the person goes at the end.
    pub return_url: Option<String>,
    /// Whom the page may tell how it went: origins.
    pub origins: Vec<String>,
}

/// How a visit went on.
#[derive(Debug)]
pub struct Ended {
    /// What the page showed.
    pub shown: Shown,
    /// The secret.
    pub secret: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// A link that can be used, with everything it is for.
struct Open {
    authentication: Authentication,
    account: Account,
    contact: Option<Contact>,
    usable: Usable,
    caller: Caller,
}

impl Broker {
    /// What a browser is to hold that was never shown a link.
    pub(crate) fn new_browser(&self) -> Ticket {
        Ticket::generate(&*self.inner.random)
    }

    /// Whether people reach the pages over TLS.
    pub(crate) fn is_reached_over_tls(&self) -> bool {
        self.inner.public_url.scheme() == "https"
    }

    /// What a link's page shows. Changes nothing: programs that show a preview of a link open it.
    pub async fn show_link(&self, visit: &Visit) -> Result<Shown, Error> {
        let now = self.now()?;
        let (broker, visit) = (self.clone(), visit.clone());
        self.read(move |tx| {
            let open = broker.open_link(tx, &visit, now)?;
            shown(tx, &open)
        })
        .await
    }

    /// Stores what is handed over at a link, which ends it. `proof` shows that the form comes from the
    /// link's page in this browser. From the first time on the link belongs to this browser, also when
    /// what is handed over is refused.
    pub async fn connect_at_link(
        &self,
        visit: &Visit,
        proof: &str,
        handed: Handed,
    ) -> Result<Ended, Error> {
        let (now, browser) = (self.now()?, proven(visit, proof)?);
        let (broker, visit) = (self.clone(), visit.clone());
        let ended = self.write(move |tx| {
            let open = broker.hold_link(tx, &visit, &browser, now)?;
            let stored = broker.store_at_link(tx, &open, &handed, now);
            if let Err(error @ Error::Invalid { .. }) = stored {
                return Ok(tx.commit_unaudited(Err(error)));
            }
            let event = stored?;
            let ended = end(tx, &visit, &open, Outcome::Connected, now)?;
            Ok(tx.commit(event, Ok(ended)))
        });
        ended.await?
    }

    /// Ends a link without handing anything over.
    pub async fn decline_link(&self, visit: &Visit, proof: &str) -> Result<Ended, Error> {
        let (now, browser) = (self.now()?, proven(visit, proof)?);
        let (broker, visit) = (self.clone(), visit.clone());
        self.write(move |tx| {
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
        handed: &Handed,
        now: Timestamp,
    ) -> Result<Event, Error> {
        let Open { contact, usable, caller, .. } = open;
        match contact {
            Some(contact) => self.store_connection(tx, caller, contact, usable, handed, now)?,
            None => self.store_shared(tx, usable, handed, now)?,
        };
        Ok(open.event(now))
    }

    /// The link with all it is for locked, bound to this browser.
    fn hold_link(
        &self,
        tx: &mut WriteTx<'_>,
        visit: &Visit,
        browser: &TicketHash,
        now: Timestamp,
    ) -> Result<Open, Error> {
        // In the order of all other units: the contact before what hangs on it.
        if let Some(Authentication { account, contact: Some(contact), .. }) =
            authentication::find(tx, &visit.state.hash())?
        {
            contact::hold(tx, &account, &contact)?;
        }
        let open = self.open_link(tx, visit, now)?;
        if !authentication::bind(tx, &visit.state.hash(), browser)? {
            // Another one was faster: it says how.
            self.open_link(tx, visit, now)?;
            return Err(LinkProblem::OtherBrowser.into());
        }
        Ok(open)
    }

    /// The link, if it can be used now, by this browser.
    fn open_link(&self, tx: &mut ReadTx<'_>, visit: &Visit, now: Timestamp) -> Result<Open, Error> {
        let found = authentication::find(tx, &visit.state.hash())?;
        let authentication = found.ok_or(LinkProblem::Unknown)?;
        check(&authentication, visit, now)?;
        let gone = || Error::from(LinkProblem::Withdrawn);
        if let Some(id) = &authentication.key {
            // A link ends with the key that asked for it.
            key::find_any(tx, id)?.filter(|key| key.is_live(now)).ok_or_else(gone)?;
        }
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
        let action = match contact {
            Some(_) => Action::ConnectionAuthenticate,
            None => Action::SecretAuthenticate,
        };
        let at = SecretRef::Id(authentication.secret.clone());
        let usable = self.usable(tx, &caller, action, &at).map_err(|error| match error {
            Error::NotFound | Error::Conflict { .. } => gone(),
            error => error,
        })?;
        let fits = match usable.secret.kind {
            Kind::Personal => contact.is_some(),
            Kind::Shared => contact.is_none() && usable.shared.is_none(),
        };
        if !fits || !credential::is_typed(usable.secret_type) {
            return Err(gone());
        }
        Ok(Open { authentication, account, contact, usable, caller })
    }
}

impl Open {
    fn event(&self, now: Timestamp) -> Event {
        let secret = &self.usable.secret.id;
        match &self.contact {
            Some(contact) => {
                told(&self.caller, now, Action::ConnectionConnect, &contact.id, secret)
            }
            None => self.caller.event(now, Action::SecretConnect, "secret", secret.to_shared()),
        }
    }
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

/// The browser that a form comes from, if it comes from the link's page there.
fn proven(visit: &Visit, proof: &str) -> Result<TicketHash, Error> {
    let browser = visit.browser.as_ref().ok_or(LinkProblem::NotFromPage)?;
    let is_proven = browser.proves(&visit.state.hash(), proof);
    is_proven.then(|| browser.hash()).ok_or_else(|| LinkProblem::NotFromPage.into())
}

/// Who has a link may do what whoever made it could have it made for, and nothing else.
fn person(account: &Account, contact: Option<&Contact>, visit: &Visit) -> Caller {
    let grant = Grant::new(account.id.clone(), Role::Agent);
    let actor = if let Some(contact) = contact {
        let id = contact.id.to_shared();
        Actor { kind: "contact", id, name: contact.name.as_str().into() }
    } else {
        let id = HEXLOWER.encode(&visit.state.hash().as_bytes()[..8]);
        Actor { kind: "link", id: id.into(), name: "".into() }
    };
    Caller::person(grant, actor, visit.origin.clone())
}

/// Ends a link whose page was shown to the end.
fn end(
    tx: &mut WriteTx<'_>,
    visit: &Visit,
    open: &Open,
    outcome: Outcome,
    now: Timestamp,
) -> Result<Ended, Error> {
    if !authentication::end(tx, &visit.state.hash(), outcome, now)? {
        return Err(LinkProblem::Used.into());
    }
    let secret = open.usable.secret.id.to_string();
    Ok(Ended { shown: shown(tx, open)?, secret, outcome })
}

fn shown(tx: &mut ReadTx<'_>, open: &Open) -> Result<Shown, Error> {
    let Open { authentication, account, contact, usable, .. } = open;
    let connected = match contact {
        Some(contact) => connection::find(tx, &account.id, &contact.id, &usable.secret.id)?,
        None => None,
    };
    let return_url = authentication.return_url.clone();
    Ok(Shown {
        account: account.name.clone(),
        contact: contact.as_ref().map(name_of),
        name: usable.secret.name.clone(),
        description: usable.secret.description.clone(),
        secret_type: usable.secret_type,
        hosts: usable.config.hosts(),
        connected_since: connected.map(|connection| connection.updated_at),
        until: authentication.expires_at,
        return_url,
        origins: account.allowed_origins.clone(),
    })
}

/// What people call a contact.
fn name_of(contact: &Contact) -> String {
    let known = [
        Some(&contact.name),
        contact.nick.as_ref(),
        contact.email.as_ref(),
        contact.phone.as_ref(),
    ];
    let name = known.into_iter().flatten().find(|name| !name.is_empty());
    name.unwrap_or(&contact.fingerprint).clone()
}
