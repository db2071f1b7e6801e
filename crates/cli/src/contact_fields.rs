//! What a contact is to hold, as a command line says it.

use std::str::FromStr;

use keyfob_api::contact::ContactFields;
use keyfob_server::clock::{Clock, SystemClock};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The fields of a contact.
#[derive(clap::Args)]
pub(crate) struct FieldArgs {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// More about it, for people
    #[arg(long)]
    description: Option<String>,
    /// What your application knows it by: at least 16 characters, and no two contacts have the same
    #[arg(long)]
    fingerprint: Option<String>,
    /// An e-mail address
    #[arg(long)]
    email: Option<String>,
    /// A phone number; one without a country code is taken to be of the United States
    #[arg(long)]
    phone: Option<String>,
    /// A nickname
    #[arg(long)]
    nick: Option<String>,
    /// What it prefers, in its own words
    #[arg(long)]
    preferences: Option<String>,
    /// A text of your own under a key of your own; with no text the key is taken away; repeatable
    #[arg(long, value_name = "KEY=TEXT", value_parser = pair)]
    meta: Vec<(String, String)>,
    /// All of its meta, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object, conflicts_with = "meta")]
    meta_json: Option<Map<String, Value>>,
}

impl FieldArgs {
    /// A contact that is to be stored.
    pub(crate) fn create(self, verified_at: Option<When>) -> ContactFields {
        let meta = self.meta_json.clone().or_else(|| {
            let texts = self.meta.iter().filter(|(_, text)| !text.is_empty());
            let map: Map<_, _> = texts.map(|(key, text)| (key.clone(), json!(text))).collect();
            (!map.is_empty()).then_some(map)
        });
        self.fields(meta, verified_at)
    }

    /// What is to change of a contact.
    pub(crate) fn update(self, verified_at: Option<When>) -> Result<ContactFields, Failure> {
        let meta = self.meta_json.clone().or_else(|| {
            let value = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
            let keys = self.meta.iter().map(|(key, text)| (key.clone(), value(text)));
            let update: Map<_, _> = keys.collect();
            (!update.is_empty()).then(|| Map::from_iter([("$update".into(), update.into())]))
        });
        let change = self.fields(meta, verified_at);
        if change == ContactFields::default() {
            return Err(Failure::Usage("say what is to change, such as --name NAME".into()));
        }
        Ok(change)
    }

    fn fields(self, meta: Option<Map<String, Value>>, verified_at: Option<When>) -> ContactFields {
        ContactFields {
            name: self.name,
            description: self.description,
            fingerprint: self.fingerprint,
            email: self.email,
            phone: self.phone,
            nick: self.nick,
            preferences: self.preferences,
            verified_at: verified_at.map(When::millis),
            meta,
        }
    }
}

/// A moment as people give it.
#[derive(Clone, Copy)]
pub(crate) enum When {
    At(jiff::Timestamp),
    Now,
    Never,
}

impl FromStr for When {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        match text {
            "now" => Ok(Self::Now),
            "never" => Ok(Self::Never),
            text => text.parse().map(Self::At),
        }
    }
}

impl When {
    fn millis(self) -> Option<i64> {
        match self {
            Self::At(time) => Some(time.as_millisecond()),
            Self::Now => Some(SystemClock.now().as_millis()),
            Self::Never => None,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write KEY=TEXT"),
    }
}

/// A key of `meta` and the value it is to have.
pub(crate) fn filter(text: &str) -> Result<(String, String), &'static str> {
    pair(text).ok().filter(|(_, value)| !value.is_empty()).ok_or("write KEY=VALUE")
}

fn object(text: &str) -> Result<Map<String, Value>, &'static str> {
    serde_json::from_str(text).map_err(|_| "write a JSON object, such as '{\"team\":\"sales\"}'")
}
