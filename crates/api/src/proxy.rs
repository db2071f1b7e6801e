//! `POST …/proxy?dry_run=1` (contract/keyfob, "Mint and proxy").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What `POST …/proxy` takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Where the request goes, `https` or `http`.
    pub url: String,
    /// `GET` (default), `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD` or `OPTIONS`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::words::Method, required = false))]
    pub method: Option<String>,
    /// Its headers, by name. What is no text is left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, serde_json::Value>>))]
    pub headers: BTreeMap<String, String>,
    /// Its body. Empty if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
}

/// What a request would be, and whether it would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The secret's id.
    pub id: String,
    /// Always true: nothing was sent.
    pub dry_run: bool,
    /// Whether it would be sent.
    pub allowed: bool,
    /// Why not; or what would be done first.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
    /// What would be sent.
    pub request: Request,
}

/// A request, with `[redacted]` in the place of the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Request {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers; several of one name are in one text, separated by commas.
    pub headers: BTreeMap<String, String>,
}
