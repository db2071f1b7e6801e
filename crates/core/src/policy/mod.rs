//! Who may do what: one pure function, [`decide`], and the proof of its answer, [`Permit`].
//! Who may use a secret of another account is decided in [`sharing`](decide_use), where a request with a
//! credential may go in [`request`](decide_request), and how often a key may be used in [`usage`](Usage).
//!
//! A permit cannot be made elsewhere, and a stored value cannot be opened without one, so nothing
//! is decrypted that nobody decided on.

mod action;
mod grant;
mod limits;
mod naming;
mod request;
mod sharing;
mod stored;
#[cfg(test)]
mod table;
mod usage;

pub use self::{
    action::{Action, Role},
    grant::Grant,
    limits::{Entry, Limits, TotpName},
    naming::InvalidAction,
    request::{RequestDenial, decide_request},
    sharing::{Definition, Relation, decide_use},
    usage::{Exceeded, Refusal, Usage},
};
use data_encoding::HEXLOWER;

use crate::{
    id::{AccountId, ContactId, KeyId, SecretId},
    ticket::TicketHash,
};

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// The account itself, something of it that has no row yet, or something that is still to be looked up: then it
    /// is decided again, with what was found.
    Account,
    /// A key.
    Key(&'a KeyId),
    /// A contact.
    Contact(&'a ContactId),
    /// A secret.
    Secret(&'a SecretId),
    /// What a contact has connected a secret with.
    Connection(&'a ContactId, &'a SecretId),
    /// A link at which a person connects a secret.
    Authentication(&'a TicketHash),
    /// The client that was registered for a secret at the authorization server of this name.
    Registration(&'a SecretId, &'a str),
    /// A one-time-password entry.
    Totp(Entry<'a>),
}

impl Object<'_> {
    /// The object's noun, which is also its table.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Key(_) => "key",
            Self::Contact(_) => "contact",
            Self::Secret(_) => "secret",
            Self::Connection(..) => "connection",
            Self::Authentication(_) => "authentication",
            Self::Registration(..) => "registration",
            Self::Totp(_) => "totp",
        }
    }
}

/// Why an action was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The role or the limits never allow this, whatever the object.
    #[error("this key may not do that")]
    Never,
    /// The object is not there for this caller.
    #[error("there is no such thing for this caller")]
    Hidden,
}

/// Proof that [`decide`] allowed an action on an object of an account.
#[derive(Clone, Debug)]
pub struct Permit {
    account: AccountId,
    table: &'static str,
    row: String,
}

impl Permit {
    /// The account it was given for.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The table of the object it was given for.
    #[must_use]
    pub const fn table(&self) -> &'static str {
        self.table
    }

    /// The row of the object it was given for.
    #[must_use]
    pub fn row(&self) -> &str {
        &self.row
    }
}

/// Decides whether `grant` allows `action` on anything at all: a caller who may never do it is told so, whatever
/// it names.
pub fn may(grant: &Grant, action: Action) -> Result<(), Denial> {
    let limits = grant.limits();
    let is_named = limits.actions.as_ref().map(|actions| actions.contains(&action));
    // The one thing that a limit adds: an agent's key may say that it mints (contract/keyfob).
    let is_lent = action.is_mint() && is_named == Some(true);
    let has_role = grant.role() >= action.least_role() || is_lent;
    let is_allowed = has_role && is_named.unwrap_or(true) && !limits.rule_out(action);
    is_allowed.then_some(()).ok_or(Denial::Never)
}

/// Decides whether `grant` allows `action` on `object`. The only place where that is decided.
pub fn decide(grant: &Grant, action: Action, object: Object<'_>) -> Result<Permit, Denial> {
    may(grant, action)?;
    let limits = grant.limits();
    let is_there = match object {
        Object::Contact(contact) => limits.has_contact(contact),
        Object::Connection(contact, secret) => {
            limits.has_contact(contact) && limits.has_secret(secret)
        }
        Object::Secret(secret) => {
            limits.has_secret(secret) && (limits.contacts.is_none() || !is_of_everybody(action))
        }
        Object::Totp(entry) => limits.has_entry(&entry),
        // Keys are made, seen and changed as far as `Grant::covers` and `Limits::reach` say.
        Object::Key(_) | Object::Account | Object::Authentication(_) | Object::Registration(..) => {
            true
        }
    };
    if !is_there {
        return Err(Denial::Hidden);
    }
    let row = match object {
        Object::Account => grant.account().to_string(),
        Object::Key(id) => id.to_string(),
        Object::Contact(id) => id.to_string(),
        Object::Secret(id) => id.to_string(),
        Object::Connection(contact, secret) => connection_row(contact, secret),
        Object::Authentication(state) => HEXLOWER.encode(state.as_bytes()),
        Object::Registration(secret, issuer) => registration_row(secret, issuer),
        Object::Totp(entry) => entry.id.to_string(),
    };
    Ok(Permit { account: grant.account().clone(), table: object.noun(), row })
}

/// Whether an action is about the one value that a shared secret has for everybody, which is no contact's.
const fn is_of_everybody(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::SecretVerify
            | A::SecretAuthenticate
            | A::SecretConnect
            | A::SecretRefresh
            | A::SecretMint
            | A::SecretProxy
            | A::SecretRevoke
    )
}

/// What a connection's sealed value is bound to: its contact and its secret, which no other connection of
/// the account has.
#[must_use]
pub fn connection_row(contact: &ContactId, secret: &SecretId) -> String {
    format!("{contact} {secret}")
}

/// What a registered client is bound to: its secret and its authorization server.
#[must_use]
pub fn registration_row(secret: &SecretId, issuer: &str) -> String {
    format!("{secret} {issuer}")
}
