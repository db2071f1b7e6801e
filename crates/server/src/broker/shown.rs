//! What a link's page shows, and what the person agrees to there.

use data_encoding::HEXLOWER;
use keyfob_core::{
    secret::SecretType,
    ticket::{Ticket, TicketHash},
    time::Timestamp,
};
use keyfob_store::{ReadTx, connection, contact::Contact};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    authentication::is_allowed,
    config::{Signs, Terms},
    link::Open,
    provider,
};
use crate::error::Error;

/// What a link's page shows.
#[derive(Debug)]
pub struct Shown {
    /// What people call the account that asks.
    pub account: String,
    /// What people call the contact who connects; `None` for a shared secret, and for a contact without a
    /// name: its fingerprint is the account's own affair.
    pub contact: Option<String>,
    /// What people call the secret.
    pub name: String,
    /// More about it.
    pub description: String,
    /// What is to be handed over.
    pub secret_type: SecretType,
    /// What a key is to sign with, if the secret says so.
    pub algorithm: Option<String>,
    /// The provider that the person is sent to, if they hand nothing over themselves.
    pub provider: Option<String>,
    /// What the provider is asked for, separated by blanks.
    pub scopes: Option<String>,
    /// The hosts that it may be sent to.
    pub hosts: Vec<String>,
    /// The methods that it may be used with; `None` is all.
    pub methods: Option<Vec<String>>,
    /// The beginnings of the paths that it may be sent to; `None` is all.
    pub paths: Option<Vec<String>>,
    /// The word before it in `Authorization`, where the secret chooses one.
    pub(crate) scheme: Option<String>,
    /// What is signed with it and sent in its place, if anything is.
    pub(crate) signs: Option<Signs>,
    terms: Terms,
    /// Since when the contact has connected it, if it has: what is handed over takes its place.
    pub connected_since: Option<Timestamp>,
    /// Until when the link can be used.
    pub until: Timestamp,
    /// Where the person goes at the end.
    pub return_url: Option<String>,
    /// Whom the page may tell how it went: origins.
    pub origins: Vec<String>,
}

impl Shown {
    /// What the form of this page, in this browser, is sent with: a proof that it comes from there, and what
    /// the person agrees to by sending it.
    pub(crate) fn proof(&self, browser: &Ticket, state: &TicketHash) -> String {
        format!("{}.{}", browser.proof(state), self.fingerprint())
    }

    /// A fingerprint of all that the person agrees to. It hides nothing: the person has seen it.
    pub(super) fn fingerprint(&self) -> String {
        let Self { account, contact, name, description, secret_type, algorithm, .. } = self;
        let Self { provider, scopes, terms, .. } = self;
        let texts = [
            Some(account.as_str()),
            contact.as_deref(),
            Some(name.as_str()),
            Some(description.as_str()),
            Some(secret_type.as_str()),
            algorithm.as_deref(),
            provider.as_deref(),
            scopes.as_deref(),
        ];
        let mut hash = Sha256::new();
        for text in texts {
            // With its length in front, so that no two texts run together.
            hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            hash.update(text.unwrap_or_default());
        }
        // The hosts, and what else says where it goes and how it is sent.
        hash.update(terms.to_bytes());
        HEXLOWER.encode(&hash.finalize())
    }
}

pub(super) fn shown(tx: &mut ReadTx<'_>, open: &Open) -> Result<Shown, Error> {
    let Open { authentication, account, contact, usable, .. } = open;
    let connected = match contact {
        Some(contact) => connection::find(tx, &account.id, &contact.id, &usable.secret.id)?,
        None => None,
    };
    // The account may have changed its mind about where its contacts go.
    let return_url = authentication.return_url.clone();
    let is_allowed = |url: &String| Url::parse(url).is_ok_and(|url| is_allowed(account, &url));
    let return_url = return_url.filter(is_allowed);
    let config = &usable.config;
    let sent = config.sent(usable.secret_type);
    let (scheme, signs) = sent.map_or((None, None), |sent| (sent.scheme, sent.signs));
    Ok(Shown {
        account: account.name.clone(),
        contact: contact.as_ref().and_then(name_of),
        name: usable.secret.name.clone(),
        description: usable.secret.description.clone(),
        secret_type: usable.secret_type,
        algorithm: config.text("algorithm").map(str::to_owned),
        provider: provider::name(usable),
        scopes: config.text("scope").map(str::to_owned),
        hosts: config.texts("hosts").unwrap_or_default(),
        methods: config.texts("methods"),
        paths: config.texts("paths"),
        scheme,
        signs,
        terms: config.terms(),
        connected_since: connected.map(|connection| connection.updated_at),
        until: authentication.expires_at,
        return_url,
        origins: account.allowed_origins.clone(),
    })
}

/// What people call a contact.
fn name_of(contact: &Contact) -> Option<String> {
    let known = [
        Some(&contact.name),
        contact.nick.as_ref(),
        contact.email.as_ref(),
        contact.phone.as_ref(),
    ];
    known.into_iter().flatten().find(|name| !name.is_empty()).cloned()
}
