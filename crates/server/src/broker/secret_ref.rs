//! How a path names a secret (contract/contacts-and-secrets, section 1.5).

use keyfob_core::{
    id::{AccountId, SecretId},
    policy::{Action, Object},
};
use keyfob_store::{ReadTx, account, secret};

use super::Caller;
use crate::{error::Error, text};

/// The longest alias, in characters.
pub(super) const LONGEST_ALIAS: usize = 128;

/// How a path names a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// By its id.
    Id(SecretId),
    /// `@alias`: one of the account itself.
    Alias(String),
    /// `@@alias`: one of the account's parent.
    ParentAlias(String),
    /// `@account@alias`: one of an account with the same parent.
    SiblingAlias(AccountId, String),
    /// `(name)`: the account's first of that name.
    Name(String),
}

impl SecretRef {
    /// Reads a name that came from outside; `None` if no secret can have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let alias = |text: &str| is_alias(text).then(|| text.to_owned());
        if let Some(name) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            let is_name = !name.is_empty() && text::check_line("name", name).is_ok();
            return is_name.then(|| Self::Name(name.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("@@") {
            return alias(rest).map(Self::ParentAlias);
        }
        let Some(rest) = text.strip_prefix('@') else {
            return SecretId::parse(text).ok().map(Self::Id);
        };
        match rest.split_once('@') {
            None => alias(rest).map(Self::Alias),
            Some((account, of)) => {
                Some(Self::SiblingAlias(AccountId::parse(account).ok()?, alias(of)?))
            }
        }
    }

    /// Which secret of which account has this name for the account `own`. Nothing else of it is read:
    /// whether that account may do with it what it wants is decided after that.
    pub(super) fn resolve(
        &self,
        tx: &mut ReadTx<'_>,
        own: &AccountId,
    ) -> Result<Option<(AccountId, SecretId)>, Error> {
        let (account, id) = match self {
            Self::Id(id) => (secret::account_of(tx, id)?, Some(id.clone())),
            Self::Name(name) => (Some(own.clone()), secret::id_of_name(tx, own, name)?),
            Self::Alias(alias) => (Some(own.clone()), secret::id_of_alias(tx, own, alias)?),
            Self::ParentAlias(alias) => {
                let parent = parent(tx, own)?;
                by_alias(tx, parent, alias)?
            }
            Self::SiblingAlias(account, alias) => {
                let sibling = match parent(tx, own)? {
                    Some(parent) => account::find_child(tx, &parent, account)?,
                    None => None,
                };
                by_alias(tx, sibling.map(|sibling| sibling.id), alias)?
            }
        };
        Ok(account.zip(id))
    }

    /// The secret of this name, if it is the account's own and the caller may do `action` to it: nobody reads or
    /// changes the definition of another account's, whoever may use it.
    pub(super) fn resolve_own(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        action: Action,
    ) -> Result<SecretId, Error> {
        match self.resolve(tx, caller.account())? {
            Some((account, id)) if account == *caller.account() => {
                caller.decide(action, Object::Secret(&id))?;
                Ok(id)
            }
            _ => Err(Error::NotFound),
        }
    }
}

fn by_alias(
    tx: &mut ReadTx<'_>,
    account: Option<AccountId>,
    alias: &str,
) -> Result<(Option<AccountId>, Option<SecretId>), Error> {
    let id = account.as_ref().map(|account| secret::id_of_alias(tx, account, alias));
    let id = id.transpose()?.flatten();
    Ok((account, id))
}

fn parent(tx: &mut ReadTx<'_>, account: &AccountId) -> Result<Option<AccountId>, Error> {
    Ok(account::find(tx, account)?.and_then(|account| account.parent))
}

/// Whether a text can be an alias (contract/contacts-and-secrets, section 4.1).
pub(super) fn is_alias(text: &str) -> bool {
    let is_char = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
    (1..=LONGEST_ALIAS).contains(&text.len()) && text.bytes().all(is_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_secret_in_five_ways() {
        let id = SecretId::from_bits([1; 16]);
        let account = AccountId::from_bits([2; 16]);
        let sibling = SecretRef::SiblingAlias(account.clone(), "a_1".into());
        for (text, named) in [
            (format!(" {id} "), SecretRef::Id(id)),
            ("@a-b".into(), SecretRef::Alias("a-b".into())),
            ("@@a-b".into(), SecretRef::ParentAlias("a-b".into())),
            (format!("@{account}@a_1"), sibling),
            ("(My (own) name)".into(), SecretRef::Name("My (own) name".into())),
        ] {
            assert_eq!(SecretRef::parse(&text), Some(named), "{text}");
        }
    }

    #[test]
    fn what_no_secret_can_be_called_is_no_name() {
        let long = format!("@{}", "a".repeat(129));
        for text in
            ["", "x", "@", "@@", "@A", "@a b", "@@@a", "@x@a", "()", "(a", "(\u{0})", "sec_", &long]
        {
            assert_eq!(SecretRef::parse(text), None, "{text}");
        }
    }
}
