//! Accounts: the first one, and its children.

use keyfob_core::{
    id::AccountId,
    policy::{Action, Grant, Object, Role},
    time::Timestamp,
};
use keyfob_store::{
    Event, StoreError, WriteTx,
    account::{self, Account},
    vault,
};

use super::{
    Broker, Caller, NewKey,
    key::{self, Plan},
};
use crate::{error::Error, text};

impl Broker {
    /// Makes the first account and its owner key, if there is no account yet.
    pub async fn make_first_account(&self) -> Result<Option<NewKey>, Error> {
        let now = self.now()?;
        let broker = self.clone();
        self.write(move |tx| {
            vault::lock(tx)?;
            if account::find_first(tx)?.is_some() {
                return Ok(tx.commit_unaudited(None));
            }
            let id = broker.insert_account(tx, None, "first", None, now)?;
            let operator =
                Caller::operator(Grant::new(id.clone(), Role::Owner), "first-start".into());
            let plan = Plan { role: Role::Owner, name: "first owner key".into(), expires_at: None };
            let key = broker.insert_key(tx, &id, &plan, now)?;
            tx.also(operator.event(now, Action::KeyCreate, "key", key.id.to_shared()));
            let event = operator.event(now, Action::AccountCreate, "account", id.to_shared());
            Ok(tx.commit(event, Some(key)))
        })
        .await
    }

    /// The caller that a command on the machine itself acts as: an owner of the first account.
    pub async fn operator(&self) -> Result<Caller, Error> {
        let first = self.read(|tx| Ok(account::find_first(tx)?)).await?;
        let account = first.ok_or(Error::NotFound)?.id;
        Ok(Caller::operator(Grant::new(account, Role::Owner), "command-line".into()))
    }

    /// Makes a child of the caller's account, with an owner key that ends when the caller's does.
    pub async fn create_account(
        &self,
        caller: &Caller,
        name: String,
        email: Option<String>,
    ) -> Result<(AccountId, NewKey), Error> {
        caller.decide(Action::AccountCreate, Object::Account)?;
        text::check("name", &name, 0)?;
        if let Some(email) = &email {
            text::check("email", email, 1)?;
        }
        let now = self.now()?;
        let (broker, caller) = (self.clone(), caller.clone());
        self.write(move |tx| {
            let parent = Some(caller.account().clone());
            let id = broker.insert_account(tx, parent, &name, email.clone(), now)?;
            let expires_at = caller.grant().expires_at();
            let plan = Plan { role: Role::Owner, name: key::FIRST.into(), expires_at };
            let key = broker.insert_key(tx, &id, &plan, now)?;
            let made = caller.event(now, Action::KeyCreate, "key", key.id.to_shared());
            tx.also(Event { account: id.clone(), ..made });
            let event = caller.event(now, Action::AccountCreate, "account", id.to_shared());
            Ok(tx.commit(event, (id, key)))
        })
        .await
    }

    fn insert_account(
        &self,
        tx: &mut WriteTx<'_>,
        parent: Option<AccountId>,
        name: &str,
        email: Option<String>,
        now: Timestamp,
    ) -> Result<AccountId, Error> {
        let random = &*self.inner.random;
        let id = AccountId::generate(now, random);
        let account =
            Account { id: id.clone(), parent, name: name.to_owned(), email, created_at: now };
        account::insert(tx, &account).map_err(|error| match error {
            StoreError::Conflict => Error::Conflict {
                code: "conflict",
                message: "a child account with this e-mail address exists".into(),
            },
            error => error.into(),
        })?;
        self.inner.keyring.make(tx, &id, now, random)?;
        Ok(id)
    }
}
