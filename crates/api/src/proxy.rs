//! `POST …/proxy?dry_run=1` (contract/keyfob, "Mint and proxy").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a request would be, and whether it would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The secret's id.
    pub id: String,
    /// Always true: nothing was sent.
    pub dry_run: bool,
    /// Whether it would be sent.
    pub allowed: bool,
    /// Why not; or what would be done first.
    pub reason: Option<String>,
    /// What would be sent.
    pub request: Request,
}

/// A request, with `[redacted]` in the place of the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers; several of one name are in one text, separated by commas.
    pub headers: BTreeMap<String, String>,
}
