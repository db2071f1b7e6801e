//! Limits of keys as they are stored.

use serde::{Deserialize, Serialize};

use super::{Action, Limits, TotpName};
use crate::{
    id::{ContactId, SecretId},
    proxy::Method,
};

/// Limits as they are stored. A limit that this version does not know is not passed over: what a newer one
/// forbids stays forbidden.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    contacts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<u32>,
}

impl Limits {
    /// The limits as they are stored: a JSON object; `None` if there are none.
    #[must_use]
    pub fn to_stored(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let stored = Stored {
            contacts: self.contacts.as_deref().map(texts),
            secrets: self.secrets.as_deref().map(texts),
            totp: self.totp.as_deref().map(texts),
            actions: self
                .actions
                .as_ref()
                .map(|all| all.iter().map(|it| it.as_str().into()).collect()),
            hosts: self.hosts.as_deref().map(texts),
            methods: self
                .methods
                .as_ref()
                .map(|all| all.iter().map(|it| it.as_str().into()).collect()),
            paths: self.paths.as_deref().map(texts),
            rate: self.rate,
            quota: self.quota,
        };
        serde_json::to_string(&stored).ok()
    }

    /// The limits in what is stored; `None` if those are none.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        stored.limits().ok()
    }
}

/// A name that is stored and that nothing is called.
struct Unreadable;

impl Stored {
    fn limits(self) -> Result<Limits, Unreadable> {
        Ok(Limits {
            contacts: read(self.contacts, |text| ContactId::parse(text).ok())?,
            secrets: read(self.secrets, |text| SecretId::parse(text).ok())?,
            totp: read(self.totp, |text| Some(TotpName::parse(text)))?,
            actions: read(self.actions, Action::parse)?,
            hosts: read(self.hosts, |text| text.parse().ok())?,
            methods: read(self.methods, Method::parse)?,
            paths: read(self.paths, |text| text.parse().ok())?,
            rate: self.rate,
            quota: self.quota,
        })
    }
}

fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn read<T>(
    texts: Option<Vec<String>>,
    one: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, Unreadable> {
    let all = |texts: Vec<String>| texts.iter().map(|text| one(text).ok_or(Unreadable)).collect();
    texts.map(all).transpose()
}

#[cfg(test)]
mod tests {
    use super::{
        super::limits::tests::{all, totp},
        *,
    };

    #[test]
    fn limits_read_back_as_they_were_stored() {
        let names = totp(&["0196c1a5-4ee5-7b7f-8b2e-3d8f1f0c1a2b"]);
        assert!(matches!(&names[..], [TotpName::Id(_)]));
        for limits in [all(), Limits { rate: Some(1), ..Limits::NONE }] {
            let stored = limits.to_stored().unwrap();
            assert_eq!(Limits::from_stored(&stored), Some(limits));
        }
        assert_eq!(Limits::NONE.to_stored(), None);
    }

    #[test]
    fn what_is_stored_wrongly_is_no_limit() {
        for text in [
            "",
            "null",
            "[]",
            r#"{"contacts":"con_1"}"#,
            r#"{"contacts":["con_1"]}"#,
            r#"{"secrets":["x"]}"#,
            r#"{"actions":["fly"]}"#,
            r#"{"actions":["totp"]}"#,
            r#"{"hosts":["*"]}"#,
            r#"{"methods":["get"]}"#,
            r#"{"paths":["v1"]}"#,
            r#"{"paths":["/v1/../"]}"#,
            r#"{"rate":-1}"#,
            r#"{"moon":["full"]}"#,
        ] {
            assert_eq!(Limits::from_stored(text), None, "{text}");
        }
    }
}
