//! Who may do what: one pure function, [`decide`], and the proof of its answer, [`Permit`].
//! Who may use a secret of another account is decided in [`sharing`](decide_use).
//!
//! A permit cannot be made elsewhere, and a stored value cannot be opened without one, so nothing
//! is decrypted that nobody decided on.

mod action;
mod sharing;

pub use self::{
    action::{Action, Role},
    sharing::{Definition, Relation, decide_use},
};
use data_encoding::HEXLOWER;

use crate::{
    id::{AccountId, ContactId, KeyId, SecretId, TotpId},
    ticket::TicketHash,
    time::Timestamp,
};

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// The account itself, or something of it that has no row yet.
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
    Totp(&'a TotpId),
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

/// What a caller was given: an account, a role in it, and until when. A key's limits will stand beside
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    account: AccountId,
    role: Role,
    expires_at: Option<Timestamp>,
}

impl Grant {
    /// A grant of `role` in `account`, without an end.
    #[must_use]
    pub const fn new(account: AccountId, role: Role) -> Self {
        Self { account, role, expires_at: None }
    }

    /// The same grant until `end`; `None` is no end.
    #[must_use]
    pub fn until(self, end: Option<Timestamp>) -> Self {
        Self { expires_at: end, ..self }
    }

    /// The account it is for.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The role in that account.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// When it ends, if ever.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether everything `other` allows, at any time, is also allowed by this grant: a key makes no
    /// wider key, and none that outlives it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let lasts = self.expires_at.is_none_or(|end| other.expires_at.is_some_and(|at| at <= end));
        self.account == other.account && self.role >= other.role && lasts
    }
}

/// Why an action was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The role may never do this, whatever the object.
    #[error("this key's role may not do that")]
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

/// Decides whether `grant` allows `action` on `object`. The only place where that is decided.
pub fn decide(grant: &Grant, action: Action, object: Object<'_>) -> Result<Permit, Denial> {
    if grant.role < action.least_role() {
        return Err(Denial::Never);
    }
    let row = match object {
        Object::Account => grant.account.to_string(),
        Object::Key(id) => id.to_string(),
        Object::Contact(id) => id.to_string(),
        Object::Secret(id) => id.to_string(),
        Object::Connection(contact, secret) => connection_row(contact, secret),
        Object::Authentication(state) => HEXLOWER.encode(state.as_bytes()),
        Object::Registration(secret, issuer) => registration_row(secret, issuer),
        Object::Totp(id) => id.to_string(),
    };
    Ok(Permit { account: grant.account.clone(), table: object.noun(), row })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract/keyfob in full: what an agent, a backend and an owner key may do.
    const TABLE: &[(Action, [bool; 3])] = &[
        (Action::AccountCreate, [false, false, true]),
        (Action::AccountFetch, [false, true, true]),
        (Action::AccountUpdate, [false, false, true]),
        (Action::AccountDelete, [false, false, true]),
        (Action::KeyCreate, [false, false, true]),
        (Action::KeyList, [false, false, true]),
        (Action::KeyFetch, [false, false, true]),
        (Action::KeyUpdate, [false, false, true]),
        (Action::KeyRevoke, [false, false, true]),
        (Action::ContactCreate, [false, true, true]),
        (Action::ContactList, [false, true, true]),
        (Action::ContactFetch, [false, true, true]),
        (Action::ContactUpdate, [false, true, true]),
        (Action::ContactDelete, [false, true, true]),
        (Action::ContactExport, [false, false, true]),
        (Action::SecretCreate, [false, true, true]),
        (Action::SecretList, [true, true, true]),
        (Action::SecretFetch, [true, true, true]),
        (Action::SecretUpdate, [false, true, true]),
        (Action::SecretDelete, [false, true, true]),
        (Action::SecretVerify, [true, true, true]),
        (Action::SecretAuthenticate, [true, true, true]),
        (Action::SecretConnect, [false, true, true]),
        (Action::SecretRefresh, [false, true, true]),
        (Action::SecretMint, [false, true, true]),
        (Action::SecretRevoke, [false, true, true]),
        (Action::ConnectionList, [true, true, true]),
        (Action::ConnectionVerify, [true, true, true]),
        (Action::ConnectionAuthenticate, [true, true, true]),
        (Action::ConnectionConnect, [false, true, true]),
        (Action::ConnectionRefresh, [false, true, true]),
        (Action::ConnectionMint, [false, true, true]),
        (Action::ConnectionRevoke, [false, true, true]),
        (Action::RevocationList, [false, true, true]),
        (Action::EventList, [false, true, true]),
        (Action::TotpCreate, [false, true, true]),
        (Action::TotpList, [true, true, true]),
        (Action::TotpFetch, [true, true, true]),
        (Action::TotpUpdate, [false, true, true]),
        (Action::TotpDelete, [false, true, true]),
        (Action::TotpCode, [true, true, true]),
    ];

    #[test]
    fn each_role_may_do_what_the_table_says_and_nothing_else() {
        let account = AccountId::from_bits([1; 16]);
        let listed: Vec<_> = TABLE.iter().map(|(action, _)| *action).collect();
        assert_eq!(listed, Action::ALL);
        for &(action, allowed) in TABLE {
            for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
                let grant = Grant::new(account.clone(), role);
                let decision = decide(&grant, action, Object::Account);
                assert_eq!(decision.is_ok(), allowed, "{role:?} {action:?}");
            }
        }
    }

    #[test]
    fn a_grant_covers_its_own_account_and_roles_up_to_its_own() {
        let [one, two] = [1, 2].map(|n| AccountId::from_bits([n; 16]));
        let backend = Grant::new(one.clone(), Role::Backend);
        assert!(backend.covers(&Grant::new(one.clone(), Role::Agent)));
        assert!(backend.covers(&backend));
        assert!(!backend.covers(&Grant::new(one, Role::Owner)));
        assert!(!backend.covers(&Grant::new(two, Role::Agent)));
    }

    #[test]
    fn a_grant_that_ends_covers_none_that_ends_later_or_never() {
        let owner = |end: Option<i64>| {
            let grant = Grant::new(AccountId::from_bits([1; 16]), Role::Owner);
            grant.until(end.map(Timestamp::from_millis))
        };
        assert!(owner(Some(5)).covers(&owner(Some(5))));
        assert!(owner(Some(5)).covers(&owner(Some(4))));
        assert!(!owner(Some(5)).covers(&owner(Some(6))));
        assert!(!owner(Some(5)).covers(&owner(None)));
        assert!(owner(None).covers(&owner(Some(5))));
        assert!(owner(None).covers(&owner(None)));
    }

    #[test]
    fn names_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
