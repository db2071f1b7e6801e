//! `/api/v1/secret`: the definitions of credentials (contract/contacts-and-secrets, sections 3 and 4.1).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A secret as `fetch` and `list` show it: everything but its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// What the account calls it by in paths, as `@alias`.
    pub alias: Option<String>,
    /// What people call it.
    pub name: String,
    /// More about it, for people.
    pub description: String,
    /// The blueprint it belongs to, in the account's own words.
    pub blueprint_id: Option<String>,
    /// Whose value it has: `shared` or `personal`.
    pub kind: String,
    /// What its value is: `plain`, `basic`, `bearer`, `jwt`, `oauth`, `template` or `reference`.
    #[serde(rename = "type")]
    pub secret_type: String,
    /// How it is used. What is sensitive is `"********"`.
    pub config: Option<Map<String, Value>>,
    /// Who may use it: `private`, `protected` or `public`.
    pub visibility: String,
    /// A JSON object of the account's own.
    pub meta: Option<Map<String, Value>>,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
    /// When it last changed, in unix milliseconds.
    pub updated_at: i64,
}
