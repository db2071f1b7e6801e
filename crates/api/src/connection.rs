//! `/api/v1/contact/{contact}/secret` and the like of shared secrets: what is connected, and how it becomes
//! so (contract/contacts-and-secrets, sections 4.2 and 5; contract/keyfob, "Connections").

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::expose::{expose, expose_always};

/// A secret as a contact's list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactSecret {
    /// The secret's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// More about it, for people.
    pub description: String,
    /// The secret's own type.
    #[serde(rename = "type")]
    pub secret_type: String,
    /// Nothing: connections have no `meta`.
    pub meta: Option<Map<String, Value>>,
    /// `authenticated`, `unauthenticated`, `expired` or `broken`.
    pub status: String,
    /// When the credential ends, in unix milliseconds, if it says so.
    pub expires_at: Option<i64>,
    /// What the credential allows, if it says so.
    pub scopes: Option<Vec<String>>,
    /// When the contact first connected it, in unix milliseconds; when the secret was made if it has not.
    pub created_at: i64,
    /// When the contact last connected it, in unix milliseconds; when the secret last changed if it has
    /// not.
    pub updated_at: i64,
}

/// Whether a credential can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// The secret's id.
    pub id: String,
    /// `authenticated` or `unauthenticated`.
    pub status: String,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When it ends, in unix milliseconds, if it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<i64>,
    /// What it allows, if it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scopes: Option<Vec<String>>,
    /// What a person can do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<Act>,
}

/// What a person can do so that a credential can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Act {
    /// `authenticate`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A page to be opened in their browser. Who has it can use it, once, for 15 minutes.
    #[serde(serialize_with = "expose_always")]
    pub url: SecretString,
}

/// The answer to `authenticate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authentication {
    /// The secret's id.
    pub id: String,
    /// A page to be opened in the person's browser. Who has it can use it, once, for 15 minutes.
    #[serde(serialize_with = "expose_always")]
    pub url: SecretString,
}

/// The answer to `mint`: a token itself (contract/contacts-and-secrets, section 6.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Minted {
    /// The token, without its scheme.
    #[serde(serialize_with = "expose_always")]
    pub token: SecretString,
    /// When it ends, in unix milliseconds; null if that is not known.
    pub expires_at: Option<i64>,
}

/// What `connect` takes: `value`; `username` and `password` for a secret of type `basic`; `accessToken` and
/// what goes with it for one of type `oauth`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Connect {
    /// A key, a token, a private key.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub value: Option<SecretString>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub username: Option<SecretString>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub password: Option<SecretString>,
    /// An access token that a provider has given.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub access_token: Option<SecretString>,
    /// What it is renewed with.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub refresh_token: Option<SecretString>,
    /// When the access token ends, in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<i64>,
    /// What it allows, separated by blanks, or as a list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scopes: Option<Value>,
}
