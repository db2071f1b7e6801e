//! `config`: how a secret is used. It may hold secrets itself, so it is sealed as a whole, and goes out
//! only with what looks sensitive masked (contract/contacts-and-secrets, sections 3.3, 9 (W17) and 11).

use std::fmt;

use keyfob_core::secret::SecretType;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;
use zeroize::{Zeroize, Zeroizing};

use super::{config_rule, template};
use crate::error::Error;

/// What stands for a sensitive value that is set. Sent back, it keeps the value.
const MASK: &str = "********";
/// What the name of a sensitive value contains, in any case.
const SENSITIVE: [&str; 6] = ["secret", "pass", "token", "key", "private", "credential"];
/// Names that only look like it.
const NOT_SENSITIVE: [&str; 5] =
    ["tokenUrl", "secretId", "tokenEndpointAuthMethod", "clientKeyId", "clientKeyAlgorithm"];
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
/// Where a client's secrets, and what they obtain, are sent.
const ENDPOINTS: [&str; 6] = [
    "tokenUrl",
    "revokeUrl",
    "deviceAuthorizationUrl",
    "authorizationUrl",
    "issuer",
    "resourceUrl",
];
/// What says so in their place.
const STANDS_FOR: [&str; 6] = ["template", "parameters", "reference", "secretId", "id", "params"];
/// The largest config, in bytes of JSON.
const LARGEST: usize = 64 * 1024;
/// More of a path to a value is not repeated.
const LONGEST_PATH: usize = 128;

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
        if secret_type == SecretType::Template {
            template::resolve(self)?;
        }
        Ok(())
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

    /// The hosts that the credential may be sent to.
    pub(super) fn hosts(&self) -> Vec<String> {
        let hosts = self.0.get("hosts").and_then(Value::as_array);
        let texts = hosts.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// The client's secrets, in the order in which they are tried.
    pub(super) fn client_secrets(&self) -> Vec<SecretString> {
        let listed = self.0.get("clientSecrets").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        let secrets = self.text("clientSecret").into_iter().chain(listed);
        secrets.filter(|text| !text.is_empty()).map(SecretString::from).collect()
    }

    /// Where this config would have secrets sent that are kept from `before`, and `before` did not: whoever may
    /// change where they go must not get to see them that way. `None` if none is kept, or none goes elsewhere.
    fn moves_kept_secrets(&self, before: &Self) -> Option<&'static str> {
        let is_kept = |value: &Value| value.as_str() == Some(MASK);
        let keeps = CREDENTIALS.iter().filter_map(|name| self.0.get(*name)).any(|value| {
            is_kept(value) || value.as_array().is_some_and(|list| list.iter().any(is_kept))
        });
        let host = |config: &Self, name: &str| {
            let url = config.text(name).and_then(|text| Url::parse(text).ok());
            url.map(|url| url.origin().ascii_serialization())
        };
        let known: Vec<_> = ENDPOINTS.iter().filter_map(|name| host(before, name)).collect();
        let leads_away = |name: &&&str| host(self, name).is_some_and(|host| !known.contains(&host));
        let stands_for_another = |name: &&&str| self.0.get(**name) != before.0.get(**name);
        let moved = ENDPOINTS.iter().find(leads_away);
        let moved = moved.or_else(|| STANDS_FOR.iter().find(stands_for_another));
        moved.filter(|_| keeps).copied()
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

    /// The config as it goes out: every sensitive value that is set is a mask, every other one null.
    pub(super) fn masked(&self) -> Map<String, Value> {
        let mask =
            |(name, value): (&String, &Value)| (name.clone(), masked(value, is_sensitive(name)));
        self.0.iter().map(mask).collect()
    }

    /// The same with each mask that came back replaced by what `before` holds there.
    pub(super) fn unmasked(&self, before: Option<&Self>) -> Result<Self, Error> {
        if let Some(name) = before.and_then(|before| self.moves_kept_secrets(before)) {
            let text = format!(
                "\"config.{name}\" leads elsewhere than before, so the client's secret is not kept: send the secret itself instead of \"{MASK}\""
            );
            return Err(Error::invalid("bad_request", text));
        }
        let mut config = self.clone();
        for (name, value) in &mut config.0 {
            let before = before.and_then(|before| before.0.get(name));
            unmask(value, before, is_sensitive(name), &format!("config.{name}"))?;
        }
        Ok(config)
    }
}

/// Whether a value of this name is masked.
fn is_sensitive(name: &str) -> bool {
    let folded = name.to_lowercase();
    !NOT_SENSITIVE.contains(&name) && SENSITIVE.iter().any(|word| folded.contains(word))
}

fn masked(value: &Value, is_hidden: bool) -> Value {
    match value {
        Value::Object(map) => {
            let mask = |(name, value): (&String, &Value)| {
                (name.clone(), masked(value, is_hidden || is_sensitive(name)))
            };
            Value::Object(map.iter().map(mask).collect())
        }
        Value::Array(list) => list.iter().map(|value| masked(value, is_hidden)).collect(),
        value if !is_hidden => value.clone(),
        value if is_set(value) => MASK.into(),
        _ => Value::Null,
    }
}

fn is_set(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

fn unmask(
    value: &mut Value,
    before: Option<&Value>,
    is_hidden: bool,
    path: &str,
) -> Result<(), Error> {
    match value {
        Value::Object(map) => map.iter_mut().try_for_each(|(name, value)| {
            let before = before.and_then(|before| before.get(name));
            let is_hidden = is_hidden || is_sensitive(name);
            unmask(value, before, is_hidden, &format!("{path}.{name}"))
        }),
        Value::Array(list) => list.iter_mut().enumerate().try_for_each(|(index, value)| {
            let before = before.and_then(|before| before.get(index));
            unmask(value, before, is_hidden, &format!("{path}.{index}"))
        }),
        Value::String(text) if is_hidden && text == MASK => {
            let is_one =
                |before: &&Value| is_set(before) && !before.is_object() && !before.is_array();
            *value = before.filter(is_one).ok_or_else(|| nothing_to_keep(path))?.clone();
            Ok(())
        }
        _ => Ok(()),
    }
}

fn nothing_to_keep(path: &str) -> Error {
    let text = format!(
        "\"{}\" is \"{MASK}\", which keeps the stored value, but none is stored: send the value itself",
        short(path)
    );
    Error::invalid("bad_request", text)
}

/// The beginning of a path, as far as it is repeated.
pub(super) fn short(path: &str) -> String {
    path.chars().take(LONGEST_PATH).collect()
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

    use super::{Config, is_sensitive};

    fn config(value: Value) -> Config {
        match value {
            Value::Object(map) => Config::new(map),
            other => panic!("{other} is no object"),
        }
    }

    fn value(config: &Config) -> Value {
        Value::Object(config.0.clone())
    }

    #[test]
    fn names_that_look_sensitive_are_in_any_case() {
        for name in [
            "clientSecret",
            "clientSecrets",
            "clientKey",
            "PASSWORD",
            "pass",
            "apiKey",
            "x_Token",
            "privatePem",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in
            ["tokenUrl", "secretId", "clientId", "clientKeyId", "tokenEndpointAuthMethod", "hosts"]
        {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn a_mask_that_comes_back_keeps_the_value_at_any_depth() {
        let before = config(json!({
            "clientSecret": "a", "pin": "b", "claims": {"keys": ["c", {"pass": 4}], "aud": ["d"]},
            "credentials": {"user": "e", "none": "", "nothing": null},
        }));
        let masked = json!({
            "clientSecret": "********", "pin": "b",
            "claims": {"keys": ["********", {"pass": "********"}], "aud": ["d"]},
            "credentials": {"user": "********", "none": null, "nothing": null},
        });
        assert_eq!(Value::Object(before.masked()), masked);
        let kept = config(masked).unmasked(Some(&before)).unwrap();
        let mut expected = value(&before);
        expected["credentials"]["none"] = Value::Null;
        assert_eq!(value(&kept), expected);
    }

    #[test]
    fn a_secret_that_is_kept_goes_nowhere_else_than_before() {
        let before = config(json!({
            "clientSecret": "a", "clientSecrets": ["b"], "clientId": "c",
            "tokenUrl": "https://id.example/token", "template": "x", "parameters": {"d": "e"},
        }));
        let changed = |change: Value| {
            let mut changed = Value::Object(before.masked());
            changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            config(changed).unmasked(Some(&before))
        };
        for same in [
            json!({}),
            json!({"tokenUrl": "https://id.example/v2/token", "revokeUrl": "https://id.example/r"}),
            json!({"tokenUrl": "https://evil.example/", "clientSecret": "mine", "clientSecrets": null}),
        ] {
            assert!(changed(same.clone()).is_ok(), "{same}");
        }
        for moved in [
            json!({"tokenUrl": "https://evil.example/token"}),
            json!({"tokenUrl": "https://id.example:8443/token"}),
            json!({"revokeUrl": "https://evil.example/"}),
            json!({"issuer": "https://evil.example/", "tokenUrl": null}),
            json!({"template": "y"}),
            json!({"parameters": {"d": "evil"}}),
            json!({"tokenUrl": "https://evil.example/", "clientSecret": "mine"}),
        ] {
            let error = changed(moved.clone()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("leads elsewhere"), "{moved}: {error}");
        }
    }

    #[test]
    fn a_mask_that_stands_for_nothing_is_refused_and_one_under_a_plain_name_is_a_text() {
        let echoed = config(json!({"a": {"password": "********"}}));
        for before in
            [None, Some(json!({})), Some(json!({"a": 1})), Some(json!({"a": {"password": ""}}))]
        {
            let before = before.map(config);
            let error = echoed.unmasked(before.as_ref()).unwrap_err().to_string();
            assert!(error.contains("\"config.a.password\""), "{error}");
        }
        let plain = config(json!({"scope": "********"})).unmasked(None).unwrap();
        assert_eq!(value(&plain), json!({"scope": "********"}));
    }

    #[test]
    fn each_of_a_clients_secrets_is_masked_and_kept_at_its_place() {
        let before = config(json!({"clientSecrets": ["a", "b"]}));
        let masked = json!({"clientSecrets": ["********", "********"]});
        assert_eq!(Value::Object(before.masked()), masked);
        let rotated = config(json!({"clientSecrets": ["c", "********"]}));
        let kept = rotated.unmasked(Some(&before)).unwrap();
        assert_eq!(value(&kept), json!({"clientSecrets": ["c", "b"]}));
        let third = config(json!({"clientSecrets": ["c", "d", "********"]}));
        let error = third.unmasked(Some(&before)).unwrap_err().to_string();
        assert!(error.contains("\"config.clientSecrets.2\""), "{error}");
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
