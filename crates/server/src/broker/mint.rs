//! Handing a token itself out (contract/contacts-and-secrets, section 6.1): the access token of a grant, or a
//! token that is signed for the occasion.

use keyfob_core::{
    id::{ContactId, SecretId},
    policy::{Action, Object},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{Commit, ReadTx, WriteTx, connection, refresh::Holder};
use secrecy::SecretString;

use super::{
    Broker, Caller, SecretRef,
    authentication::NewLink,
    connection::{find_contact, told},
    credential,
    grant::{Held, shared_holder},
    renewal::{Need, Renewal},
    secret::SECRET,
    usable::Usable,
};
use crate::error::Error;

/// How often it is looked for a token: one that lives for a second may end while the machine is busy.
const LOOKS: u32 = 3;

/// A token, and when it ends.
pub struct Minted {
    /// The token.
    pub token: SecretString,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
}

/// Where a token comes from.
enum Source {
    /// It can be handed out.
    Token(Minted),
    /// It has to be renewed first.
    Due(Holder, Need),
    /// A person has to do something first.
    Person { secret: SecretId, why: String, can_connect: bool },
    /// The provider has not renewed it yet.
    Late,
}

impl Broker {
    /// A token of what the contact has connected. The secret must be the caller's own.
    pub async fn mint_connection(
        &self,
        caller: &Caller,
        contact: &ContactId,
        at: &SecretRef,
    ) -> Result<Minted, Error> {
        caller.decide(Action::ConnectionMint, Object::Account)?;
        self.mint(caller, Some(contact.clone()), at).await
    }

    /// A token of a shared secret of the caller's own.
    pub async fn mint_secret(&self, caller: &Caller, at: &SecretRef) -> Result<Minted, Error> {
        caller.decide(Action::SecretMint, Object::Account)?;
        self.mint(caller, None, at).await
    }

    async fn mint(
        &self,
        caller: &Caller,
        contact: Option<ContactId>,
        at: &SecretRef,
    ) -> Result<Minted, Error> {
        for _ in 0..LOOKS {
            let mut renewal = Renewal::Fresh;
            let source = self.find_source(caller, contact.as_ref(), at).await?;
            if let Source::Due(holder, need) = source {
                renewal = self.keep_alive(&holder, need).await;
            }
            match self.take_token(caller, contact.as_ref(), at).await? {
                Source::Token(minted) => return Ok(minted),
                Source::Person { secret, why, can_connect } => {
                    let link = NewLink { contact, secret, return_url: None };
                    let url =
                        if can_connect { self.recent_link(caller, link).await? } else { None };
                    return Err(Error::AuthorizationRequired { message: why, url });
                }
                // It has ended between two looks.
                Source::Due(..) | Source::Late if renewal == Renewal::Fresh => {}
                Source::Due(..) | Source::Late => break,
            }
        }
        Err(Error::ProviderLate)
    }

    async fn find_source(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Source, Error> {
        let (now, broker, caller) = (self.now()?, self.clone(), caller.clone());
        let (contact, at) = (contact.cloned(), at.clone());
        self.read(move |tx| {
            let usable = broker.mintable(tx, &caller, contact.as_ref(), &at)?;
            broker.source(tx, &caller, contact.as_ref(), &usable, now)
        })
        .await
    }

    /// The token, if there is one, and the event that it was handed out.
    async fn take_token(
        &self,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Source, Error> {
        let (now, broker, caller) = (self.now()?, self.clone(), caller.clone());
        let (contact, at) = (contact.cloned(), at.clone());
        self.write(move |tx| {
            let usable = broker.mintable(tx, &caller, contact.as_ref(), &at)?;
            let source = match broker.source(tx, &caller, contact.as_ref(), &usable, now)? {
                // What is about to end is better than nothing, if its time is not over.
                Source::Due(holder, _) => broker.still_good(tx, &holder, now)?,
                source => source,
            };
            Ok(minted(tx, &caller, contact.as_ref(), &usable, source, now))
        })
        .await
    }

    /// The secret that a path names, if it is the caller's own and has tokens.
    fn mintable(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        contact: Option<&ContactId>,
        at: &SecretRef,
    ) -> Result<Usable, Error> {
        let action = match contact {
            Some(_) => Action::ConnectionMint,
            None => Action::SecretMint,
        };
        let contact = contact.map(|id| find_contact(tx, caller, action, id)).transpose()?;
        let usable = self.usable(tx, caller, action, at)?;
        // What is another account's must not be had by way of a reference of one's own either.
        if usable.secret.account != *caller.account() || !usable.is_of_one_account {
            return Err(Error::Forbidden);
        }
        match (&contact, usable.secret.kind) {
            (Some(_), Kind::Shared) => {
                let text = "a shared secret has no token of a contact's";
                return Err(Error::Denied { code: "not_mintable", message: text.into() });
            }
            (None, Kind::Personal) => {
                return Err(not_mintable("a personal secret has tokens of contacts only"));
            }
            (Some(contact), Kind::Personal) if contact.verified_at.is_none() => {
                return Err(Error::conflict("Cannot mint secret for this secret configuration"));
            }
            _ => {}
        }
        match usable.secret_type {
            SecretType::OAuth | SecretType::Jwt => Ok(usable),
            _ => Err(not_mintable("only secrets of type oauth and jwt have tokens")),
        }
    }

    fn source(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        contact: Option<&ContactId>,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Source, Error> {
        let secret = usable.secret.id.clone();
        if usable.secret_type == SecretType::Jwt {
            return self.signed(tx, caller, contact, usable, now);
        }
        let holder = match contact {
            Some(contact) => {
                Holder { account: caller.account().clone(), contact: Some(contact.clone()), secret }
            }
            None => shared_holder(usable),
        };
        Ok(match self.held(tx, &holder)? {
            Some(held) => from_grant(&held, usable, now),
            None => missing(usable, now),
        })
    }

    /// A token signed with a stored key.
    fn signed(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        contact: Option<&ContactId>,
        usable: &Usable,
        now: Timestamp,
    ) -> Result<Source, Error> {
        let key = match contact {
            Some(contact) => {
                let secret = &usable.secret.id;
                let found = connection::find(tx, caller.account(), contact, secret)?;
                let found = found.filter(|it| it.value_type == SecretType::Jwt);
                let object = Object::Connection(contact, secret);
                let permit = caller.decide(Action::ConnectionMint, object)?;
                found.map(|found| (permit, found.value))
            }
            None => usable.shared.clone().map(|shared| (shared.permit, shared.value)),
        };
        let Some((permit, key)) = key else { return Ok(missing(usable, now)) };
        let key = self.open_text(tx, &permit, "value", &key)?;
        let signed = credential::sign(&key, &usable.config, now);
        let signed = signed.map_err(|why| not_mintable(why.into_text()))?;
        let expires_at = Some(signed.expires_at);
        Ok(Source::Token(Minted { token: signed.token, expires_at }))
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
            Source::Token(Minted { token: grant.access_token.clone(), expires_at })
        }))
    }
}

fn from_grant(held: &Held, usable: &Usable, now: Timestamp) -> Source {
    let (secret, can_connect) = (usable.secret.id.clone(), can_connect(usable, now));
    let person = |why: String| Source::Person { secret, why, can_connect };
    let is_broken = held.place.broken().is_some();
    match &held.grant {
        Some(grant) if !held.is_due(now) || is_broken && !grant.is_expired(now) => {
            let expires_at = grant.access_token_expires_at;
            Source::Token(Minted { token: grant.access_token.clone(), expires_at })
        }
        _ if is_broken => person(held.place.broken().unwrap_or_default().to_owned()),
        Some(grant) if !held.can_renew(now) && grant.is_expired(now) => {
            person("it has expired".into())
        }
        None if !held.is_of_client() => missing(usable, now),
        _ => Source::Due(held.holder.clone(), held.need(now)),
    }
}

fn missing(usable: &Usable, now: Timestamp) -> Source {
    let (secret, can_connect) = (usable.secret.id.clone(), can_connect(usable, now));
    Source::Person { secret, why: "it is not connected".into(), can_connect }
}

/// Whether a person can do something about it at a link.
fn can_connect(usable: &Usable, now: Timestamp) -> bool {
    !usable.has_value(now) && credential::is_connected(usable)
}

fn minted(
    tx: &WriteTx<'_>,
    caller: &Caller,
    contact: Option<&ContactId>,
    usable: &Usable,
    source: Source,
    now: Timestamp,
) -> Commit<Source> {
    if !matches!(source, Source::Token(_)) {
        return tx.commit_unaudited(source);
    }
    let secret = &usable.secret.id;
    let event = match contact {
        Some(contact) => told(caller, now, Action::ConnectionMint, contact, secret),
        None => caller.event(now, Action::SecretMint, SECRET, secret.to_shared()),
    };
    tx.commit(event, source)
}

fn not_mintable(why: impl Into<String>) -> Error {
    Error::Conflict { code: "not_mintable", message: why.into().into() }
}
