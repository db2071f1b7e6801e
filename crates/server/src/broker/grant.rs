//! The OAuth grant of a connection or of a shared secret: what is stored of it, and what renews it.

use std::sync::Arc;

use keyfob_core::{
    crypto::{OpenError, Sealed},
    id::{AccountId, ConnectionId, ContactId, SecretId},
    oauth::Grant,
    policy::{Action, Grant as Rights, Object, Permit, Role, connection_row},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{
    Event, ReadTx, StoreError, WriteTx,
    connection::{self, Connection},
    event::Actor,
    refresh::{self, Holder, Refresh},
    revocation::Revocation,
    secret::{self, Secret},
};

use super::{
    Broker, Caller, Config, Origin, SecretRef,
    connection::CONNECTION,
    credential, provider,
    renewal::Need,
    secret::SECRET,
    usable::{Shared, Usable},
};
use crate::error::{Damaged, Error};

/// The row that a grant is in.
#[derive(Clone)]
pub(super) enum Place {
    /// A contact's connection.
    Connection(Connection),
    /// A shared secret.
    Secret(Secret),
}

/// A grant, and everything that renewing it takes.
pub(super) struct Held {
    pub(super) holder: Holder,
    pub(super) place: Place,
    /// `None` for a shared secret whose tokens were never asked for.
    pub(super) grant: Option<Grant>,
    /// The config at the end of the secret's references.
    pub(super) config: Config,
    /// The secret, as it says itself what it is.
    pub(super) secret: Secret,
    /// How it is kept alive, if it is.
    pub(super) refresh: Option<Refresh>,
}

impl Place {
    /// The value, sealed.
    pub(super) fn value(&self) -> Option<&Sealed> {
        match self {
            Self::Connection(connection) => Some(&connection.value),
            Self::Secret(secret) => secret.value.as_ref(),
        }
    }

    /// Why the value cannot be renewed any more, if it cannot.
    pub(super) fn broken(&self) -> Option<&str> {
        match self {
            Self::Connection(connection) => connection.broken.as_deref(),
            Self::Secret(secret) => secret.broken.as_deref(),
        }
    }

    /// When it ends unless a person connects it anew, if that is known.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Connection(connection) => connection.expires_at,
            Self::Secret(secret) => secret.expires_at,
        }
    }

    /// What the value allows, if it says so.
    pub(super) fn scopes(&self) -> Option<&str> {
        match self {
            Self::Connection(connection) => connection.scopes.as_deref(),
            Self::Secret(secret) => secret.scopes.as_deref(),
        }
    }

    /// Puts a value and what goes with it in the place of the one that this was read with. `false` if there
    /// is another one meanwhile, or none.
    pub(super) fn swap(&self, tx: &mut WriteTx<'_>, new: New) -> Result<bool, StoreError> {
        let New { value, expires_at, scopes, broken, now } = new;
        match self {
            Self::Connection(old) => {
                let new = Connection {
                    value,
                    expires_at,
                    scopes,
                    broken,
                    updated_at: now,
                    ..old.clone()
                };
                connection::swap(tx, &new, &old.value)
            }
            Self::Secret(old) => {
                let value = Some(value);
                let new = Secret { value, expires_at, scopes, broken, ..old.clone() };
                secret::swap(tx, &new, old.value.as_ref())
            }
        }
    }

    /// The same row as it is now, if it is there.
    pub(super) fn reread(&self, tx: &mut ReadTx<'_>) -> Result<Option<Self>, StoreError> {
        Ok(match self {
            Self::Connection(Connection { account, contact, secret, .. }) => {
                connection::find(tx, account, contact, secret)?.map(Self::Connection)
            }
            Self::Secret(Secret { account, id, .. }) => {
                secret::find(tx, account, id)?.map(Self::Secret)
            }
        })
    }
}

/// What is put in the place of an old value.
pub(super) struct New {
    pub(super) value: Sealed,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) scopes: Option<String>,
    pub(super) broken: Option<String>,
    pub(super) now: Timestamp,
}

impl Held {
    /// Whether the access token must not be handed out any more, or there is none.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.grant.as_ref().is_none_or(|grant| grant.is_due(now))
    }

    /// What is needed once it is due.
    pub(super) fn need(&self, now: Timestamp) -> Need {
        let lives = self.grant.as_ref().is_some_and(|grant| !grant.is_expired(now));
        if lives { Need::Soon } else { Need::Due }
    }

    /// Whether a provider can be asked for new tokens without a person.
    pub(super) fn can_renew(&self, now: Timestamp) -> bool {
        self.is_of_client() || self.grant.as_ref().is_some_and(|grant| grant.can_renew(now))
    }

    /// Whether the client has its tokens for itself (RFC 6749, section 4.4).
    pub(super) fn is_of_client(&self) -> bool {
        matches!(self.place, Place::Secret(_)) && provider::is_of_client(&self.config)
    }
}

/// Who keeps an account's grants alive, and revokes those that are gone: Keyfob itself.
pub(super) fn keeper(account: &AccountId) -> Caller {
    let nobody: Arc<str> = "".into();
    let actor = Actor { kind: "keyfob", id: "keyfob".into(), name: nobody.clone() };
    let origin = Origin { ip: None, request_id: nobody, delivery: None };
    Caller::person(Rights::new(account.clone(), Role::Backend), actor, origin)
}

/// The event of something that Keyfob does to a holder's grant.
pub(super) fn kept(
    holder: &Holder,
    now: Timestamp,
    result: &'static str,
    reason: Option<String>,
) -> Event {
    let (action, contact) = (refreshes(holder), holder.contact.as_ref());
    let event = keeper(&holder.account).event(now, action, SECRET, holder.secret.to_shared());
    Event { contact_id: contact.map(ContactId::to_shared), result, reason, ..event }
}

const fn refreshes(holder: &Holder) -> Action {
    match holder.contact {
        Some(_) => Action::ConnectionRefresh,
        None => Action::SecretRefresh,
    }
}

/// Whose grant a shared secret's value is: that of the secret that has the value, which is at the end of its
/// references unless it has one of its own.
pub(super) fn shared_holder(usable: &Usable) -> Holder {
    let (account, secret) = match &usable.shared {
        Some(Shared { permit, .. }) => {
            (permit.account().clone(), SecretId::from_stored(permit.row()))
        }
        None => (usable.secret.account.clone(), usable.secret.id.clone()),
    };
    Holder { account, contact: None, secret }
}

impl Broker {
    /// The holder's grant; `None` if there is none, or if its account may not use the secret any more.
    pub(super) fn held(&self, tx: &mut ReadTx<'_>, holder: &Holder) -> Result<Option<Held>, Error> {
        // Before the value: a transaction sees what others commit meanwhile. Read later, this could be how a
        // newer value is kept alive, and its number would give a lease for an old refresh token.
        let refresh = refresh::find(tx, holder)?;
        let keeper = keeper(&holder.account);
        let at = SecretRef::Id(holder.secret.clone());
        let usable = match self.usable(tx, &keeper, refreshes(holder), &at) {
            Err(Error::NotFound | Error::Conflict { .. }) => return Ok(None),
            found => found?,
        };
        let is_of_contact = usable.secret.kind == Kind::Personal;
        if usable.secret_type != SecretType::OAuth || is_of_contact != holder.contact.is_some() {
            return Ok(None);
        }
        let Some((place, permit)) = find_place(tx, &keeper, holder, &usable.secret)? else {
            return Ok(None);
        };
        let grant = match place.value() {
            Some(value) => Some(self.open_grant(tx, &permit, value)?),
            None => None,
        };
        let Usable { secret, config, .. } = usable;
        Ok(Some(Held { holder: holder.clone(), place, grant, config, secret, refresh }))
    }

    /// The grant in the row that `permit` was given for.
    pub(super) fn open_grant(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        value: &Sealed,
    ) -> Result<Grant, Error> {
        let bytes = self.inner.keyring.open(tx, permit, "value", value)?;
        // A value whose secret came to something else when it was stored may be a token alone.
        let text = || std::str::from_utf8(&bytes).ok();
        let alone = || credential::token_alone(text()?, Timestamp::from_millis(0)).ok();
        let found = Grant::parse(&bytes).or_else(alone);
        let damaged = || Damaged {
            table: permit.table(),
            row: permit.row().to_owned(),
            column: "value",
            source: OpenError,
        };
        Ok(found.ok_or_else(damaged)?)
    }

    /// A grant as it is stored at its holder.
    pub(super) fn seal_grant(
        &self,
        tx: &mut ReadTx<'_>,
        holder: &Holder,
        grant: &Grant,
    ) -> Result<Sealed, Error> {
        let key = self.inner.keyring.newest(tx, &holder.account)?;
        let (table, row) = match &holder.contact {
            Some(contact) => (CONNECTION, connection_row(contact, &holder.secret)),
            None => (SECRET, holder.secret.to_string()),
        };
        let random = &*self.inner.random;
        Ok(key.seal(table, &row, "value", &grant.to_bytes(), random))
    }

    /// A holder's grant, sealed, as it is queued to be revoked at its provider, with what of the secret is needed
    /// for that, if it is there.
    pub(super) fn to_revoke(
        &self,
        holder: &Holder,
        of: Option<&Secret>,
        value: Sealed,
        now: Timestamp,
    ) -> Revocation {
        let Holder { account, contact, secret } = holder.clone();
        Revocation {
            id: ConnectionId::generate(now, &*self.inner.random),
            secret_account: of.map_or_else(|| account.clone(), |of| of.account.clone()),
            secret_type: of.map_or(SecretType::OAuth, |of| of.secret_type),
            config: of.and_then(|of| of.config.clone()),
            account,
            contact,
            secret,
            value,
            created_at: now,
        }
    }

    /// Has a grant kept alive that was just stored, if it can be.
    pub(super) fn plan_refresh(
        &self,
        tx: &mut WriteTx<'_>,
        holder: &Holder,
        grant: &Grant,
        config: &Config,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let host = provider::token_host(config, Some(grant));
        let is_renewable = grant.can_renew(now) || provider::is_of_client(config);
        match host.filter(|_| is_renewable) {
            Some(host) => refresh::plan(tx, holder, &host, grant.renew_at(self.chance())),
            None => refresh::end(tx, holder).map(drop),
        }
    }

    /// Has a grant kept alive as a changed config says. Whoever is renewing it goes on.
    pub(super) fn replan_refresh(
        &self,
        tx: &mut WriteTx<'_>,
        held: &Held,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (holder, grant) = (&held.holder, held.grant.as_ref());
        let host = provider::token_host(&held.config, grant);
        match host.filter(|_| held.can_renew(now) && held.place.broken().is_none()) {
            Some(host) => {
                refresh::insert(tx, holder, &host)?;
                let due_at = grant.and_then(|grant| grant.renew_at(self.chance()));
                refresh::replan(tx, holder, &host, due_at)
            }
            None => refresh::end(tx, holder).map(drop),
        }
    }
}

fn find_place(
    tx: &mut ReadTx<'_>,
    keeper: &Caller,
    holder: &Holder,
    secret: &Secret,
) -> Result<Option<(Place, Permit)>, Error> {
    let action = refreshes(holder);
    Ok(if let Some(contact) = &holder.contact {
        let found = connection::find(tx, &holder.account, contact, &holder.secret)?;
        let object = Object::Connection(contact, &holder.secret);
        let permit = keeper.decide(action, object)?;
        let is_grant = |it: &Connection| it.value_type == SecretType::OAuth;
        found.filter(is_grant).map(|connection| (Place::Connection(connection), permit))
    } else {
        let permit = keeper.decide(action, Object::Secret(&holder.secret))?;
        Some((Place::Secret(secret.clone()), permit))
    })
}
