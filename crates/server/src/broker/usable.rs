//! What a secret comes to for whoever may use it: itself, or what its reference or its template stands for
//! (contract/contacts-and-secrets, sections 3.2 and 3.3).

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, SecretId},
    policy::{Action, Definition, Grant, Permit, Relation, decide_use},
    secret::{Kind, SecretType},
    time::Timestamp,
};
use keyfob_store::{
    ReadTx, StoreError, WriteTx, account,
    secret::{self, Secret},
};

use super::{Broker, Caller, Config, SecretRef, template};
use crate::error::Error;

/// A reference may stand for a reference, but no chain is longer.
const LONGEST_CHAIN: usize = 8;

/// A secret that the caller may use, and what it comes to.
pub(super) struct Usable {
    /// The secret that was named.
    pub(super) secret: Secret,
    /// What its value is: the type at the end of its references, and of a template.
    pub(super) secret_type: SecretType,
    /// How its value is used.
    pub(super) config: Config,
    /// Its one value for everybody, where there is one.
    pub(super) shared: Option<Shared>,
    /// Whether all that it stands for is of one account.
    pub(super) is_of_one_account: bool,
    /// Whether another account alone says where the one value is sent.
    pub(super) is_led_by_another: bool,
    /// What is at the end of its references, if it is one.
    pub(super) stands_for: Option<SecretId>,
}

/// The one value of a shared secret.
#[derive(Clone)]
pub(super) struct Shared {
    /// The permit to open it, which also says where it is.
    pub(super) permit: Permit,
    pub(super) value: Sealed,
    /// Whether its provider has ended it.
    is_broken: bool,
    /// When it ends unless a person gives another one, if that is known.
    expires_at: Option<Timestamp>,
}

impl Shared {
    fn of(secret: &Secret, permit: &Permit) -> Option<Self> {
        let value = secret.value.clone()?;
        let (is_broken, expires_at) = (secret.broken.is_some(), secret.expires_at);
        Some(Self { permit: permit.clone(), value, is_broken, expires_at })
    }
}

impl Usable {
    /// Whether the secret and all that it stands for are of this account.
    pub(super) fn is_all_of(&self, account: &AccountId) -> bool {
        self.is_of_one_account && self.secret.account == *account
    }

    /// What an event tells of it beyond which secret was named: whose credential was used instead.
    pub(super) fn told(&self) -> Option<String> {
        self.stands_for.as_ref().map(|id| format!("stands for {id}"))
    }

    /// Whether a shared secret has its value, which a link must not replace: an agent may ask for one. What has
    /// ended is no value.
    pub(super) fn has_value(&self, now: Timestamp) -> bool {
        let lives =
            |shared: &Shared| !shared.is_broken && shared.expires_at.is_none_or(|end| end > now);
        self.shared.as_ref().is_some_and(lives)
    }
}

impl Broker {
    /// The secret that a path names, if the caller may do `action`, a use, with it, and what it comes to.
    pub(super) fn usable(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        action: Action,
        at: &SecretRef,
    ) -> Result<Usable, Error> {
        let (secret, permit) = find_usable(tx, caller.grant(), action, at)?;
        self.follow(tx, secret, permit)
    }

    /// [`Broker::usable`] of a secret that nobody else changes or deletes until the unit ends: what is
    /// decided on it holds when something is stored.
    pub(super) fn usable_held(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        action: Action,
        at: &SecretRef,
    ) -> Result<Usable, Error> {
        let (secret, _) = find_usable(tx, caller.grant(), action, at)?;
        secret::hold(tx, &secret.account, &secret.id)?.ok_or(Error::NotFound)?;
        self.usable(tx, caller, action, &SecretRef::Id(secret.id))
    }

    /// Follows references to their end, and what is there to its template.
    pub(super) fn follow(
        &self,
        tx: &mut ReadTx<'_>,
        secret: Secret,
        mut permit: Permit,
    ) -> Result<Usable, Error> {
        let mut config = self.open_config(tx, &permit, secret.config.as_ref())?.unwrap_or_default();
        let mut shared = None;
        let (mut seen, mut is_of_one_account) = (vec![secret.id.clone()], true);
        let (mut limits, mut say) = (Vec::new(), Say::default());
        let mut current = secret.clone();
        loop {
            // Neither side of a reference lends what is each contact's own.
            if shared.is_none() && secret.kind == Kind::Shared && current.kind == Kind::Shared {
                shared = Shared::of(&current, &permit);
            }
            say.hear(shared.as_ref(), &current, &config);
            if current.secret_type != SecretType::Reference {
                let (secret_type, config) = base(current.secret_type, config)?;
                let config = limits.iter().fold(config, Config::within);
                let is_led_by_another = say.is_anothers();
                let stands_for = (current.id != secret.id).then_some(current.id);
                return Ok(Usable {
                    secret,
                    secret_type,
                    config,
                    shared,
                    is_of_one_account,
                    is_led_by_another,
                    stands_for,
                });
            }
            // A reference may be for less than what it stands for, and never for more.
            limits.push(config.limits());
            let (target, its_permit) = next(tx, &current, &permit, &config)?;
            if seen.contains(&target.id) || seen.len() == LONGEST_CHAIN {
                return Err(broken("leads in a circle, or through too many references"));
            }
            let its_config = self.open_config(tx, &its_permit, target.config.as_ref())?;
            config = its_config.unwrap_or_default().overridden_by(&config);
            is_of_one_account &= target.account == secret.account;
            seen.push(target.id.clone());
            (current, permit) = (target, its_permit);
        }
    }
}

/// Who has a say in where the one value of a shared secret goes.
#[derive(Default)]
struct Say {
    /// The account of the value names hosts itself.
    is_own: bool,
    /// Another account's secret is stood for.
    is_of_another: bool,
}

impl Say {
    /// What the next secret of a chain adds, of which this is the config.
    fn hear(&mut self, value: Option<&Shared>, next: &Secret, config: &Config) {
        let Some(value) = value else { return };
        self.is_of_another |= next.account != *value.permit.account();
        self.is_own |= !self.is_of_another && config.texts("hosts").is_some();
    }

    const fn is_anothers(&self) -> bool {
        self.is_of_another && !self.is_own
    }
}

/// The type and the config of what is no reference: a template's are those of the catalogue.
fn base(secret_type: SecretType, config: Config) -> Result<(SecretType, Config), Error> {
    match secret_type {
        SecretType::Template => {
            template::resolve(&config).map_err(|error| template::broken(&error))
        }
        other => Ok((other, config)),
    }
}

/// What a reference stands for, as its own account may use it.
fn next(
    tx: &mut ReadTx<'_>,
    reference: &Secret,
    permit: &Permit,
    config: &Config,
) -> Result<(Secret, Permit), Error> {
    let nowhere =
        || broken("stands for a secret that does not exist, or that its account may not use");
    let target = config.reference().and_then(SecretRef::parse).ok_or_else(nowhere)?;
    let (account, id) = target.resolve(tx, &reference.account)?.ok_or_else(nowhere)?;
    let target = find_of(tx, &reference.account, &account, &id)?.ok_or_else(nowhere)?;
    let relation = relation(tx, &reference.account, &account)?;
    let permit = permit.follow(definition(&target, relation)).map_err(|_| nowhere())?;
    Ok((target, permit))
}

/// The secret that a path names, if `grant` allows `action`, a use, on it.
pub(super) fn find_usable(
    tx: &mut ReadTx<'_>,
    grant: &Grant,
    action: Action,
    at: &SecretRef,
) -> Result<(Secret, Permit), Error> {
    let (account, id) = at.resolve(tx, grant.account())?.ok_or(Error::NotFound)?;
    let secret = find_of(tx, grant.account(), &account, &id)?.ok_or(Error::NotFound)?;
    let relation = relation(tx, grant.account(), &account)?;
    let permit = decide_use(grant, action, definition(&secret, relation))?;
    Ok((secret, permit))
}

/// The secret. One that cannot be read is an error for its own account, and nothing for any other; so is one
/// of an account that is being deleted.
fn find_of(
    tx: &mut ReadTx<'_>,
    asking: &AccountId,
    account: &AccountId,
    id: &SecretId,
) -> Result<Option<Secret>, StoreError> {
    if asking != account && account::find(tx, account)?.is_none() {
        return Ok(None);
    }
    match secret::find(tx, account, id) {
        Err(StoreError::Corrupt { .. }) if asking != account => Ok(None),
        found => found,
    }
}

pub(super) fn definition(secret: &Secret, relation: Relation) -> Definition<'_> {
    let Secret { account, id, kind, visibility, .. } = secret;
    Definition { account, id, kind: *kind, visibility: *visibility, relation }
}

/// How `account` is related to `other`.
pub(super) fn relation(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    other: &AccountId,
) -> Result<Relation, StoreError> {
    if account == other {
        return Ok(Relation::Same);
    }
    let is_family = account::find_child(tx, account, other)?.is_some()
        || account::find_child(tx, other, account)?.is_some();
    Ok(if is_family { Relation::Family } else { Relation::Stranger })
}

fn broken(what: &str) -> Error {
    Error::Conflict {
        code: "reference_broken",
        message: format!("the reference {what}: change its config").into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    /// As it is when a newer catalogue has it no more.
    #[test]
    fn a_template_that_is_gone_is_a_conflict_that_says_so() {
        let mut config = Map::new();
        config.insert("template".into(), "gone".into());
        let error = base(SecretType::Template, Config::new(config)).err();
        let Some(Error::Conflict { code, message }) = error else { panic!("{error:?}") };
        assert_eq!(code, "template_broken");
        assert!(message.contains("no template of the catalogue"), "{message}");
    }
}
