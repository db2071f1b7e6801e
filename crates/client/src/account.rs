//! The account itself. Keyfob's own.

use keyfob_api::{
    account::{Account, CreateAccount, CreatedAccount, UpdateAccount},
    list::Id,
};

use crate::{Client, Request};

/// The account that the client acts in, and its children ([`Client::account`]).
#[derive(Clone, Debug)]
pub struct Accounts(Client);

impl Client {
    /// The account that this client acts in, and its children.
    #[must_use]
    pub fn account(&self) -> Accounts {
        Accounts(self.clone())
    }
}

impl Accounts {
    /// The account (`GET /api/v1/account/fetch`).
    pub fn fetch(&self) -> Request<Account> {
        self.0.call("/api/v1/account/fetch", &[])
    }

    /// Changes what is given of the account (`POST /api/v1/account/update`). Owner keys only.
    pub fn update(&self, change: &UpdateAccount) -> Request<Account> {
        self.0.call("/api/v1/account/update", &[]).record(change)
    }

    /// Makes a child account; its id and its first owner key (`POST /api/v1/account/create`). Owner keys only. It is
    /// sent again only where the server did not take it.
    pub fn create(&self, account: &CreateAccount) -> Request<CreatedAccount> {
        self.0.call("/api/v1/account/create", &[]).record(account).idempotent().once()
    }

    /// Deletes a child account for good, with all that belongs to it; its id
    /// (`POST /api/v1/account/{id}/delete`). Owner keys only.
    pub fn delete(&self, id: &str) -> Request<Id> {
        self.0.act("/api/v1/account/{id}/delete", &[id])
    }
}
