//! The account itself.

use keyfob_api::account::{Account, UpdateAccount};
use reqwest::Method;

use crate::{Client, Error, NO_BODY, NONE};

impl Client {
    /// The account that this client acts in.
    pub async fn fetch_account(&self) -> Result<Account, Error> {
        self.call(Method::GET, &["v1", "account", "fetch"], NONE, NO_BODY).await
    }

    /// Changes what is given of the account. Needs an owner key.
    pub async fn update_account(&self, change: &UpdateAccount) -> Result<Account, Error> {
        self.call(Method::POST, &["v1", "account", "update"], NONE, Some(change)).await
    }
}
