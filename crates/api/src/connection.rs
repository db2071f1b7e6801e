//! `/api/v1/contact/{contact}/secret` and the like of shared secrets: what is connected, and how it becomes
//! so (contract/contacts-and-secrets, sections 4.2 and 5; contract/keyfob, "Connections").

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    expose::{expose, expose_always},
    lenient::or_default,
};

/// A secret as a contact's list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ContactSecret {
    /// The secret's id.
    pub id: String,
    /// What people call it.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub name: String,
    /// More about it, for people.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub description: String,
    /// The secret's own type.
    #[serde(default, deserialize_with = "or_default")]
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::SecretType))]
    pub secret_type: String,
    /// Nothing: connections have no `meta`.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub meta: Option<Map<String, Value>>,
    /// `authenticated`, `unauthenticated`, `expired` or `broken`.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::words::ConnectionStatus))]
    pub status: String,
    /// When the credential ends, in unix milliseconds, if it says so.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub expires_at: Option<i64>,
    /// What the credential allows, if it says so.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub scopes: Option<Vec<String>>,
    /// When the contact first connected it, in unix milliseconds; when the secret was made if it has not.
    pub created_at: i64,
    /// When the contact last connected it, in unix milliseconds; when the secret last changed if it has
    /// not.
    pub updated_at: i64,
}

/// Whether a credential can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// The secret's id.
    pub id: String,
    /// `authenticated` or `unauthenticated`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::VerifiedStatus))]
    pub status: String,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub reason: Option<String>,
    /// When it ends, in unix milliseconds, if it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub expires_at: Option<i64>,
    /// What it allows, if it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub scopes: Option<Vec<String>>,
    /// What a person can do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub action: Option<Act>,
}

/// What a person can do so that a credential can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Act {
    /// `authenticate`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::ActType))]
    pub kind: String,
    /// A page to be opened in their browser. Who has it can use it, once, for 15 minutes.
    #[serde(serialize_with = "expose_always")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub url: SecretString,
}

/// What `authenticate` takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Authenticate {
    /// Where the person is sent at the end: of an origin that the account allows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 2048))]
    pub return_url: Option<String>,
}

/// The answer to `authenticate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Authentication {
    /// The secret's id.
    pub id: String,
    /// A page to be opened in the person's browser. Who has it can use it, once, for 15 minutes.
    #[serde(serialize_with = "expose_always")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub url: SecretString,
}

/// The answer to `mint`: a token itself (contract/contacts-and-secrets, section 6.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Minted {
    /// The token, without its scheme.
    #[serde(serialize_with = "expose_always")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub token: SecretString,
    /// When it ends, in unix milliseconds; null if that is not known.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub expires_at: Option<i64>,
}

/// What `connect` takes: `value`; `username` and `password` for a secret of type `basic`; `accessToken` and
/// what goes with it for one of type `oauth`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Connect {
    /// A key, a token, a private key.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, max_length = 32_768))]
    pub value: Option<SecretString>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub username: Option<SecretString>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub password: Option<SecretString>,
    /// An access token that a provider has given.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub access_token: Option<SecretString>,
    /// What it is renewed with.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub refresh_token: Option<SecretString>,
    /// When the access token ends, in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Moment>))]
    pub expires_at: Option<i64>,
    /// What it allows, separated by blanks, or as a list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::words::Scopes>))]
    pub scopes: Option<Value>,
}
