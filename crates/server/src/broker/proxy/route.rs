//! What is known of a credential that requests are sent with: where it may go, and where in a request it goes.
//! It is kept, sealed as it is stored, for as long as other things that were read lately: an agent sends many
//! requests with the same one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, ContactId, SecretId},
    leak::Needles,
    oauth::Grant,
    policy::{Grant as Rights, Object, Permit, RequestDenial, decide_request},
    proxy::{Credential, Destination, Injection, Rules},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{
    ReadTx,
    connection::{self, Connection},
};
use secrecy::SecretString;

use super::super::{
    Broker, SecretRef,
    connection::find_contact,
    consent::Consent,
    credential,
    grant::GRANT,
    keyring::Keyring,
    recent::Recent,
    source::{Ready, Source, Wanted, from_value, unusable},
    usable::{Shared, Usable},
};
use crate::error::Error;

const LED: &str = "the value is of one account, and where it goes is for another one to say, whose secret the reference stands for: name the \"hosts\" that it is for in the reference's own config";

/// The routes that were taken lately.
pub(in crate::broker) type Routes = Recent<Key, Arc<Route>>;

/// Whose credential it is, by the name that its secret was asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::broker) struct Key {
    account: AccountId,
    contact: Option<ContactId>,
    at: SecretRef,
}

impl Key {
    pub(super) fn of(wanted: &Wanted) -> Self {
        let account = wanted.caller.account().clone();
        Self { account, contact: wanted.contact.clone(), at: wanted.at.clone() }
    }
}

/// Why a request is not sent.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The rules of the key or of the secret are against it.
    #[error(transparent)]
    Denied(#[from] RequestDenial),
    /// The contact has not agreed to it; why that matters.
    #[error("{0}")]
    Consent(&'static str),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => denial.into(),
            Refusal::Consent(why) => Self::AuthorizationRequired { message: why.into(), url: None },
        }
    }
}

/// What is known of a credential.
pub(in crate::broker) struct Route {
    usable: Usable,
    /// Where it may go.
    rules: Rules,
    /// Where its contact lets it go.
    consent: Consent,
    /// Where in a request it goes.
    pub(super) injection: Injection,
    /// What the contact has connected, if it is a contact's.
    connection: Option<Connection>,
    /// What must not come back to the requests that are under way. Not kept for any longer.
    needles: Mutex<Weak<Needles>>,
}

impl Route {
    /// How requests are sent with what a secret comes to.
    pub(super) fn read(
        broker: &Broker,
        tx: &mut ReadTx<'_>,
        wanted: &Wanted,
        usable: Usable,
    ) -> Result<Self, Error> {
        let connection = match &wanted.contact {
            Some(contact) => {
                connection::find(tx, wanted.caller.account(), contact, &usable.secret.id)?
            }
            None => None,
        };
        if usable.is_led_by_another {
            return Err(Error::Conflict { code: "unusable_secret", message: LED.into() });
        }
        let rules = usable.config.rules()?;
        let injection = usable.config.injection(usable.secret_type)?;
        let consent = match &connection {
            Some(connection) => {
                broker.consent(tx, (&wanted.caller, wanted.action), &usable, connection)?
            }
            None => Consent::Own,
        };
        let needles = Mutex::default();
        Ok(Self { usable, rules, consent, injection, connection, needles })
    }

    /// Whether it may be sent there for somebody with these rights.
    pub(super) fn allow(&self, rights: &Rights, to: &Destination) -> Result<(), Refusal> {
        decide_request(rights, &self.rules, to)?;
        self.consent.allow(to).map_err(Refusal::Consent)
    }

    /// Whether somebody can connect its secret at a link.
    pub(super) fn can_connect(&self) -> bool {
        credential::is_connected(&self.usable)
    }

    pub(super) fn secret(&self) -> &SecretId {
        &self.usable.secret.id
    }

    pub(super) fn secret_type(&self) -> SecretType {
        self.usable.secret_type
    }

    /// The name that a placeholder may have beside `DEFAULT`.
    pub(super) fn name(&self) -> &str {
        &self.usable.secret.name
    }

    /// What is put into a request.
    pub(super) fn credential(&self, ready: &Ready) -> Result<Credential, Error> {
        let scheme = self.usable.config.text("schema");
        let credential = credential::used(&ready.text, self.secret_type(), scheme);
        credential.map_err(|why| Error::Conflict {
            code: "unusable_secret",
            message: why.into_text().into(),
        })
    }

    /// What must not come back to a request that is sent with these texts.
    pub(super) fn needles(&self, texts: &[SecretString]) -> Arc<Needles> {
        let mut shared = self.needles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(needles) = shared.upgrade().filter(|needles| needles.are_of(texts)) {
            return needles;
        }
        let needles = Arc::new(Needles::new(texts));
        *shared = Arc::downgrade(&needles);
        needles
    }

    /// What is stored of it, sealed.
    pub(super) fn value(&self, wanted: &Wanted) -> Result<Option<Sealed>, Error> {
        Ok(self.sealed(wanted)?.map(|(_, sealed)| sealed.clone()))
    }

    pub(super) fn usable(&self) -> &Usable {
        &self.usable
    }

    /// Whether it is of the very credential that `before` is of. A grant is, however often it was renewed since, and
    /// not if somebody has connected anew; any other value is not once it was stored anew.
    pub(super) fn has_kept(
        &self,
        before: &Self,
        keyring: &Keyring,
        wanted: &Wanted,
    ) -> Result<bool, Error> {
        if self.usable.stands_for != before.usable.stands_for {
            return Ok(false);
        }
        let (Some(now), Some(then)) = (self.sealed(wanted)?, before.sealed(wanted)?) else {
            return Ok(false);
        };
        if now.1 == then.1 {
            return Ok(true);
        }
        let began_as = |(permit, sealed): (Permit, &Sealed)| {
            let bytes = keyring.open_with_known(&permit, GRANT, sealed)?;
            Some(Grant::parse(&bytes)?.began_as)
        };
        Ok(began_as(now).is_some_and(|it| Some(it) == began_as(then)))
    }

    /// Where the credential is, and the permit to open it.
    fn sealed(&self, wanted: &Wanted) -> Result<Option<(Permit, &Sealed)>, Error> {
        if let Some(contact) = &wanted.contact {
            let Some(connection) = &self.connection else { return Ok(None) };
            let object = Object::Connection(contact, self.secret());
            let permit = wanted.caller.decide(wanted.action, object)?;
            return Ok(Some((permit, &connection.value)));
        }
        let Some(Shared { permit, value, .. }) = &self.usable.shared else { return Ok(None) };
        wanted.caller.decide(wanted.action, Object::Secret(self.secret()))?;
        Ok(Some((permit.clone(), value)))
    }
}

impl Broker {
    /// The route that was taken lately, with its credential, if that can be used as it is. Whatever is not as
    /// plain as that is for [`Broker::acquire`].
    pub(super) fn recent_route(
        &self,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<Option<(Arc<Route>, Ready)>, Error> {
        let Some(route) = self.inner.routes.get(&Key::of(wanted), now) else { return Ok(None) };
        let Some((permit, sealed)) = route.sealed(wanted)? else { return Ok(None) };
        let usable = &route.usable;
        if route.connection.as_ref().is_some_and(|it| unusable(it, usable, now).is_some()) {
            return Ok(None);
        }
        let ready = if usable.secret_type == SecretType::OAuth {
            let bytes = self.inner.keyring.open_with_known(&permit, GRANT, sealed);
            let grant = bytes.and_then(|bytes| Grant::parse(&bytes));
            grant.filter(|grant| !grant.is_due(now)).map(|grant| Ready {
                expires_at: grant.access_token_expires_at,
                text: grant.access_token,
            })
        } else {
            let bytes = self.inner.keyring.open_with_known(&permit, "value", sealed);
            let value = bytes.and_then(|bytes| Some(std::str::from_utf8(&bytes).ok()?.into()));
            value.and_then(|value| match from_value(value, usable, now) {
                Source::Ready(ready) => Some(ready),
                _ => None,
            })
        };
        Ok(ready.map(|ready| (route, ready)))
    }
}

/// The secret that is wanted, if requests can be sent with what it comes to.
pub(super) fn proxyable(
    broker: &Broker,
    tx: &mut ReadTx<'_>,
    wanted: &Wanted,
) -> Result<Usable, Error> {
    let Wanted { caller, contact, at, action } = wanted;
    let contact = contact.as_ref().map(|id| find_contact(tx, caller, *action, id)).transpose()?;
    let usable = broker.usable(tx, caller, *action, at)?;
    match (&contact, usable.secret.kind) {
        (Some(_), Kind::Shared) => {
            let text = "a shared secret is not a contact's: send the request by /api/v1/secret/{secret}/proxy";
            Err(Error::Denied { code: "forbidden_secret_kind", message: text.into() })
        }
        (None, Kind::Personal) => {
            let text = "a personal secret is used for a contact: send the request by /api/v1/contact/{contact}/secret/{secret}/proxy";
            Err(Error::Denied { code: "forbidden_secret_kind", message: text.into() })
        }
        (Some(contact), Kind::Personal) if contact.verified_at.is_none() => {
            Err(Error::conflict("Cannot proxy secret for this secret configuration"))
        }
        _ => Ok(usable),
    }
}
