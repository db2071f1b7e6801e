//! Lists of `/api/v1`.

use serde::{Deserialize, Serialize};

use crate::lenient::or_default;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; empty when this page is.
    #[serde(default, deserialize_with = "or_default")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub cursor: String,
}

/// The answer that only names what was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Id {
    /// Its id.
    pub id: String,
}

/// A line of a list that is streamed (`Accept: application/jsonl`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum Line<T> {
    /// An item.
    Item(T),
    /// The list broke off.
    Error {
        /// The cause, for a program.
        code: String,
        /// The cause, for a person.
        message: String,
    },
}
