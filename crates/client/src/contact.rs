//! Contacts.

use keyfob_api::{
    contact::{Contact, ContactFields},
    list::Id,
};
use reqwest::Method;

use crate::{Client, Empty, Error, Lines, List, NO_BODY, NONE};

/// Which contacts are wanted, and in which order; the default is all, newest first.
#[derive(Clone, Debug, Default)]
pub struct ContactQuery {
    /// Those whose `meta` has these values at these keys; dots in a key walk into nested objects.
    pub meta: Vec<(String, String)>,
    /// Oldest first.
    pub oldest_first: bool,
}

impl ContactQuery {
    fn pairs(&self) -> Vec<(String, String)> {
        let meta = self.meta.iter().map(|(key, value)| (format!("meta.{key}"), value.clone()));
        let order = self.oldest_first.then(|| ("order".into(), "asc".into()));
        order.into_iter().chain(meta).collect()
    }
}

impl Client {
    /// Stores a contact; its id. A repeated call stores another one, unless both have a fingerprint.
    pub async fn create_contact(&self, contact: &ContactFields) -> Result<String, Error> {
        self.change_contact(&["create"], contact).await
    }

    /// The id of the contact with this fingerprint, which is stored if there is none. May be repeated.
    pub async fn ensure_contact(&self, contact: &ContactFields) -> Result<String, Error> {
        self.change_contact(&["ensure"], contact).await
    }

    /// Changes what is given of a contact.
    pub async fn update_contact(&self, id: &str, change: &ContactFields) -> Result<String, Error> {
        self.change_contact(&[id, "update"], change).await
    }

    /// Deletes a contact for good.
    pub async fn delete_contact(&self, id: &str) -> Result<String, Error> {
        self.change_contact(&[id, "delete"], &Empty {}).await
    }

    async fn change_contact(
        &self,
        path: &[&str],
        body: &(impl serde::Serialize + Sync),
    ) -> Result<String, Error> {
        let path = [&["v1", "contact"], path].concat();
        let answer: Id = self.call(Method::POST, &path, NONE, Some(body)).await?;
        Ok(answer.id)
    }

    /// A contact.
    pub async fn fetch_contact(&self, id: &str) -> Result<Contact, Error> {
        self.call(Method::GET, &["v1", "contact", id, "fetch"], NONE, NO_BODY).await
    }

    /// Contacts, page by page.
    #[must_use]
    pub fn list_contacts(&self, query: &ContactQuery) -> List<Contact> {
        List::new(self, &["v1", "contact", "list"], query.pairs())
    }

    /// Contacts in one answer, as fast as they are taken. Owner keys only.
    pub async fn export_contacts(&self, query: &ContactQuery) -> Result<Lines<Contact>, Error> {
        Lines::open(self, &["v1", "contact", "export"], &query.pairs()).await
    }
}
