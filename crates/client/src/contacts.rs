//! Contacts: the end users for whom an agent acts.

use keyfob_api::{
    contact::{Contact, ContactFields},
    list::{Id, Page},
};

use crate::{Client, Request, connections::Connections};

/// Contacts ([`Client::contacts`]).
#[derive(Clone, Debug)]
pub struct Contacts(Client);

/// One contact ([`Client::contact`]).
#[derive(Clone, Debug)]
pub struct OneContact {
    client: Client,
    id: String,
}

impl Client {
    /// The end users for whom agents act.
    #[must_use]
    pub fn contacts(&self) -> Contacts {
        Contacts(self.clone())
    }

    /// One of them, by its id.
    #[must_use]
    pub fn contact(&self, id: impl Into<String>) -> OneContact {
        OneContact { client: self.clone(), id: id.into() }
    }
}

impl Contacts {
    /// All contacts, the newest first (`GET /api/v1/contact/list`).
    pub fn list(&self) -> Request<Page<Contact>> {
        self.0.call("/api/v1/contact/list", &[])
    }

    /// All contacts with all that is known of them. Keyfob's own, and for owner keys; made to be
    /// [streamed](Request::stream).
    pub fn export(&self) -> Request<Page<Contact>> {
        self.0.call("/api/v1/contact/export", &[])
    }

    /// Stores a contact; its id (`POST /api/v1/contact/create`).
    pub fn create(&self, contact: &ContactFields) -> Request<Id> {
        self.0.call("/api/v1/contact/create", &[]).record(contact).idempotent()
    }

    /// The id of the contact with this fingerprint, which is stored if there is none
    /// (`POST /api/v1/contact/ensure`). May be repeated.
    ///
    /// ```
    /// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
    /// # doc::example(async |client| {
    /// use keyfob_client::types::ContactFields;
    ///
    /// let ann = ContactFields {
    ///     fingerprint: Some("customer:00000042".into()),
    ///     name: Some("Ann".into()),
    ///     ..ContactFields::default()
    /// };
    /// let id = client.contacts().ensure(&ann).await?.id;
    /// # Ok(()) });
    /// ```
    pub fn ensure(&self, contact: &ContactFields) -> Request<Id> {
        self.0.call("/api/v1/contact/ensure", &[]).record(contact)
    }

    /// A contact (`GET /api/v1/contact/{contact}/fetch`).
    pub fn fetch(&self, id: &str) -> Request<Contact> {
        self.0.call("/api/v1/contact/{contact}/fetch", &[id])
    }

    /// Changes what is given of a contact; its id (`POST /api/v1/contact/{contact}/update`).
    pub fn update(&self, id: &str, change: &ContactFields) -> Request<Id> {
        self.0.call("/api/v1/contact/{contact}/update", &[id]).record(change)
    }

    /// Deletes a contact for good, with all that it has connected; its id
    /// (`POST /api/v1/contact/{contact}/delete`).
    pub fn delete(&self, id: &str) -> Request<Id> {
        self.0.act("/api/v1/contact/{contact}/delete", &[id])
    }
}

impl OneContact {
    /// The contact itself.
    pub fn fetch(&self) -> Request<Contact> {
        self.client.contacts().fetch(&self.id)
    }

    /// Changes what is given of it; its id.
    pub fn update(&self, change: &ContactFields) -> Request<Id> {
        self.client.contacts().update(&self.id, change)
    }

    /// Deletes it for good, with all that it has connected; its id.
    pub fn delete(&self) -> Request<Id> {
        self.client.contacts().delete(&self.id)
    }

    /// What it has connected, and could.
    #[must_use]
    pub fn secrets(&self) -> Connections {
        Connections::new(&self.client, &self.id)
    }
}
