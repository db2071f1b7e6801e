//! What a contact is to hold, as a command line says it.

use std::str::FromStr;

use keyfob_api::contact::ContactFields;
use keyfob_server::clock::{Clock, SystemClock};
use serde_json::{Map, Value};

use crate::{failure::Failure, meta::MetaArgs};

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
    #[command(flatten)]
    meta: MetaArgs,
}

impl FieldArgs {
    /// A contact that is to be stored.
    pub(crate) fn create(self, verified_at: Option<When>) -> ContactFields {
        let meta = self.meta.create();
        self.fields(meta, verified_at)
    }

    /// What is to change of a contact.
    pub(crate) fn update(self, verified_at: Option<When>) -> Result<ContactFields, Failure> {
        let meta = self.meta.update();
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
