//! What a caller was given.

use std::sync::Arc;

use super::{Limits, Role};
use crate::{id::AccountId, time::Timestamp};

/// What a caller was given: an account, a role in it, until when, and what it is limited to within that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    account: AccountId,
    role: Role,
    expires_at: Option<Timestamp>,
    /// `None` for a grant without limits: most have none, and each request has one.
    limits: Option<Arc<Limits>>,
}

impl Grant {
    /// A grant of `role` in `account`, without an end and without limits.
    #[must_use]
    pub const fn new(account: AccountId, role: Role) -> Self {
        Self { account, role, expires_at: None, limits: None }
    }

    /// The same grant until `end`; `None` is no end.
    #[must_use]
    pub fn until(self, end: Option<Timestamp>) -> Self {
        Self { expires_at: end, ..self }
    }

    /// The same grant, limited to this, in place of what it was limited to.
    #[must_use]
    pub fn limited(self, limits: Arc<Limits>) -> Self {
        let limits = Some(limits).filter(|limits| !limits.is_empty());
        Self { limits, ..self }
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

    /// What it is limited to.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.limits.as_deref().unwrap_or(&Limits::NONE)
    }

    /// Whether everything `other` allows, at any time, is also allowed by this grant: a key makes no
    /// wider key, and none that outlives it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.account == other.account
            && self.role >= other.role
            && self.lasts_for(other.expires_at)
            && self.limits().cover(other.limits())
    }

    /// Whether something that ends then ends no later than this grant; `None` is no end.
    #[must_use]
    pub fn lasts_for(&self, end: Option<Timestamp>) -> bool {
        self.expires_at.is_none_or(|own| end.is_some_and(|end| end <= own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_grant_with_limits_covers_none_without_them() {
        let owner = Grant::new(AccountId::from_bits([1; 16]), Role::Owner);
        let limited = owner.clone().limited(Arc::new(Limits { rate: Some(5), ..Limits::NONE }));
        assert!(owner.covers(&limited) && limited.covers(&limited));
        assert!(!limited.covers(&owner));
        assert_eq!(owner.clone().limited(Arc::default()), owner);
    }
}
