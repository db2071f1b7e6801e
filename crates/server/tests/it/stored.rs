//! What is stored: events, and secrets in the clear, opened as only the service can.

use std::time::Duration;

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, ContactId, SecretId},
    policy::{Action, Grant, Object, Role, decide},
};
use keyfob_store::{
    StoreError, account,
    connection::{self, Connection},
    data_key, event,
    secret::{self, Secret},
};

use crate::app::TestApp;

impl TestApp {
    /// The first account's events, oldest first.
    pub(crate) async fn events(&self) -> Vec<event::Stored> {
        self.events_of(self.account().await).await
    }

    /// The first account.
    pub(crate) async fn account(&self) -> AccountId {
        let first: Result<_, StoreError> = self.store().read(account::find_first).await;
        first.unwrap().unwrap().id
    }

    /// Its events, oldest first.
    pub(crate) async fn events_of(&self, account: AccountId) -> Vec<event::Stored> {
        let (mut events, mut last) = (Vec::new(), None);
        loop {
            let of = account.clone();
            let part = self.store().read(move |tx| event::list(tx, &of, last.as_ref(), 1000));
            let part: Result<_, StoreError> = part.await;
            let part = part.unwrap();
            events.extend(part.rows);
            last = part.last;
            if last.is_none() {
                return events;
            }
        }
    }

    /// The events of codes with this result.
    pub(crate) async fn code_events(&self, result: &str) -> Vec<event::Stored> {
        let mut events = self.events().await;
        events.retain(|event| event.action == "totp.code" && event.result == result);
        events
    }

    /// Ends when there are so many events of codes with this result.
    pub(crate) async fn until_code_events(&self, result: &str, count: usize) {
        let reached = async {
            while self.code_events(result).await.len() != count {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        let events = self.code_events(result).await;
        assert!(reached.is_ok(), "{result}: {} of {count}", events.len());
    }

    /// A secret as it is stored, and its value and config in the clear.
    pub(crate) async fn open_secret(&self, id: &str) -> (Secret, [Option<String>; 2]) {
        let id = SecretId::parse(id).unwrap();
        let read = self.store().read(move |tx| {
            let account = secret::account_of(tx, &id)?.unwrap();
            let secret = secret::find(tx, &account, &id)?.unwrap();
            let key = data_key::find_newest(tx, &account)?;
            Ok::<_, StoreError>((secret, key.unwrap()))
        });
        let (secret, wrapped) = read.await.unwrap();
        let key = self.data_key(&secret.account, wrapped);
        let grant = Grant::new(secret.account.clone(), Role::Owner);
        let permit = decide(&grant, Action::SecretFetch, Object::Secret(&secret.id)).unwrap();
        let open = |column, sealed: &Option<Sealed>| {
            let sealed = sealed.as_ref()?;
            // A grant is in the column of values.
            let opened =
                key.open(&permit, "grant", sealed).or_else(|_| key.open(&permit, column, sealed));
            let opened = opened.unwrap();
            Some(String::from_utf8(opened.to_vec()).unwrap())
        };
        let config = open("config", &secret.config).map(|config| without_bound(&config));
        let opened = [open("value", &secret.value), config];
        (secret, opened)
    }

    /// The connection of a contact and a secret as it is stored, and its value in the clear.
    pub(crate) async fn open_connection(
        &self,
        contact: &str,
        secret: &str,
    ) -> Option<(Connection, String)> {
        let account = self.account().await;
        let of = (ContactId::parse(contact).unwrap(), SecretId::parse(secret).unwrap());
        let asked = (account.clone(), of.clone());
        let read = self.store().read(move |tx| {
            let (account, (contact, secret)) = &asked;
            let key = data_key::find_newest(tx, account)?;
            Ok::<_, StoreError>((connection::find(tx, account, contact, secret)?, key.unwrap()))
        });
        let (connection, wrapped) = read.await.unwrap();
        let connection = connection?;
        let key = self.data_key(&account, wrapped);
        let grant = Grant::new(account, Role::Owner);
        let object = Object::Connection(&of.0, &of.1);
        let permit = decide(&grant, Action::ConnectionVerify, object).unwrap();
        let value = key.open(&permit, "grant", &connection.value);
        let value = value.or_else(|_| key.open(&permit, "value", &connection.value)).unwrap();
        Some((connection, String::from_utf8(value.to_vec()).unwrap()))
    }
}

/// A config as the account has given it: without what its client's credentials are bound to.
fn without_bound(config: &str) -> String {
    let mut config: serde_json::Value = serde_json::from_str(config).unwrap();
    config.as_object_mut().unwrap().remove("boundTo");
    config.to_string()
}
