//! The tools that ask whether a credential can be used, and have a person connect it.

use keyfob_core::{id::ContactId, time::Timestamp};
use rmcp::{
    model::JsonObject,
    schemars::{self, JsonSchema},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    failure::HAND_OVER,
    handler::{Handler, read},
    person::{Person, Reply},
};
use crate::{
    broker::{SecretRef, Status, Verified as Known},
    error::Error,
    http::{contact, secret},
};

/// Which credential is meant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    /// The secret: its id (sec_…), `@alias` or `(name)`.
    secret: String,
    /// The id of the contact (con_…) whose value of a personal secret is meant. Leave it out for a shared secret.
    contact: Option<String>,
}

/// Which credential is to be connected.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Authenticate {
    /// The secret: its id (sec_…), `@alias` or `(name)`.
    secret: String,
    /// The id of the contact (con_…) who is to connect a personal secret. Leave it out for a shared secret.
    contact: Option<String>,
    /// Whether it is to be connected anew although it can be used, for instance with another account.
    #[serde(default)]
    reconnect: bool,
    /// Where the person goes in the end: a URL of an origin that the account allows.
    return_url: Option<String>,
}

/// Whether a credential can be used.
#[derive(Serialize, JsonSchema)]
pub(super) struct Verified {
    /// The secret's id.
    id: String,
    /// `authenticated`, `unauthenticated`, `expired` or `broken`.
    status: &'static str,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it ends, in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// What it allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

/// How far connecting has come.
#[derive(Serialize, JsonSchema)]
pub(super) struct Authentication {
    /// `authenticated`: it can be used. `waiting`: a person has to open the page. `declined`: the person would not.
    status: &'static str,
    /// The page, if you have to hand it to the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// What to do next.
    next: &'static str,
}

impl Authentication {
    const DONE: Self = Self {
        status: "authenticated",
        url: None,
        next: "It can be used: go on. With `reconnect` it is connected anew",
    };
    const WAITING: Self = Self {
        status: "waiting",
        url: None,
        next: "The person was shown the page. Call verify_secret every few seconds until it says authenticated, and go on",
    };
    const DECLINED: Self = Self {
        status: "declined",
        url: None,
        next: "The person would not open the page. Do without, or ask them in your conversation whether to try again",
    };
}

impl Handler {
    pub(super) async fn verify(&self, arguments: JsonObject) -> Result<Verified, Error> {
        let Verify { secret, contact } = read(arguments)?;
        let contact = contact.map(|contact| contact::parse(&contact));
        Ok(Verified::of(self.known(contact.as_ref(), &secret::parse(&secret)).await?))
    }

    /// Nothing that can be used is connected anew unless that is asked for: a client that was asked to show a page
    /// calls again when it was, and that call has to come to an end.
    pub(super) async fn authenticate(
        &self,
        arguments: JsonObject,
        person: &Person,
    ) -> Result<Authentication, Error> {
        let Authenticate { secret, contact, reconnect, return_url } = read(arguments)?;
        let (contact, at) =
            (contact.map(|contact| contact::parse(&contact)), secret::parse(&secret));
        if person.replied() == Some(Reply::Declined) {
            return Ok(Authentication::DECLINED);
        }
        let is_new = reconnect && person.replied().is_none();
        let known = if is_new { None } else { self.known_if_told(contact.as_ref(), &at).await? };
        if known.as_ref().is_some_and(|known| known.status == Status::Authenticated) {
            return Ok(Authentication::DONE);
        }
        if person.replied().is_some() {
            return Ok(Authentication::WAITING);
        }
        let given = known.and_then(|known| known.link).filter(|_| return_url.is_none());
        let url = match given {
            Some(url) => url,
            None => self.link(contact.as_ref(), &at, return_url).await?,
        };
        if person.opens_links() {
            let message = "it is not connected".into();
            return Err(Error::AuthorizationRequired { message, url: Some(url) });
        }
        let url = Some(url.expose_secret().to_owned());
        Ok(Authentication { status: "waiting", url, next: HAND_OVER })
    }

    async fn known(&self, contact: Option<&ContactId>, at: &SecretRef) -> Result<Known, Error> {
        match contact {
            Some(contact) => self.broker.verify_connection(&self.caller, contact, at).await,
            None => self.broker.verify_secret(&self.caller, at).await,
        }
    }

    /// The same, if the key may ask that at all.
    async fn known_if_told(
        &self,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Option<Known>, Error> {
        match self.known(contact, at).await {
            Ok(known) => Ok(Some(known)),
            Err(Error::Forbidden) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn link(
        &self,
        contact: Option<&ContactId>,
        at: &SecretRef,
        return_url: Option<String>,
    ) -> Result<SecretString, Error> {
        let link = match contact {
            Some(contact) => {
                self.broker.authenticate_connection(&self.caller, contact, at, return_url).await
            }
            None => self.broker.authenticate_secret(&self.caller, at, return_url).await,
        };
        link.map(|link| link.url)
    }
}

impl Verified {
    fn of(known: Known) -> Self {
        let next = match known.status {
            Status::Authenticated => None,
            _ => Some("Call authenticate_secret to have a person connect it"),
        };
        let words = |scopes: String| scopes.split_ascii_whitespace().map(str::to_owned).collect();
        Self {
            id: known.secret.to_string(),
            status: known.status.as_str(),
            reason: known.reason,
            expires_at: known.expires_at.map(Timestamp::as_millis),
            scopes: known.scopes.map(words),
            next,
        }
    }
}
