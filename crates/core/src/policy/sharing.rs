//! Who may use a secret: its account, and those that its visibility lets in
//! (contract/contacts-and-secrets, section 3.2).

use super::{Action, Denial, Grant, Permit, may};
use crate::{
    id::{AccountId, SecretId},
    secret::{Kind, Visibility},
};

/// How an account that wants to use a secret is related to the one it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// It is the same account.
    Same,
    /// One is the parent of the other.
    Family,
    /// They have nothing to do with each other.
    Stranger,
}

/// A secret, as far as it matters who may use it.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// The account it belongs to.
    pub account: &'a AccountId,
    /// Its id.
    pub id: &'a SecretId,
    /// Whose value it has.
    pub kind: Kind,
    /// Whom it lets in.
    pub visibility: Visibility,
    /// How the account that wants to use it is related to its own.
    pub relation: Relation,
}

impl Definition<'_> {
    /// Only the use of personal secrets is shared: there, everybody brings a value of their own.
    fn is_open(&self) -> bool {
        match (self.relation, self.visibility) {
            (Relation::Same, _) => true,
            (Relation::Family, Visibility::Protected) | (_, Visibility::Public) => {
                self.kind == Kind::Personal
            }
            _ => false,
        }
    }

    fn permit(&self) -> Result<Permit, Denial> {
        let Self { account, id, .. } = *self;
        let permit = || Permit { account: account.clone(), table: "secret", row: id.to_string() };
        self.is_open().then(permit).ok_or(Denial::Hidden)
    }
}

/// Decides whether `grant` allows `action`, a use, on a secret of any account.
pub fn decide_use(grant: &Grant, action: Action, secret: Definition<'_>) -> Result<Permit, Denial> {
    may(grant, action)?;
    if !grant.reaches_secret(secret.id, secret.kind) {
        return Err(Denial::Hidden);
    }
    secret.permit()
}

impl Grant {
    /// Whether its limits leave it the secret. The value of a shared one is no contact's: a grant for some contacts
    /// does not reach it.
    #[must_use]
    pub fn reaches_secret(&self, id: &SecretId, kind: Kind) -> bool {
        let limits = self.limits();
        limits.has_secret(id) && (kind == Kind::Personal || limits.contacts.is_none())
    }
}

impl Permit {
    /// The permit for what a reference stands for: whoever may use the reference may use its target, if
    /// the reference's account may. `target.relation` is how *that* account is related to the target's. A grant that
    /// is limited to a reference needs no target among its limits: whoever limited it so meant what it stands for.
    pub fn follow(&self, target: Definition<'_>) -> Result<Self, Denial> {
        target.permit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Role;

    fn decided(
        kind: Kind,
        visibility: Visibility,
        relation: Relation,
        role: Role,
    ) -> Result<(), Denial> {
        let [own, theirs] = [1, 2].map(|n| AccountId::from_bits([n; 16]));
        let id = SecretId::from_bits([3; 16]);
        let secret = Definition { account: &theirs, id: &id, kind, visibility, relation };
        let permit = decide_use(&Grant::new(own, role), Action::ConnectionVerify, secret)?;
        assert_eq!(
            (permit.account(), permit.table(), permit.row()),
            (&theirs, "secret", id.as_str())
        );
        Ok(())
    }

    #[test]
    fn an_account_uses_all_its_own_secrets() {
        for kind in [Kind::Shared, Kind::Personal] {
            for visibility in [Visibility::Private, Visibility::Protected, Visibility::Public] {
                assert_eq!(decided(kind, visibility, Relation::Same, Role::Agent), Ok(()));
            }
        }
    }

    /// Visibility widens the use of personal secrets only.
    #[test]
    fn another_account_uses_what_is_visible_to_it() {
        use {
            Relation::{Family, Stranger},
            Visibility::{Private, Protected, Public},
        };
        for (visibility, relation, allowed) in [
            (Private, Family, false),
            (Private, Stranger, false),
            (Protected, Family, true),
            (Protected, Stranger, false),
            (Public, Family, true),
            (Public, Stranger, true),
        ] {
            let personal = decided(Kind::Personal, visibility, relation, Role::Agent);
            assert_eq!(
                personal,
                allowed.then_some(()).ok_or(Denial::Hidden),
                "{visibility:?} {relation:?}"
            );
            assert_eq!(
                decided(Kind::Shared, visibility, relation, Role::Agent),
                Err(Denial::Hidden)
            );
        }
    }

    #[test]
    fn a_role_that_may_not_is_told_so_before_anything_is_looked_at() {
        let id = SecretId::from_bits([3; 16]);
        let account = AccountId::from_bits([1; 16]);
        let secret = Definition {
            account: &account,
            id: &id,
            kind: Kind::Personal,
            visibility: Visibility::Private,
            relation: Relation::Stranger,
        };
        let grant = Grant::new(account.clone(), Role::Agent);
        let decision = decide_use(&grant, Action::ConnectionRevoke, secret);
        assert_eq!(decision.err(), Some(Denial::Never));
    }
}
