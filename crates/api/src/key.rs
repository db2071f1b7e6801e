//! `/api/v1/key`: API keys.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// What `POST /api/v1/key/create` takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateKey {
    /// `owner`, `backend` or `agent`.
    pub role: String,
    /// What people call it. Empty if absent.
    #[serde(default)]
    pub name: String,
    /// When it ends by itself, in unix milliseconds. Never if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<i64>,
}

/// A key at the only moment its secret is known outside its holder: when it is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedKey {
    /// For the header `sb-api-key-id`.
    pub id: String,
    /// For the header `sb-api-secret-key`.
    #[serde(serialize_with = "expose")]
    pub secret: SecretString,
    /// Both in one, for the header `Authorization: Bearer`.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// `owner`, `backend` or `agent`.
    pub role: String,
    /// What people call it.
    pub name: String,
}

/// The one place where a key's secret is written out: the answer that hands it over.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// What `POST /api/v1/key/{id}/update` takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateKey {
    /// What people call it from now on.
    pub name: String,
}

/// A key as `fetch` and `list` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `owner`, `backend` or `agent`.
    pub role: String,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
    /// When it ends by itself, in unix milliseconds.
    pub expires_at: Option<i64>,
    /// When it was revoked, in unix milliseconds.
    pub revoked_at: Option<i64>,
}
