//! Contacts.

use keyfob_api::contact::{Contact, ContactFields};
use reqwest::Method;

use crate::{Client, Empty, Error, Lines, List, ListQuery, NO_BODY, NONE};

impl Client {
    /// Stores a contact; its id. A repeated call stores another one, unless both have a fingerprint.
    pub async fn create_contact(&self, contact: &ContactFields) -> Result<String, Error> {
        self.change(&["v1", "contact", "create"], contact).await
    }

    /// The id of the contact with this fingerprint, which is stored if there is none. May be repeated.
    pub async fn ensure_contact(&self, contact: &ContactFields) -> Result<String, Error> {
        self.change(&["v1", "contact", "ensure"], contact).await
    }

    /// Changes what is given of a contact.
    pub async fn update_contact(&self, id: &str, change: &ContactFields) -> Result<String, Error> {
        self.change(&["v1", "contact", id, "update"], change).await
    }

    /// Deletes a contact for good.
    pub async fn delete_contact(&self, id: &str) -> Result<String, Error> {
        self.change(&["v1", "contact", id, "delete"], &Empty {}).await
    }

    /// A contact.
    pub async fn fetch_contact(&self, id: &str) -> Result<Contact, Error> {
        self.call(Method::GET, &["v1", "contact", id, "fetch"], NONE, NO_BODY).await
    }

    /// Contacts, page by page.
    #[must_use]
    pub fn list_contacts(&self, query: &ListQuery) -> List<Contact> {
        List::new(self, &["v1", "contact", "list"], query.pairs())
    }

    /// Contacts in one answer, as fast as they are taken. Owner keys only.
    pub async fn export_contacts(&self, query: &ListQuery) -> Result<Lines<Contact>, Error> {
        Lines::open(self, &["v1", "contact", "export"], &query.pairs()).await
    }
}
