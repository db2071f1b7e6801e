//! `meta`, an account's own words about what it stores, as a command line says it.

use serde_json::{Map, Value, json};

/// What the meta of something is to hold.
#[derive(clap::Args)]
pub(crate) struct MetaArgs {
    /// A text of your own under a key of your own; with no text the key is taken away; repeatable
    #[arg(long, value_name = "KEY=TEXT", value_parser = pair)]
    meta: Vec<(String, String)>,
    /// All of its meta, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object, conflicts_with = "meta")]
    meta_json: Option<Map<String, Value>>,
}

impl MetaArgs {
    /// The meta of what is to be stored.
    pub(crate) fn create(&self) -> Option<Map<String, Value>> {
        self.meta_json.clone().or_else(|| {
            let texts = self.meta.iter().filter(|(_, text)| !text.is_empty());
            let map: Map<_, _> = texts.map(|(key, text)| (key.clone(), json!(text))).collect();
            (!map.is_empty()).then_some(map)
        })
    }

    /// What is to change of a meta.
    pub(crate) fn update(&self) -> Option<Map<String, Value>> {
        self.meta_json.clone().or_else(|| {
            let value = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
            let keys = self.meta.iter().map(|(key, text)| (key.clone(), value(text)));
            let update: Map<_, _> = keys.collect();
            (!update.is_empty()).then(|| Map::from_iter([("$update".into(), update.into())]))
        })
    }
}

/// A key and the text it is to have, which may be none.
pub(crate) fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write KEY=TEXT"),
    }
}

/// A key and the value it must have.
pub(crate) fn filter(text: &str) -> Result<(String, String), &'static str> {
    pair(text).ok().filter(|(_, value)| !value.is_empty()).ok_or("write KEY=VALUE")
}

fn object(text: &str) -> Result<Map<String, Value>, &'static str> {
    serde_json::from_str(text).map_err(|_| "write a JSON object, such as '{\"team\":\"sales\"}'")
}
