//! A credential as it is used now: what is stored, a token signed with it, or the access token of a grant, which
//! is renewed first if it is due. Minting and proxying both begin here.

use keyfob_core::{
    id::{ContactId, SecretId},
    policy::{Action, Object},
    secret::SecretType,
    time::Timestamp,
};
use keyfob_store::{
    Commit, ReadTx, WriteTx,
    connection::{self, Connection},
    refresh::Holder,
};
use secrecy::SecretString;

use super::{
    Broker, Caller, SecretRef, Status,
    authentication::NewLink,
    connection::status,
    credential,
    grant::{Held, shared_holder},
    renewal::{Need, Renewal},
    usable::Usable,
};
use crate::error::Error;

/// How often it is looked for a token: one that lives for a second may end while the machine is busy.
const LOOKS: u32 = 3;

/// Whose credential is wanted, and what for.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) caller: Caller,
    /// `None` for the one value of a shared secret.
    pub(super) contact: Option<ContactId>,
    pub(super) at: SecretRef,
    pub(super) action: Action,
}

impl Wanted {
    /// The same, for the caller as it is by now.
    pub(super) fn by(&self, caller: Caller) -> Self {
        Self { caller, ..self.clone() }
    }
}

/// A credential that can be used now.
#[derive(Clone)]
pub(super) struct Ready {
    /// A token, or what is stored of a secret of another type.
    pub(super) text: SecretString,
    /// When it ends, if that is known.
    pub(super) expires_at: Option<Timestamp>,
}

/// Where a credential comes from.
pub(super) enum Source {
    /// It can be used.
    Ready(Ready),
    /// It has to be renewed first.
    Due(Holder, Need),
    /// A person has to do something first.
    Person { secret: SecretId, why: String, can_connect: bool },
    /// The provider has not renewed it yet.
    Late,
}

/// Finds the secret that is wanted, and refuses what it must not be used for.
pub(super) type Find = fn(&Broker, &mut ReadTx<'_>, &Wanted) -> Result<Usable, Error>;

impl Broker {
    /// Has a credential ready, and does `take` with it in the unit that it was read in; what comes of that. What is
    /// wanted is handed to `take` as it is by then: whoever wants it may be allowed less after a renewal.
    pub(super) async fn acquire<T: Send + 'static>(
        &self,
        wanted: &Wanted,
        find: Find,
        take: impl FnMut(
            &mut WriteTx<'_>,
            &Wanted,
            Usable,
            Ready,
            Timestamp,
        ) -> Result<Commit<T>, Error>
        + Clone
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let mut wanted = wanted.clone();
        for _ in 0..LOOKS {
            let mut renewal = Renewal::Fresh;
            if let Source::Due(holder, need) = self.find_source(&wanted, find).await? {
                let renewed = self.renew_for(&wanted.caller, &holder, need).await?;
                (wanted.caller, renewal) = renewed;
            }
            match self.take_source(&wanted, find, take.clone()).await? {
                Ok(taken) => return Ok(taken),
                Err(Source::Person { secret, why, can_connect }) => {
                    return Err(self.ask_person(&wanted, secret, why, can_connect).await?);
                }
                // It has ended between two looks.
                Err(_) if renewal == Renewal::Fresh => {}
                Err(_) => break,
            }
        }
        Err(Error::ProviderLate)
    }

    /// The credential as it is now, if it can be used.
    pub(super) async fn peek(&self, wanted: &Wanted, find: Find) -> Result<Option<Ready>, Error> {
        Ok(match self.find_source(wanted, find).await? {
            Source::Ready(ready) => Some(ready),
            _ => None,
        })
    }

    async fn find_source(&self, wanted: &Wanted, find: Find) -> Result<Source, Error> {
        let (now, broker, wanted) = (self.now()?, self.clone(), wanted.clone());
        self.read(move |tx| {
            let usable = find(&broker, tx, &wanted)?;
            broker.source(tx, &wanted, &usable, now)
        })
        .await
    }

    async fn take_source<T: Send + 'static>(
        &self,
        wanted: &Wanted,
        find: Find,
        mut take: impl FnMut(
            &mut WriteTx<'_>,
            &Wanted,
            Usable,
            Ready,
            Timestamp,
        ) -> Result<Commit<T>, Error>
        + Send
        + 'static,
    ) -> Result<Result<T, Source>, Error> {
        let (now, broker, wanted) = (self.now()?, self.clone(), wanted.clone());
        self.write(move |tx| {
            let usable = find(&broker, tx, &wanted)?;
            let source = match broker.source(tx, &wanted, &usable, now)? {
                // What is about to end is better than nothing, if its time is not over.
                Source::Due(holder, _) => broker.still_good(tx, &holder, now)?,
                source => source,
            };
            match source {
                Source::Ready(ready) => Ok(take(tx, &wanted, usable, ready, now)?.map(Ok)),
                source => Ok(tx.commit_unaudited(Err(source))),
            }
        })
        .await
    }

    /// The error that says what a person has to do, with the link at which they can.
    pub(super) async fn ask_person(
        &self,
        wanted: &Wanted,
        secret: SecretId,
        message: String,
        can_connect: bool,
    ) -> Result<Error, Error> {
        let link = NewLink { contact: wanted.contact.clone(), secret, return_url: None };
        let url = if can_connect { self.recent_link(&wanted.caller, link).await? } else { None };
        Ok(Error::AuthorizationRequired { message, url })
    }

    pub(super) fn source(
        &self,
        tx: &mut ReadTx<'_>,
        wanted: &Wanted,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Source, Error> {
        if usable.secret_type == SecretType::OAuth {
            return Ok(match self.held(tx, &holder(wanted, usable))? {
                Some(held) => from_grant(&held, usable, now),
                None => missing(usable, now),
            });
        }
        let stored = match &wanted.contact {
            Some(contact) => self.connected(tx, wanted, contact, usable, now)?,
            None => match &usable.shared {
                Some(shared) => Ok(self.open_text(tx, &shared.permit, "value", &shared.value)?),
                None => Err(missing(usable, now)),
            },
        };
        Ok(match stored {
            Ok(value) => from_value(value, usable, now),
            Err(source) => source,
        })
    }

    /// What a contact has connected a secret with whose type is not oauth.
    fn connected(
        &self,
        tx: &mut ReadTx<'_>,
        wanted: &Wanted,
        contact: &ContactId,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Result<SecretString, Source>, Error> {
        let secret = &usable.secret.id;
        let found = connection::find(tx, wanted.caller.account(), contact, secret)?;
        let Some(connection) = found else { return Ok(Err(missing(usable, now))) };
        if let Some(why) = unusable(&connection, usable, now) {
            return Ok(Err(person(usable, why, now)));
        }
        let permit = wanted.caller.decide(wanted.action, Object::Connection(contact, secret))?;
        Ok(Ok(self.open_text(tx, &permit, "value", &connection.value)?))
    }

    /// The token of a grant that is due, for as long as it lives.
    fn still_good(
        &self,
        tx: &mut ReadTx<'_>,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<Source, Error> {
        let held = self.held(tx, holder)?;
        let grant = held.and_then(|held| held.grant).filter(|grant| !grant.is_expired(now));
        Ok(grant.map_or(Source::Late, |grant| {
            let expires_at = grant.access_token_expires_at;
            Source::Ready(Ready { text: grant.access_token.clone(), expires_at })
        }))
    }
}

/// Whose grant it is, of a secret of type oauth.
pub(super) fn holder(wanted: &Wanted, usable: &Usable) -> Holder {
    match &wanted.contact {
        Some(contact) => Holder {
            account: wanted.caller.account().clone(),
            contact: Some(contact.clone()),
            secret: usable.secret.id.clone(),
        },
        None => shared_holder(usable),
    }
}

/// Why a connection is of no use, if it is not.
pub(super) fn unusable(connection: &Connection, usable: &Usable, now: Timestamp) -> Option<String> {
    match status(connection, now) {
        Status::Broken => Some(connection.broken.clone().unwrap_or_default()),
        Status::Expired => Some("it has expired".into()),
        _ if connection.value_type != usable.secret_type => {
            Some("the secret's type has changed since the contact connected it".into())
        }
        _ => None,
    }
}

pub(super) fn from_value(value: SecretString, usable: &Usable, now: Timestamp) -> Source {
    let ready = if usable.secret_type == SecretType::Jwt {
        let signed = credential::sign(&value, &usable.config, now);
        signed.map(|signed| Ready { text: signed.token, expires_at: Some(signed.expires_at) })
    } else {
        let checked = credential::check(&value, usable.secret_type, &usable.config, now);
        checked.map(|()| Ready { text: value, expires_at: None })
    };
    match ready {
        Ok(ready) => Source::Ready(ready),
        Err(why) => person(usable, why.into_text(), now),
    }
}

fn from_grant(held: &Held, usable: &Usable, now: Timestamp) -> Source {
    let is_broken = held.place.broken().is_some();
    match &held.grant {
        Some(grant) if !held.is_due(now) || is_broken && !grant.is_expired(now) => {
            let expires_at = grant.access_token_expires_at;
            Source::Ready(Ready { text: grant.access_token.clone(), expires_at })
        }
        _ if is_broken => person(usable, held.place.broken().unwrap_or_default().to_owned(), now),
        Some(grant) if !held.can_renew(now) && grant.is_expired(now) => {
            person(usable, "it has expired".into(), now)
        }
        None if !held.is_of_client() => missing(usable, now),
        _ => Source::Due(held.holder.clone(), held.need(now)),
    }
}

fn missing(usable: &Usable, now: Timestamp) -> Source {
    person(usable, "it is not connected".into(), now)
}

/// Somebody can do something about it at a link, unless there is a shared value, which no link replaces.
fn person(usable: &Usable, why: String, now: Timestamp) -> Source {
    let can_connect = !usable.has_value(now) && credential::is_connected(usable);
    Source::Person { secret: usable.secret.id.clone(), why, can_connect }
}
