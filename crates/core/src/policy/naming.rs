//! How the limits of a key name actions.

use super::{Action, Role};

/// A text that names no action that a key of this role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidAction {
    /// No action, no noun and no verb of any is called so.
    Unknown,
    /// The role may never do what it names.
    BeyondRole,
}

impl Action {
    /// The action of exactly this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == name)
    }

    /// Its noun and its verb: what is before the dot and what is after it.
    fn words(self) -> (&'static str, &'static str) {
        self.as_str().split_once('.').unwrap_or((self.as_str(), ""))
    }

    /// Whether it hands out a credential itself.
    #[must_use]
    pub const fn is_mint(self) -> bool {
        matches!(self, Self::ConnectionMint | Self::SecretMint)
    }

    /// The actions that `name` stands for, of those that `role` may do: one by its full name
    /// (`connection.verify`), all of a noun (`totp`), or all of a verb (`mint`).
    ///
    /// An agent may mint only where that is said: a noun alone does not say it.
    pub fn named(name: &str, role: Role) -> Result<Vec<Self>, InvalidAction> {
        let is_named = |action: &Self| {
            let (noun, verb) = action.words();
            [action.as_str(), noun, verb].contains(&name)
        };
        let named: Vec<_> = Self::ALL.iter().copied().filter(is_named).collect();
        if named.is_empty() {
            return Err(InvalidAction::Unknown);
        }
        let is_noun = named.iter().any(|action| action.words().0 == name);
        let may = |action: &Self| role >= action.least_role() || (action.is_mint() && !is_noun);
        let allowed: Vec<_> = named.into_iter().filter(may).collect();
        if allowed.is_empty() { Err(InvalidAction::BeyondRole) } else { Ok(allowed) }
    }

    /// All that [`Action::named`] knows: nouns, verbs, and full names.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let mut names = Vec::new();
        for action in Self::ALL {
            let (noun, verb) = action.words();
            names.extend([noun, verb, action.as_str()]);
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_named_in_full_by_its_noun_or_by_its_verb() {
        use Action as A;
        for (name, role, expected) in [
            ("totp.code", Role::Agent, &[A::TotpCode][..]),
            ("totp", Role::Agent, &[A::TotpList, A::TotpFetch, A::TotpCode]),
            ("verify", Role::Agent, &[A::SecretVerify, A::ConnectionVerify]),
            ("mint", Role::Agent, &[A::SecretMint, A::ConnectionMint]),
            ("connection.mint", Role::Agent, &[A::ConnectionMint]),
            ("proxy", Role::Agent, &[A::SecretProxy, A::ConnectionProxy]),
            ("export", Role::Owner, &[A::ContactExport]),
        ] {
            let named = Action::named(name, role).unwrap();
            assert_eq!(named.len(), expected.len(), "{name}: {named:?}");
            assert!(expected.iter().all(|action| named.contains(action)), "{name}: {named:?}");
        }
    }

    #[test]
    fn a_noun_alone_lets_no_agent_mint() {
        for noun in ["connection", "secret"] {
            let named = Action::named(noun, Role::Agent).unwrap();
            assert!(!named.iter().any(|action| action.is_mint()), "{named:?}");
            let named = Action::named(noun, Role::Backend).unwrap();
            assert!(named.iter().any(|action| action.is_mint()), "{named:?}");
        }
    }

    #[test]
    fn what_names_nothing_that_the_role_may_do_is_refused_and_says_which() {
        for name in ["", "fly", "totp.", ".code", "TOTP", "totp.*", "*"] {
            assert_eq!(Action::named(name, Role::Owner), Err(InvalidAction::Unknown), "{name}");
        }
        for name in ["key", "account", "export", "totp.create", "contact"] {
            assert_eq!(Action::named(name, Role::Agent), Err(InvalidAction::BeyondRole), "{name}");
        }
        assert_eq!(Action::named("key.create", Role::Backend), Err(InvalidAction::BeyondRole));
    }

    #[test]
    fn no_name_means_a_noun_and_a_verb() {
        let names = Action::names();
        for action in Action::ALL {
            let (noun, verb) = action.words();
            assert!(names.contains(&action.as_str()) && !noun.is_empty() && !verb.is_empty());
            assert!(Action::ALL.iter().all(|other| other.words().1 != noun), "{noun}");
        }
    }
}
