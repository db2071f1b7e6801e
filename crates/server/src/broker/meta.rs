//! `meta`: the object of an account's own that contacts and secrets carry
//! (contract/contacts-and-secrets, sections 1.7, 2.1 and 2.2).

use serde_json::{Map, Value};

use super::Given;
use crate::error::Error;

/// The most of `meta`, in bytes of the JSON that is stored.
const LARGEST: usize = 64 * 1024;

/// How `meta` changes.
#[derive(Clone, Debug)]
pub enum MetaChange {
    /// To this object.
    Replace(Map<String, Value>),
    /// These keys of it, and no others; `null` takes one away.
    Update(Map<String, Value>),
}

impl MetaChange {
    /// What an object from outside means: `{"$update": {…}}`, or the object itself.
    pub fn parse(mut meta: Map<String, Value>) -> Result<Self, Error> {
        let change = match meta.remove("$update") {
            None => Self::Replace(meta),
            Some(Value::Object(update)) if meta.is_empty() => Self::Update(update),
            Some(_) => {
                let text = "\"meta\" may hold \"$update\" alone, and that must be an object";
                return Err(Error::invalid("bad_request", text));
            }
        };
        let (Self::Replace(map) | Self::Update(map)) = &change;
        match map.keys().find(|key| key.starts_with('_')) {
            None => Ok(change),
            Some(_) => Err(Error::invalid(
                "bad_request",
                "\"meta\" must not have keys that begin with an underscore",
            )),
        }
    }

    /// What `meta` is after this, as it is stored, if it was `before`. The limit is on the whole: change
    /// upon change would make more of it than any request may hold.
    fn over(self, before: Option<&str>) -> Result<String, Error> {
        let meta = Value::Object(self.map_over(before)).to_string();
        if meta.len() > LARGEST {
            let text =
                "\"meta\" must have at most 64 KiB of JSON, with what an update leaves of it";
            return Err(Error::invalid("bad_request", text));
        }
        Ok(meta)
    }

    fn map_over(self, before: Option<&str>) -> Map<String, Value> {
        match self {
            Self::Replace(map) => map,
            Self::Update(update) => {
                let mut map = parse_meta(before).unwrap_or_default();
                for (key, value) in update {
                    if value.is_null() {
                        map.remove(&key)
                    } else {
                        map.insert(key, value)
                    };
                }
                map
            }
        }
    }
}

fn parse_meta(text: Option<&str>) -> Option<Map<String, Value>> {
    serde_json::from_str(text?).ok()
}

/// Which objects a list is asked for by their `meta`: those where all of these hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaFilter(pub Vec<(String, String)>);

impl MetaFilter {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with this `meta` is asked for. Dots in a key walk into nested objects; `true`
    /// and `false` are those values or words, everything else is a text.
    pub(super) fn matches(&self, meta: Option<&str>) -> bool {
        let meta = parse_meta(meta).map_or(Value::Null, Value::Object);
        self.0.iter().all(|(key, wanted)| {
            let found = key.split('.').try_fold(&meta, |value, part| value.get(part));
            match found {
                Some(Value::String(text)) => text == wanted,
                Some(Value::Bool(flag)) => wanted == if *flag { "true" } else { "false" },
                _ => false,
            }
        })
    }
}

/// What `meta` is after a request that says `given` of it, as it is stored.
pub(super) fn over(
    given: Given<MetaChange>,
    before: Option<String>,
) -> Result<Option<String>, Error> {
    match given {
        Given::Absent => Ok(before),
        Given::Null => Ok(None),
        Given::Value(change) => change.over(before.as_deref()).map(Some),
    }
}
