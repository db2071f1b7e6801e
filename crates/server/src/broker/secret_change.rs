//! Changes of secrets: what a request says, and what a secret holds after it.

use keyfob_core::{
    crypto::{OpenError, Sealed},
    policy::Permit,
    secret::{Kind, SecretType, Visibility},
    time::Timestamp,
};
use keyfob_store::{ReadTx, secret::Secret};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Broker, Given,
    config::Config,
    credential::{self, Again},
    grant::GRANT,
    meta::{self, MetaChange},
    secret::SECRET,
    secret_ref::{LONGEST_ALIAS, is_alias},
    usable::Usable,
};
use crate::{
    error::{Damaged, Error},
    text,
};

/// What a secret is to hold. Its value and its config show nothing in `Debug`.
#[derive(Clone, Debug, Default)]
pub struct SecretChange {
    /// What the account calls it by in paths.
    pub alias: Given<String>,
    /// What people call it.
    pub name: Given<String>,
    /// More about it, for people.
    pub description: Given<String>,
    /// The blueprint it belongs to, in the account's own words.
    pub blueprint_id: Given<String>,
    /// Whose value it has; a new one is shared if nothing is said.
    pub kind: Option<Kind>,
    /// What its value is; a new one is plain if nothing is said.
    pub secret_type: Option<SecretType>,
    /// Its value, for shared secrets only.
    pub value: Given<SecretString>,
    /// How it is used.
    pub config: Given<Config>,
    /// Who may use it; a new one is private if nothing is said.
    pub visibility: Option<Visibility>,
    /// A JSON object of the account's own.
    pub meta: Given<MetaChange>,
}

impl SecretChange {
    /// Checks every text, and brings each into the form that is stored.
    pub(super) fn checked(self) -> Result<Self, Error> {
        Ok(Self {
            alias: self.alias.try_map(alias)?,
            name: self.name.try_map(|text| text::line("name", text))?,
            description: self.description.try_map(|text| text::prose("description", text))?,
            blueprint_id: self.blueprint_id.try_map(|text| text::line("blueprintId", text))?,
            value: self.value.try_map(|value| {
                credential::check_length(&value)?;
                Ok::<_, Error>(Some(value).filter(|value| !value.expose_secret().is_empty()))
            })?,
            ..self
        })
    }
}

fn alias(value: String) -> Result<Option<String>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > LONGEST_ALIAS {
        let text = format!("\"alias\" must have at most {LONGEST_ALIAS} characters");
        return Err(Error::invalid("bad_request", text));
    }
    let rule = "Alias must contain only lowercase letters, numbers, hyphens, and underscores";
    is_alias(&value).then_some(Some(value)).ok_or_else(|| Error::invalid("bad_request", rule))
}

/// A value, and what goes with it.
#[derive(Default)]
struct ValueKept {
    value: Option<Sealed>,
    expires_at: Option<Timestamp>,
    scopes: Option<String>,
    broken: Option<String>,
}

impl ValueKept {
    fn of(secret: &Secret) -> Self {
        let Secret { value, expires_at, scopes, broken, .. } = secret.clone();
        Self { value, expires_at, scopes, broken }
    }
}

impl Broker {
    /// What a secret holds after a change.
    pub(super) fn changed_secret(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        before: Secret,
        change: &SecretChange,
        now: Timestamp,
    ) -> Result<Secret, Error> {
        let said = change.clone();
        let kind = change.kind.unwrap_or(before.kind);
        let secret_type = change.secret_type.unwrap_or(before.secret_type);
        let config = self.config_after(tx, permit, &before, secret_type, &change.config)?;
        let after = Secret { kind, secret_type, config, ..before.clone() };
        let kept = self.value_after(tx, permit, (&before, &after), &change.value, now)?;
        let ValueKept { value, expires_at, scopes, broken } = kept;
        Ok(Secret {
            alias: said.alias.over(before.alias),
            name: said.name.over(Some(before.name)).unwrap_or_default(),
            description: said.description.over(Some(before.description)).unwrap_or_default(),
            blueprint_id: said.blueprint_id.over(before.blueprint_id),
            value,
            expires_at,
            scopes,
            broken,
            visibility: change.visibility.unwrap_or(before.visibility),
            meta: meta::over(said.meta, before.meta)?,
            ..after
        })
    }

    /// A personal secret has no value of its own: one that becomes personal loses it. `after` is what the
    /// secret will be, with the value that it had.
    fn value_after(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        (before, after): (&Secret, &Secret),
        given: &Given<SecretString>,
        now: Timestamp,
    ) -> Result<ValueKept, Error> {
        match (after.kind, given) {
            (Kind::Personal, Given::Value(_)) => Err(Error::Conflict {
                code: "conflict",
                message: "Personal secrets cannot have a value".into(),
            }),
            (Kind::Personal, _) | (_, Given::Null) => Ok(ValueKept::default()),
            (Kind::Shared, Given::Absent) if self.is_other_kind(tx, permit, before, after) => {
                Ok(ValueKept::default())
            }
            (Kind::Shared, Given::Absent) => Ok(ValueKept::of(after)),
            (Kind::Shared, Given::Value(value)) => {
                let usable = self.follow(tx, after.clone(), permit.clone());
                if let Some(usable) = usable.ok().filter(|it| it.secret_type == SecretType::OAuth) {
                    return self.grant_after(tx, permit, after, (value, &usable), now);
                }
                let value = value.expose_secret().as_bytes();
                let value = Some(self.seal_secret(tx, after, "value", value)?);
                Ok(ValueKept { value, ..ValueKept::default() })
            }
        }
    }

    /// Whether the value is a grant, and the secret none of type oauth any more.
    fn is_other_kind(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        before: &Secret,
        after: &Secret,
    ) -> bool {
        let mut comes_to_oauth = |secret: &Secret| {
            let usable = self.follow(tx, secret.clone(), permit.clone());
            usable.is_ok_and(|usable| usable.secret_type == SecretType::OAuth)
        };
        let is_changed = before.secret_type != after.secret_type || before.config != after.config;
        after.value.is_some() && is_changed && comes_to_oauth(before) && !comes_to_oauth(after)
    }

    /// A grant that is given to a shared secret. One that was given before stays what it was renewed to.
    fn grant_after(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        after: &Secret,
        (value, usable): (&SecretString, &Usable),
        now: Timestamp,
    ) -> Result<ValueKept, Error> {
        let mut grant = credential::grant_in(value, &usable.config, now)?;
        if let (Some(there), None, Some(_)) = (&after.value, &after.broken, &grant.imported) {
            let there = self.open_grant(tx, permit, there);
            match there.ok().and_then(|there| credential::again(there, &grant)) {
                Some(Again::Same) => return Ok(ValueKept::of(after)),
                Some(Again::Moved(moved)) => grant = *moved,
                None => {}
            }
        }
        let value = Some(self.seal_secret(tx, after, GRANT, &grant.to_bytes())?);
        let (expires_at, scopes) = (grant.ends_at(), grant.scope.clone());
        Ok(ValueKept { value, expires_at, scopes, broken: None })
    }

    fn config_after(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        before: &Secret,
        secret_type: SecretType,
        given: &Given<Config>,
    ) -> Result<Option<Sealed>, Error> {
        match given {
            Given::Null => {
                Config::default().check(secret_type)?;
                Ok(None)
            }
            Given::Absent => {
                // What was right for one type may be wrong for another; nothing may be too little.
                if secret_type != before.secret_type || before.config.is_none() {
                    let config = self.open_config(tx, permit, before.config.as_ref())?;
                    config.unwrap_or_default().check(secret_type)?;
                }
                Ok(before.config.clone())
            }
            Given::Value(given) => {
                let stored = self.open_config(tx, permit, before.config.as_ref())?;
                let mut config = given.unmasked(stored.as_ref())?;
                config.check(secret_type)?;
                if given.keeps_secrets() {
                    config.bind_as(stored.as_ref());
                } else {
                    config.unbind();
                    let sealed = self.seal_secret(tx, before, "config", &config.to_bytes()?)?;
                    let config_now = Some(sealed);
                    let now = Secret { secret_type, config: config_now, ..before.clone() };
                    self.bind_client(tx, permit, now, &mut config);
                }
                self.seal_secret(tx, before, "config", &config.to_bytes()?).map(Some)
            }
        }
    }

    /// Binds the client's credentials, which were just given, to the provider that the secret comes to now; to
    /// none, if it leads nowhere.
    fn bind_client(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        secret: Secret,
        config: &mut Config,
    ) {
        if config.has_credentials() {
            match self.follow(tx, secret, permit.clone()) {
                Ok(usable) if usable.secret_type != SecretType::OAuth => {}
                Ok(usable) => config.bind(&usable.config),
                Err(_) => config.bind(&Config::default()),
            }
        }
    }

    pub(super) fn seal_secret(
        &self,
        tx: &mut ReadTx<'_>,
        secret: &Secret,
        column: &'static str,
        plaintext: &[u8],
    ) -> Result<Sealed, Error> {
        let key = self.inner.keyring.newest(tx, &secret.account)?;
        Ok(key.seal(SECRET, secret.id.as_str(), column, plaintext, &*self.inner.random))
    }

    /// The config of the secret that `permit` was given for, in the clear.
    pub(super) fn open_config(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        sealed: Option<&Sealed>,
    ) -> Result<Option<Config>, Error> {
        let Some(sealed) = sealed else { return Ok(None) };
        let bytes = self.inner.keyring.open(tx, permit, "config", sealed)?;
        let row = || permit.row().to_owned();
        let no_config =
            || Damaged { table: SECRET, row: row(), column: "config", source: OpenError };
        Ok(Some(Config::parse(&bytes).ok_or_else(no_config)?))
    }

    /// A text of the row that `permit` was given for, in the clear.
    pub(super) fn open_text(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        column: &'static str,
        sealed: &Sealed,
    ) -> Result<SecretString, Error> {
        let bytes = self.inner.keyring.open(tx, permit, column, sealed)?;
        let no_text = |_| Damaged {
            table: permit.table(),
            row: permit.row().to_owned(),
            column,
            source: OpenError,
        };
        Ok(std::str::from_utf8(&bytes).map_err(no_text)?.into())
    }
}
