//! Whether a credential can be used (contract/contacts-and-secrets, sections 4.2 and 5.2). Nothing changes but
//! tokens that are due: those are renewed first.

use keyfob_core::{
    id::{ContactId, SecretId},
    policy::{Action, Object},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{
    ReadTx,
    connection::{self, Connection},
    refresh::Holder,
};
use secrecy::SecretString;

use super::{
    Broker, Caller, SecretRef,
    authentication::NewLink,
    connection::{NOT_OF_CONTACT, find_contact, status},
    consent::Consent,
    credential::{self, Unusable},
    grant::{Held, shared_holder},
    provider,
    renewal::Need,
    trial::Trial,
    usable::{Shared, Usable},
};
use crate::error::Error;

/// Whether a credential can be used. The words never grow (contract/keyfob, "Every answer").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can.
    Authenticated,
    /// There is none, or it is of no use.
    Unauthenticated,
    /// Its time is over, and nothing renews it.
    Expired,
    /// It cannot be used any more: whoever issued it has said so.
    Broken,
}

impl Status {
    /// The status as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Unauthenticated => "unauthenticated",
            Self::Expired => "expired",
            Self::Broken => "broken",
        }
    }
}

/// What is known of a credential.
#[derive(Debug)]
pub struct Verified {
    /// The secret.
    pub secret: SecretId,
    /// Whether its credential can be used.
    pub status: Status,
    /// Why not, for people. Tells nothing of the credential.
    pub reason: Option<String>,
    /// When it ends, if it says so.
    pub expires_at: Option<Timestamp>,
    /// What it allows, separated by blanks, if it says so.
    pub scopes: Option<String>,
    /// The link at which it can be handed over, if it has to be.
    pub link: Option<SecretString>,
}

/// What is known, and what can be done about it.
struct Found {
    verified: Verified,
    /// Whether a person can do something.
    can_connect: bool,
    /// Whose tokens are due.
    due: Option<(Holder, Need)>,
    /// Where the token is tried.
    trial: Option<Trial>,
}

/// What is known in the end, to whom, and what a link would be for.
struct Known {
    verified: Verified,
    caller: Caller,
    link: Option<NewLink>,
}

impl Found {
    const fn of(verified: Verified) -> Self {
        Self { verified, can_connect: false, due: None, trial: None }
    }
}

impl Verified {
    /// It can be used, as far as is known.
    fn authenticated(secret: SecretId) -> Self {
        let status = Status::Authenticated;
        Self { secret, status, reason: None, expires_at: None, scopes: None, link: None }
    }

    pub(super) fn but(self, status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: Some(reason.into()), ..self }
    }
}

impl Broker {
    /// Whether the contact has connected the secret, and the link to do so if not.
    pub async fn verify_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Verified, Error> {
        self.verify_connection_for(caller, Action::ConnectionVerify, contact, at).await
    }

    /// [`Broker::verify_connection`] as a part of `action`, which is what the caller has to be allowed.
    pub(super) async fn verify_connection_for(
        &self,
        caller: &Caller,
        action: Action,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Verified, Error> {
        self.with_link(self.known_of_contact(caller, action, contact, at).await?).await
    }

    /// Whether a credential can be used, of a contact or of a shared secret, without a link: one that nobody is handed
    /// would be open, and told of in the trail, for nothing.
    pub async fn verify_without_link(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Verified, Error> {
        let known = match contact {
            Some(contact) => {
                self.known_of_contact(caller, Action::ConnectionVerify, contact, at).await
            }
            None => self.known_of_shared(caller, Action::SecretVerify, at).await,
        };
        known.map(|known| known.verified)
    }

    async fn known_of_contact(
        &self,
        caller: &Caller,
        action: Action,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Known, Error> {
        caller.may(action)?;
        let broker = self.clone();
        let (of, at) = (contact.clone(), at.clone());
        let look = move |tx: &mut ReadTx<'_>, caller: &Caller, now| {
            let contact = find_contact(tx, caller, action, &of)?;
            let usable = broker.usable(tx, caller, action, &at)?;
            if usable.secret.kind == Kind::Shared {
                return match broker.verify_shared(tx, &usable, now)? {
                    Some(found) => Ok(Found { can_connect: false, ..found }),
                    None => Err(Error::conflict(NOT_OF_CONTACT)),
                };
            }
            if contact.verified_at.is_none() {
                let text = "Cannot verify secret for this secret configuration";
                return Err(Error::conflict(text));
            }
            broker.verify_personal(tx, (caller, action), &contact.id, &usable, now)
        };
        self.look_and_renew(caller, Some(contact.clone()), look).await
    }

    /// Whether a shared secret has a value that can be used, and the link to give it one if not.
    pub async fn verify_secret(&self, caller: &Caller, at: &SecretRef) -> Result<Verified, Error> {
        self.verify_secret_for(caller, Action::SecretVerify, at).await
    }

    /// [`Broker::verify_secret`] as a part of `action`, which is what the caller has to be allowed.
    pub(super) async fn verify_secret_for(
        &self,
        caller: &Caller,
        action: Action,
        at: &SecretRef,
    ) -> Result<Verified, Error> {
        self.with_link(self.known_of_shared(caller, action, at).await?).await
    }

    async fn known_of_shared(
        &self,
        caller: &Caller,
        action: Action,
        at: &SecretRef,
    ) -> Result<Known, Error> {
        caller.may(action)?;
        let (broker, at) = (self.clone(), at.clone());
        let look = move |tx: &mut ReadTx<'_>, caller: &Caller, now| {
            let usable = broker.usable(tx, caller, action, &at)?;
            if usable.secret.kind == Kind::Personal {
                let text = "Cannot verify secret for this secret configuration";
                return Err(Error::conflict(text));
            }
            let missing = || {
                let verified = Verified::authenticated(usable.secret.id.clone());
                Found::of(verified.but(Status::Unauthenticated, "it has no value"))
            };
            let found = broker.verify_shared(tx, &usable, now)?.unwrap_or_else(missing);
            let can_connect = !usable.has_value(now) && credential::is_connected(&usable);
            Ok(Found { can_connect, ..found })
        };
        self.look_and_renew(caller, None, look).await
    }

    /// Looks, and looks again if tokens were due. What cannot be renewed now is told as it is known.
    async fn look_and_renew(
        &self,
        caller: &Caller,
        contact: Option<ContactId>,
        look: impl FnMut(&mut ReadTx<'_>, &Caller, Timestamp) -> Result<Found, Error>
        + Clone
        + Send
        + 'static,
    ) -> Result<Known, Error> {
        let look_for = async |caller: &Caller| {
            let (now, caller, mut look) = (self.now()?, caller.clone(), look.clone());
            self.read(move |tx| look(tx, &caller, now)).await
        };
        let mut caller = caller.clone();
        let mut found = look_for(&caller).await?;
        if let Some((holder, need)) = found.due {
            (caller, _) = self.renew_for(&caller, &holder, need).await?;
            found = look_for(&caller).await?;
        }
        let Found { mut verified, can_connect, trial, .. } = found;
        if let Some(trial) = trial {
            verified = self.try_out(verified, trial).await;
            caller = self.reauthenticate(&caller).await?;
        }
        let is_wanted = can_connect && verified.status != Status::Authenticated;
        let link = NewLink { contact, secret: verified.secret.clone(), return_url: None };
        Ok(Known { verified, caller, link: is_wanted.then_some(link) })
    }

    async fn with_link(&self, known: Known) -> Result<Verified, Error> {
        let Known { mut verified, caller, link } = known;
        if let Some(link) = link {
            verified.link = self.recent_link(&caller, link).await?;
        }
        Ok(verified)
    }

    fn verify_personal(
        &self,
        tx: &mut ReadTx<'_>,
        (caller, action): (&Caller, Action),
        contact: &ContactId,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let secret = &usable.secret.id;
        let verified = Verified::authenticated(secret.clone());
        let found = match connection::find(tx, caller.account(), contact, secret)? {
            None => {
                let text = "the contact has not connected it";
                Found::of(verified.but(Status::Unauthenticated, text))
            }
            Some(connection) => self.verify_value(tx, (caller, action), usable, connection, now)?,
        };
        Ok(Found { can_connect: credential::is_connected(usable), ..found })
    }

    /// Whether what a contact has connected can be used.
    fn verify_value(
        &self,
        tx: &mut ReadTx<'_>,
        (caller, action): (&Caller, Action),
        usable: &Usable,
        connection: Connection,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let mut verified = Verified::authenticated(connection.secret.clone());
        verified.expires_at = connection.expires_at;
        verified.scopes.clone_from(&connection.scopes);
        match status(&connection, now) {
            Status::Broken => {
                let why = connection.broken.unwrap_or_default();
                return Ok(Found::of(verified.but(Status::Broken, why)));
            }
            Status::Expired => {
                return Ok(Found::of(verified.but(Status::Expired, "it has expired")));
            }
            Status::Authenticated | Status::Unauthenticated => {}
        }
        if connection.value_type != usable.secret_type {
            let text = "the secret's type has changed since the contact connected it";
            return Ok(Found::of(verified.but(Status::Unauthenticated, text)));
        }
        let consent = self.consent(tx, (caller, action), usable, &connection)?;
        if let (Consent::Over(why), true) = (consent, usable.config.goes_anywhere()) {
            return Ok(Found::of(verified.but(Status::Unauthenticated, why)));
        }
        if usable.secret_type == SecretType::OAuth {
            let Connection { account, contact, secret, .. } = connection;
            let holder = Holder { account, contact: Some(contact), secret };
            return self.verify_grant(tx, holder, verified, now);
        }
        let object = Object::Connection(&connection.contact, &connection.secret);
        let permit = caller.decide(action, object)?;
        let value = self.open_text(tx, &permit, "value", &connection.value)?;
        Ok(Found::of(match credential::check(&value, usable.secret_type, &usable.config, now) {
            Ok(()) => verified,
            Err(why) => verified.but(Status::Unauthenticated, why.into_text()),
        }))
    }

    /// Whether a shared secret's value can be used; `None` if it has none, and needs one.
    fn verify_shared(
        &self,
        tx: &mut ReadTx<'_>,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Option<Found>, Error> {
        let verified = Verified::authenticated(usable.secret.id.clone());
        if usable.secret_type == SecretType::OAuth {
            if usable.shared.is_none() && !provider::is_of_client(&usable.config) {
                return Ok(None);
            }
            return self.verify_grant(tx, shared_holder(usable), verified, now).map(Some);
        }
        let Some(Shared { permit, value, .. }) = &usable.shared else { return Ok(None) };
        let text = match self.open_text(tx, permit, "value", value) {
            Err(error) if error.is_damage() && self.open_grant(tx, permit, value).is_ok() => {
                let why = "its value is of another type: give it a new one";
                return Ok(Some(Found::of(verified.but(Status::Unauthenticated, why))));
            }
            text => text?,
        };
        let checked = credential::check(&text, usable.secret_type, &usable.config, now);
        Ok(Some(Found::of(match checked.map_err(Unusable::into_text) {
            Ok(()) => verified,
            Err(why) => verified.but(Status::Unauthenticated, why),
        })))
    }

    /// What is known of a grant. Whether a provider can be reached now makes no difference to it.
    fn verify_grant(
        &self,
        tx: &mut ReadTx<'_>,
        holder: Holder,
        mut verified: Verified,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let Some(held) = self.held(tx, &holder)? else {
            let text = "it is of no use any more";
            return Ok(Found::of(verified.but(Status::Unauthenticated, text)));
        };
        let is_due = held.is_due(now) && held.place.broken().is_none() && held.can_renew(now);
        let backs_off = || held.refresh.as_ref().and_then(|it| it.backs_off_until(now));
        let due = (is_due && backs_off().is_none()).then(|| (holder, held.need(now)));
        verified.expires_at = held.place.expires_at();
        verified.scopes = held.place.scopes().map(str::to_owned);
        let is_over = held.grant.as_ref().is_none_or(|grant| grant.is_expired(now));
        if held.place.broken().is_some() {
            let why = held.place.broken().unwrap_or_default().to_owned();
            let status = if is_over { Status::Broken } else { Status::Authenticated };
            verified = verified.but(status, why);
        } else if is_over {
            verified = over(&held, verified, now);
        }
        // A token that has ended is refused everywhere, which says nothing of the grant.
        let trial = held.trial().filter(|_| !is_over);
        Ok(Found { verified, can_connect: false, due, trial })
    }
}

/// A grant whose token has expired.
fn over(held: &Held, verified: Verified, now: Timestamp) -> Verified {
    let problem = held.refresh.as_ref().and_then(|refresh| refresh.problem.clone());
    match &held.grant {
        _ if !held.can_renew(now) => verified.but(Status::Expired, "it has expired"),
        None => verified.but(Status::Unauthenticated, not_renewed(problem)),
        // The provider has not said that it has ended.
        Some(_) => verified.but(Status::Authenticated, not_renewed(problem)),
    }
}

fn not_renewed(problem: Option<String>) -> String {
    let problem = problem.map_or_else(String::new, |problem| format!(": {problem}"));
    format!("its token has expired, and there is no new one yet{problem}")
}
