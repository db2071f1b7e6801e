//! The account itself.

use keyfob_api::account::{Account, UpdateAccount};
use reqwest::Method;

use crate::{Client, Empty, Error, NO_BODY, NONE};

impl Client {
    /// The account that this client acts in.
    pub async fn fetch_account(&self) -> Result<Account, Error> {
        self.call(Method::GET, &["v1", "account", "fetch"], NONE, NO_BODY).await
    }

    /// Deletes a child account for good, with all that belongs to it; its id. Needs an owner key.
    pub async fn delete_account(&self, id: &str) -> Result<String, Error> {
        self.change(&["v1", "account", id, "delete"], &Empty {}).await
    }

    /// Changes what is given of the account. Needs an owner key.
    pub async fn update_account(&self, change: &UpdateAccount) -> Result<Account, Error> {
        self.call(Method::POST, &["v1", "account", "update"], NONE, Some(change)).await
    }
}
