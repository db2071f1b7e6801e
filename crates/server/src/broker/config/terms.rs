//! Terms: what a config said, when a contact connected a value, of where that may go, and how it is sent. They are
//! kept with the value, since the config is for its account to change, and the value is the contact's.

use keyfob_core::{proxy::Rules, secret::SecretType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Config, sent::Sent};

/// What says where a credential may go, and how it is sent.
const NAMES: [&str; 11] = [
    "hosts",
    "methods",
    "paths",
    "inject",
    "signing",
    "region",
    "service",
    "schema",
    "algorithm",
    "expiresInSeconds",
    "claims",
];

/// What a contact connects a value under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Terms(Map<String, Value>);

impl Config {
    /// What it says of where the credential may go, and how it is sent.
    pub(in crate::broker) fn terms(&self) -> Terms {
        let said = |name: &str| Some((name.to_owned(), self.value(name)?.clone()));
        Terms(NAMES.into_iter().filter_map(said).filter(|(_, value)| !value.is_null()).collect())
    }
}

impl Terms {
    /// Terms as they are stored, before they are sealed.
    pub(in crate::broker) fn to_bytes(&self) -> Vec<u8> {
        Value::Object(self.0.clone()).to_string().into_bytes()
    }

    /// Terms that were stored; `None` if they are none.
    pub(in crate::broker) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Where the value may go, and how it is sent, if it is of this type; `None` if this version cannot read that.
    pub(in crate::broker) fn read(&self, secret_type: SecretType) -> Option<(Rules, Sent)> {
        let config = Config::new(self.0.clone());
        Some((config.rules().ok()?, config.sent(secret_type).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use keyfob_core::proxy::Injection;
    use serde_json::json;

    use super::{super::tests::config, *};

    #[test]
    fn terms_are_what_is_said_of_destinations_and_nothing_else_and_read_back() {
        let said = json!({
            "hosts": ["a.b"], "methods": ["GET"], "paths": null, "inject": {"query": "key"},
            "clientSecret": "hidden", "scope": "x", "claims": {"role": "reader"},
        });
        let terms = config(said).terms();
        let kept = json!({"hosts": ["a.b"], "methods": ["GET"], "inject": {"query": "key"}, "claims": {"role": "reader"}});
        assert_eq!(json!(terms), kept);
        assert_eq!(Terms::parse(&terms.to_bytes()), Some(terms.clone()));
        let (rules, sent) = terms.read(SecretType::Plain).unwrap();
        assert_eq!((rules.hosts.len(), rules.paths), (1, None));
        assert_eq!(sent.injection, Injection::Query { name: "key".into() });
        assert!(Terms::parse(b"[]").is_none());
        assert!(config(json!({"hosts": ["*"]})).terms().read(SecretType::Plain).is_none());
    }
}
