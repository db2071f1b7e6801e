//! Answers of the original services, which say less than Keyfob's.

use serde::{Deserialize, Deserializer};

/// What stands for nothing, where nothing or `null` comes.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
