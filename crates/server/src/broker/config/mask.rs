//! What of a config goes out, and what comes back (contract/contacts-and-secrets, sections 9 (W17) and 11): a
//! sensitive value goes out as a mask, and a mask that comes back keeps the value, as long as that goes nowhere
//! else than before.

use serde_json::{Map, Value};
use url::Url;

use super::{CREDENTIALS, Config, bound::BOUND};
use crate::error::Error;

/// What stands for a sensitive value that is set. Sent back, it keeps the value.
const MASK: &str = "********";
/// What the name of a sensitive value contains, in any case.
const SENSITIVE: [&str; 6] = ["secret", "pass", "token", "key", "private", "credential"];
/// Names that only look like it.
const NOT_SENSITIVE: [&str; 5] =
    ["tokenUrl", "secretId", "tokenEndpointAuthMethod", "clientKeyId", "clientKeyAlgorithm"];
/// Where a client's secrets, and what they obtain, are sent.
pub(super) const ENDPOINTS: [&str; 5] =
    ["tokenUrl", "revokeUrl", "deviceAuthorizationUrl", "issuer", "resourceUrl"];
/// What says so in their place.
const STANDS_FOR: [&str; 6] = ["template", "parameters", "reference", "secretId", "id", "params"];
/// More of a path to a value is not repeated.
const LONGEST_PATH: usize = 128;

impl Config {
    /// The config as it goes out: every sensitive value that is set is a mask, every other one null.
    pub(in crate::broker) fn masked(&self) -> Map<String, Value> {
        let mask =
            |(name, value): (&String, &Value)| (name.clone(), masked(value, is_sensitive(name)));
        self.0.iter().filter(|(name, _)| *name != BOUND).map(mask).collect()
    }

    /// The same with each mask that came back replaced by what `before` holds there.
    pub(in crate::broker) fn unmasked(&self, before: Option<&Self>) -> Result<Self, Error> {
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

    /// Whether it has a mask in the place of a client's secret.
    pub(in crate::broker) fn keeps_secrets(&self) -> bool {
        let is_kept = |value: &Value| value.as_str() == Some(MASK);
        CREDENTIALS.iter().filter_map(|name| self.0.get(*name)).any(|value| {
            is_kept(value) || value.as_array().is_some_and(|list| list.iter().any(is_kept))
        })
    }

    /// Where this config would have secrets sent that are kept from `before`, and `before` did not: whoever may
    /// change where they go must not get to see them that way. `None` if none is kept, or none goes elsewhere.
    fn moves_kept_secrets(&self, before: &Self) -> Option<&'static str> {
        let host = |config: &Self, name: &str| {
            let url = config.text(name).and_then(|text| Url::parse(text).ok());
            url.map(|url| url.origin().ascii_serialization())
        };
        let known: Vec<_> = ENDPOINTS.iter().filter_map(|name| host(before, name)).collect();
        let leads_away = |name: &&&str| host(self, name).is_some_and(|host| !known.contains(&host));
        let stands_for_another = |name: &&&str| self.0.get(**name) != before.0.get(**name);
        let moved = ENDPOINTS.iter().find(leads_away);
        let moved = moved.or_else(|| STANDS_FOR.iter().find(stands_for_another));
        moved.filter(|_| self.keeps_secrets()).copied()
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

pub(super) fn is_set(value: &Value) -> bool {
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
pub(in crate::broker) fn short(path: &str) -> String {
    path.chars().take(LONGEST_PATH).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tests::{config, value},
        *,
    };

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
}
