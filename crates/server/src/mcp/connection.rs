//! The tools that ask whether a credential can be used, and have a person connect it.

use keyfob_core::{id::ContactId, time::Timestamp};
use rmcp::{
    model::JsonObject,
    schemars::{self, JsonSchema},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{
    arguments::{Arguments, contact_of, flag, read, secret_of},
    bound,
    failure::{HAND_OVER, HAND_OVER_AGAIN},
    handler::Handler,
    person::{Person, Reply},
};
use crate::{
    broker::{LinkState, SecretRef, Status, Verified as Known},
    error::Error,
    http::fields::Fields,
};

/// Which credential is meant.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Verify {
    /// The secret: its id (sec_…), `@alias` or `(name)`.
    #[schemars(with = "String")]
    secret: SecretRef,
    /// The id of the contact (con_…) whose value of a personal secret is meant. Leave it out for a shared secret.
    #[schemars(with = "Option<String>")]
    contact: Option<ContactId>,
    /// Whether what counts is what the page brought that you asked for last, within 15 minutes, with `reconnect`.
    #[schemars(default)]
    reconnected: bool,
}

/// Which credential is to be connected.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Authenticate {
    /// The secret: its id (sec_…), `@alias` or `(name)`.
    #[schemars(with = "String")]
    secret: SecretRef,
    /// The id of the contact (con_…) who is to connect a personal secret. Leave it out for a shared secret.
    #[schemars(with = "Option<String>")]
    contact: Option<ContactId>,
    /// Whether it is to be connected anew although it can be used, for instance with another account.
    #[schemars(default)]
    reconnect: bool,
    /// Where the person goes in the end: a URL of an origin that the account allows.
    return_url: Option<String>,
}

impl Arguments for Verify {
    fn take(fields: &mut Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            secret: secret_of(fields)?,
            contact: contact_of(fields)?,
            reconnected: flag(fields, "reconnected")?,
        })
    }
}

impl Arguments for Authenticate {
    fn take(fields: &mut Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            secret: secret_of(fields)?,
            contact: contact_of(fields)?,
            reconnect: flag(fields, "reconnect")?,
            return_url: fields.text("return_url")?.value(),
        })
    }
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
        next: "It can be used: go on. With `reconnect` it is connected anew, if that was not done within the last 15 minutes",
    };
    const DECLINED: Self = Self {
        status: "declined",
        url: None,
        next: "The person would not open the page, or not connect it there. Do without, or ask them in your conversation whether to try again",
    };

    /// The person has the page. What can be used already says nothing of whether they are done.
    const fn waiting(is_usable: bool) -> Self {
        let next = if is_usable {
            "The person was shown the page. Until they are done there, the account connected before is used. Call verify_secret with `reconnected` every few seconds until it says authenticated, and go on"
        } else {
            "The person was shown the page. Call verify_secret every few seconds until it says authenticated, and go on"
        };
        Self { status: "waiting", url: None, next }
    }

    fn handed(url: &SecretString, is_usable: bool) -> Self {
        let next = if is_usable { HAND_OVER_AGAIN } else { HAND_OVER };
        Self { status: "waiting", url: Some(url.expose_secret().to_owned()), next }
    }
}

impl Handler {
    pub(super) async fn verify(&self, arguments: JsonObject) -> Result<Verified, Error> {
        let Verify { secret: at, contact, reconnected } = read(arguments)?;
        let verified = Verified::of(self.known(contact.as_ref(), &at).await?);
        if reconnected && verified.status == Status::Authenticated.as_str() {
            let link = self.broker.link_state(&self.caller, contact.as_ref(), &at).await?;
            return Ok(verified.of_link(link));
        }
        Ok(verified)
    }

    /// What a client says the person answered counts last: it may be about what is not there, or was not asked.
    pub(super) async fn authenticate(
        &self,
        arguments: JsonObject,
        person: &Person,
    ) -> Result<Authentication, Error> {
        let Authenticate { secret: at, contact, reconnect, return_url } = read(arguments)?;
        let link = self.broker.link_state(&self.caller, contact.as_ref(), &at).await?;
        let is_usable = self.is_usable(contact.as_ref(), &at).await?;
        // A client that was asked to show a page calls again when it was, and that call has to come to an end.
        let was_connected = person.may_have_been_asked() && link == Some(LinkState::Connected);
        match (person.replied(), link) {
            (Some(Reply::Declined), _) => return Ok(Authentication::DECLINED),
            _ if is_usable == Some(true) && !reconnect => return Ok(Authentication::DONE),
            _ if is_usable != Some(false) && was_connected => return Ok(Authentication::DONE),
            (Some(Reply::Opened), Some(LinkState::Declined)) => {
                return Ok(Authentication::DECLINED);
            }
            (Some(Reply::Opened), Some(LinkState::Open)) => {
                return Ok(Authentication::waiting(is_usable == Some(true)));
            }
            _ => {}
        }
        let return_url = return_url.as_deref();
        let url = self.broker.link_again(&self.caller, contact.as_ref(), &at, return_url).await?;
        if person.opens_links() {
            let message = "it is not connected".into();
            return Err(Error::AuthorizationRequired { message, url: Some(url) });
        }
        Ok(Authentication::handed(&url, is_usable == Some(true)))
    }

    async fn known(&self, contact: Option<&ContactId>, at: &SecretRef) -> Result<Known, Error> {
        self.broker.verify_without_link(&self.caller, contact, at).await
    }

    /// Whether it can be used, if the key may ask that at all.
    async fn is_usable(
        &self,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Option<bool>, Error> {
        match self.known(contact, at).await {
            Ok(known) => Ok(Some(known.status == Status::Authenticated)),
            Err(Error::Forbidden) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Verified {
    fn of(known: Known) -> Self {
        let next = match known.status {
            Status::Authenticated => None,
            _ => Some("Call authenticate_secret to have a person connect it"),
        };
        let words = |scopes: String| {
            bound::some(scopes.split_ascii_whitespace().map(str::to_owned).collect()).0
        };
        Self {
            id: known.secret.to_string(),
            status: known.status.as_str(),
            reason: known.reason.map(bound::words),
            expires_at: known.expires_at.map(Timestamp::as_millis),
            scopes: known.scopes.map(words),
            next,
        }
    }
    /// The same of what can be used, if what counts is the link that was asked for last.
    fn of_link(self, link: Option<LinkState>) -> Self {
        let (why, next) = match link {
            Some(LinkState::Connected) => return self,
            Some(LinkState::Open) => (
                "the page was not used yet; what was connected before can be used",
                "Wait a few seconds and ask again",
            ),
            Some(LinkState::Declined | LinkState::Withdrawn) | None => (
                "nothing was connected at a page that you asked for within 15 minutes; what was connected before can be used",
                "Call authenticate_secret with `reconnect` to have a person connect it anew, or go on with what was connected before",
            ),
        };
        let status = Status::Unauthenticated.as_str();
        Self { status, reason: Some(why.into()), next: Some(next), ..self }
    }
}
