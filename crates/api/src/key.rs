//! `/api/v1/key`: API keys.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// What a key is limited to within its role. What is left out is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Ids of contacts: only these, what they have connected, and their one-time-password entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub contacts: Option<Vec<String>>,
    /// Ids of secrets: only these, and what contacts have connected them with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub secrets: Option<Vec<String>>,
    /// Ids or labels of one-time-password entries: only these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub totp: Option<Vec<String>>,
    /// Actions: only these. Sent as `connection.verify`, all of a noun (`totp`) or all of a verb (`mint`); shown by
    /// their full names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub actions: Option<Vec<String>>,
    /// Hosts that requests go to: `api.example.com`, or `*.example.com` for all below one, with a port where it is
    /// not 443.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub hosts: Option<Vec<String>>,
    /// Methods of HTTP that requests have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub methods: Option<Vec<String>>,
    /// Beginnings of the paths that requests go to: `/v1/` for all below it, `/v1/chat` for that one and all below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub paths: Option<Vec<String>>,
    /// Uses in any minute, at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100_000_000))]
    pub rate: Option<u32>,
    /// Uses on a day of UTC, at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100_000_000))]
    pub quota: Option<u32>,
}

/// What `POST /api/v1/key/create` takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateKey {
    /// `owner`, `backend` or `agent`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::Role))]
    pub role: String,
    /// What people call it. Empty if absent.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub name: String,
    /// When it ends by itself, in unix milliseconds. Never if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<i64>,
    /// What it is limited to.
    #[serde(flatten)]
    pub limits: Limits,
}

/// A key at the only moment its secret is known outside its holder: when it is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedKey {
    /// For the header `sb-api-key-id`.
    pub id: String,
    /// For the header `sb-api-secret-key`.
    #[serde(serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub secret: SecretString,
    /// Both in one, for the header `Authorization: Bearer`.
    #[serde(serialize_with = "expose")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
    pub token: SecretString,
    /// `owner`, `backend` or `agent`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::Role))]
    pub role: String,
    /// What people call it.
    pub name: String,
}

/// The one place where a key's secret is written out: the answer that hands it over.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// What `POST /api/v1/key/{id}/update` takes. What is left out stays as it is; null (`Some(None)`) takes an end or a
/// limit away.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateKey {
    /// What people call it from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub name: Option<String>,
    /// When it ends by itself, in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<i64>>,
    /// As in [`Limits`], and so the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub contacts: Option<Option<Vec<String>>>,
    /// Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub secrets: Option<Option<Vec<String>>>,
    /// One-time-password entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub totp: Option<Option<Vec<String>>>,
    /// Actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub actions: Option<Option<Vec<String>>>,
    /// Hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub hosts: Option<Option<Vec<String>>>,
    /// Methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub methods: Option<Option<Vec<String>>>,
    /// Beginnings of paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100))]
    pub paths: Option<Option<Vec<String>>>,
    /// Uses in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100_000_000))]
    pub rate: Option<Option<u32>>,
    /// Uses on a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100_000_000))]
    pub quota: Option<Option<u32>>,
}

/// A key as `fetch` and `list` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `owner`, `backend` or `agent`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::Role))]
    pub role: String,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
    /// When it ends by itself, in unix milliseconds.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub expires_at: Option<i64>,
    /// When it was revoked, in unix milliseconds.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub revoked_at: Option<i64>,
    /// Whether its limits are damaged, or of a newer version: it is refused, and can only be revoked. Left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
    /// What it is limited to.
    #[serde(flatten)]
    pub limits: Limits,
}
