//! `config`: how a secret is used. It may hold secrets itself, so it is sealed as a whole, and goes out
//! only with what looks sensitive masked (contract/contacts-and-secrets, sections 3.3, 9 (W17) and 11).

mod bound;
mod mask;
mod route;
mod sent;
mod terms;

use std::fmt;

use keyfob_core::secret::SecretType;
use secrecy::SecretString;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use self::mask::is_set;
pub(crate) use self::sent::Signs;
pub(super) use self::{
    bound::BOUND,
    mask::short,
    route::{LISTS, covers, hosts, injection, methods, paths},
    terms::Terms,
};
use super::{config_rule, template};
use crate::error::Error;

/// Where a reference names what it stands for.
const REFERENCES: [&str; 3] = ["reference", "secretId", "id"];
/// What a template or a reference may say otherwise than what it stands for, beside what a
/// client shows.
const OVERRIDES: [&str; 7] =
    ["clientId", "scope", "userScope", "username", "password", "user", "pass"];
/// What a client shows who it is with. It is replaced as a whole: no secret is shown beside the id of a
/// client that it does not belong to.
const CREDENTIALS: [&str; 5] =
    ["clientSecret", "clientSecrets", "clientKey", "clientKeyId", "clientKeyAlgorithm"];
/// The largest config, in bytes of JSON.
const LARGEST: usize = 64 * 1024;

/// A secret's config, in the clear. Its texts are overwritten when it is dropped.
#[derive(Clone, Default)]
pub struct Config(Map<String, Value>);

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config([redacted])")
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

impl Config {
    /// A config from outside.
    #[must_use]
    pub const fn new(config: Map<String, Value>) -> Self {
        Self(config)
    }

    /// A config as it is stored; `None` if it is not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).map(Self).ok()
    }

    /// The config as it is stored.
    pub(super) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        // Its length first: a vector that grows leaves old copies behind.
        let mut length = Length(0);
        serde_json::to_writer(&mut length, &self.0).map_err(Error::internal)?;
        if length.0 > LARGEST {
            let text = "\"config\" must have at most 65536 bytes";
            return Err(Error::invalid("bad_request", text));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *bytes, &self.0).map_err(Error::internal)?;
        Ok(bytes)
    }

    /// Refuses what a secret of this type cannot use.
    pub(super) fn check(&self, secret_type: SecretType) -> Result<(), Error> {
        config_rule::check(&self.0, secret_type)?;
        self.rules()?;
        match secret_type {
            SecretType::Template => template::resolve(self).map(drop),
            SecretType::Reference => Ok(()),
            base => self.injection(base).map(drop),
        }
    }

    /// The value under this name, whatever it is.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Puts a value under this name.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.into(), value);
    }

    /// The text under this name; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The whole number under this name.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// The object under this name.
    pub(super) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name).and_then(Value::as_object)
    }

    /// The texts in the list under this name.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let texts = self.0.get(name)?.as_array()?.iter().filter_map(Value::as_str);
        Some(texts.map(str::to_owned).collect())
    }

    /// The client's secrets, in the order in which they are tried.
    pub(super) fn client_secrets(&self) -> Vec<SecretString> {
        let listed = self.0.get("clientSecrets").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        let secrets = self.text("clientSecret").into_iter().chain(listed);
        secrets.filter(|text| !text.is_empty()).map(SecretString::from).collect()
    }

    /// The secret that a reference stands for, as a path names it.
    pub(super) fn reference(&self) -> Option<&str> {
        REFERENCES.iter().find_map(|name| self.text(name))
    }

    /// The config of what a template or a reference stands for, with what `over` says otherwise: the little
    /// that is its own to choose, and never where anything is sent (W3). What the target refers to itself
    /// stays.
    pub(super) fn overridden_by(mut self, over: &Self) -> Self {
        let said = |name: &&str| over.0.get(*name).filter(|value| is_set(value));
        let is_other = said(&"clientId").is_some_and(|id| Some(id) != self.0.get("clientId"));
        if is_other || CREDENTIALS.iter().any(|name| said(name).is_some()) {
            for name in CREDENTIALS {
                self.take_out(name);
            }
            self.bind_as(Some(over));
        }
        for name in OVERRIDES.into_iter().chain(CREDENTIALS) {
            if let Some(value) = said(&name) {
                self.0.insert(name.into(), value.clone());
            }
        }
        self
    }

    fn take_out(&mut self, name: &str) {
        if let Some(mut value) = self.0.remove(name) {
            wipe(&mut value);
        }
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Counts what is written to it.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Config;

    pub(super) fn config(value: Value) -> Config {
        match value {
            Value::Object(map) => Config::new(map),
            other => panic!("{other} is no object"),
        }
    }

    pub(super) fn value(config: &Config) -> Value {
        Value::Object(config.0.clone())
    }

    #[test]
    fn a_client_is_overridden_as_a_whole() {
        let target = json!({
            "clientId": "a", "clientSecret": "b", "clientSecrets": ["c"], "scope": "d", "tokenUrl": "e",
        });
        for (over, expected) in [
            (json!({"scope": "x", "clientSecret": ""}), {
                let mut same = target.clone();
                same["scope"] = json!("x");
                same
            }),
            (json!({"clientId": "x"}), json!({"clientId": "x", "scope": "d", "tokenUrl": "e"})),
            (
                json!({"clientSecret": "x", "tokenUrl": "x"}),
                json!({"clientId": "a", "clientSecret": "x", "scope": "d", "tokenUrl": "e"}),
            ),
            (
                json!({"clientId": "x", "clientKey": "y", "clientSecrets": ["z"]}),
                json!({
                    "clientId": "x", "clientKey": "y", "clientSecrets": ["z"], "scope": "d",
                    "tokenUrl": "e",
                }),
            ),
        ] {
            let overridden = config(target.clone()).overridden_by(&config(over));
            assert_eq!(value(&overridden), expected);
        }
    }

    #[test]
    fn a_config_reads_back_as_it_was_and_shows_nothing() {
        let one = config(json!({"clientSecret": "hidden", "n": 1}));
        assert_eq!(value(&Config::parse(&one.to_bytes().unwrap()).unwrap()), value(&one));
        assert_eq!(format!("{one:?}"), "Config([redacted])");
        assert!(Config::parse(b"[]").is_none());
        let large = config(json!({"x": "x".repeat(65_536)}));
        assert!(large.to_bytes().is_err());
    }
}
