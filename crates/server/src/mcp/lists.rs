//! The tools that say what a key may use.

use keyfob_core::{
    id::{ContactId, SecretId, TotpId},
    policy::Action,
    secret::Kind,
    time::Timestamp,
};
use keyfob_store::{contact::Contact as ContactRow, totp::Totp};
use rmcp::{
    model::JsonObject,
    schemars::{self, JsonSchema},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    arguments::{Arguments, contact_of, read},
    bound::{self, words},
    handler::Handler,
    page::{MOST, gather, slice},
};
use crate::{
    broker::{ContactSecret, Described, MetaFilter, SecretFilter, Slice},
    error::Error,
    http::fields::Fields,
};

/// Which part of a list is wanted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListContacts {
    /// How many at the most, from 1 to 100; 20 unless it is said.
    limit: Option<u32>,
    /// The `cursor` of the answer before, to go on after it.
    cursor: Option<String>,
}

/// Which part of which list is wanted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListOf {
    /// The id of a contact (con_…): only what is theirs.
    #[schemars(with = "Option<String>")]
    contact: Option<ContactId>,
    /// How many at the most, from 1 to 100; 20 unless it is said.
    limit: Option<u32>,
    /// The `cursor` of the answer before, to go on after it.
    cursor: Option<String>,
}

impl Arguments for ListContacts {
    fn take(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let limit = fields.count("limit", MOST)?.value();
        Ok(Self { limit, cursor: fields.text("cursor")?.value() })
    }
}

impl Arguments for ListOf {
    fn take(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let (contact, limit) = (contact_of(fields)?, fields.count("limit", MOST)?.value());
        Ok(Self { contact, limit, cursor: fields.text("cursor")?.value() })
    }
}

/// Contacts: people for whom agents act.
#[derive(Serialize, JsonSchema)]
pub(super) struct Contacts {
    contacts: Vec<Contact>,
    /// There is more: send it to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Contact {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

/// Secrets: the definitions of credentials, and where they may go.
#[derive(Serialize, JsonSchema)]
pub(super) struct Secrets {
    secrets: Vec<Secret>,
    /// There is more: send it to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Default, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "`type` is no name in Rust")]
struct Secret {
    /// What other tools take as `secret`.
    id: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    description: String,
    /// `personal`: each contact has a value of their own, so name a contact. `shared`: one for all, without a contact.
    kind: &'static str,
    #[serde(rename = "type")]
    secret_type: &'static str,
    /// Whether the contact has connected it: `authenticated`, `unauthenticated`, `expired` or `broken`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// When that ends, in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// The hosts that `send_request` may reach with it; of type `template`, beside those that the template has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    hosts: Vec<String>,
    /// The methods it may be sent with, if not all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    methods: Vec<String>,
    /// What paths have to begin with, if not all may be sent to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    paths: Vec<String>,
    /// There are more hosts, methods or paths than are listed here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    is_cut: bool,
}

/// One-time-password entries.
#[derive(Serialize, JsonSchema)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// There is more: send it to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Entry {
    /// What `get_totp_code` takes as `id`.
    id: String,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
}

impl Handler {
    pub(super) async fn list_contacts(&self, arguments: JsonObject) -> Result<Contacts, Error> {
        let ListContacts { limit, cursor } = read(arguments)?;
        let slice = slice(limit, cursor.as_deref(), ContactId::parse)?;
        let page = |slice| {
            let all = MetaFilter::default();
            self.broker.list_contacts(&self.caller, Action::ContactList, slice, all)
        };
        let (rows, cursor) = gather(slice, page, |_| true, |row| row.id.clone()).await?;
        let contacts = rows.into_iter().map(Contact::of).collect();
        let (contacts, cursor) = bound::page(contacts, cursor, |contact| &contact.id);
        Ok(Contacts { contacts, cursor })
    }

    pub(super) async fn list_secrets(&self, arguments: JsonObject) -> Result<Secrets, Error> {
        let ListOf { contact, limit, cursor } = read(arguments)?;
        let slice = slice(limit, cursor.as_deref(), SecretId::parse)?;
        match contact {
            Some(contact) => self.secrets_of(&contact, slice).await,
            None => self.all_secrets(slice).await,
        }
    }

    async fn secrets_of(
        &self,
        contact: &ContactId,
        slice: Slice<SecretId>,
    ) -> Result<Secrets, Error> {
        let page = |slice| self.broker.list_connectable(&self.caller, contact, slice);
        let (rows, cursor) = gather(slice, page, |_| true, |row| row.secret.clone()).await?;
        Ok(Secrets::of(rows.into_iter().map(Secret::of_contact).collect(), cursor))
    }

    async fn all_secrets(&self, slice: Slice<SecretId>) -> Result<Secrets, Error> {
        let page = |slice| self.broker.list_secrets(&self.caller, slice, SecretFilter::default());
        let (rows, cursor) = gather(slice, page, |_| true, |row| row.secret.id.clone()).await?;
        Ok(Secrets::of(rows.into_iter().map(Secret::of).collect(), cursor))
    }

    pub(super) async fn list_totp(&self, arguments: JsonObject) -> Result<Entries, Error> {
        let ListOf { contact, limit, cursor } = read(arguments)?;
        let slice = slice(limit, cursor.as_deref(), TotpId::parse)?;
        let page = |slice: Slice<TotpId>| self.broker.list_totp(&self.caller, slice.after);
        let is_wanted = |row: &Totp| contact.is_none() || row.contact == contact;
        let (rows, cursor) = gather(slice, page, is_wanted, |row| row.id.clone()).await?;
        let entries = rows.into_iter().map(Entry::of).collect();
        let (entries, cursor) = bound::page(entries, cursor, |entry| &entry.id);
        Ok(Entries { entries, cursor })
    }
}

impl Contact {
    fn of(ContactRow { id, name, email, .. }: ContactRow) -> Self {
        Self { id: id.to_string(), name: words(name), email: email.map(words) }
    }
}

impl Secrets {
    fn of(secrets: Vec<Secret>, cursor: Option<String>) -> Self {
        let (secrets, cursor) = bound::page(secrets, cursor, |secret| &secret.id);
        Self { secrets, cursor }
    }
}

impl Secret {
    fn of_contact(row: ContactSecret) -> Self {
        Self {
            id: row.secret.to_string(),
            name: words(row.name),
            description: words(row.description),
            kind: Kind::Personal.as_str(),
            secret_type: row.secret_type.as_str(),
            status: Some(row.status.as_str()),
            expires_at: row.expires_at.map(Timestamp::as_millis),
            ..Self::default()
        }
    }

    fn of(Described { secret, config }: Described) -> Self {
        let config = config.unwrap_or_default();
        let [(hosts, all_hosts), (methods, all_methods), (paths, all_paths)] =
            ["hosts", "methods", "paths"].map(|name| bound::some(texts(&config, name)));
        Self {
            id: secret.id.to_string(),
            name: words(secret.name),
            description: words(secret.description),
            kind: secret.kind.as_str(),
            secret_type: secret.secret_type.as_str(),
            hosts,
            methods,
            paths,
            is_cut: !(all_hosts && all_methods && all_paths),
            ..Self::default()
        }
    }
}

/// A list of a config.
fn texts(config: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = config.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Entry {
    fn of(Totp { id, label, issuer, contact, .. }: Totp) -> Self {
        let contact = contact.map(|id| id.to_string());
        Self { id: id.to_string(), label: words(label), issuer: issuer.map(words), contact }
    }
}
