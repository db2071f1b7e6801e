//! Accounts: the first one, and its children.

use keyfob_core::{
    id::AccountId,
    policy::{Action, Grant, Limits, Object, Role},
    time::Timestamp,
};
use keyfob_store::{
    Event, StoreError, WriteTx,
    account::{self, Account},
    vault,
};

use url::Url;

use super::{
    Broker, Caller, NewKey,
    key::{self, Made},
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
            let id = broker.insert_account(tx, None, "", None, now)?;
            let operator =
                Caller::operator(Grant::new(id.clone(), Role::Owner), "first-start".into());
            let name = key::FIRST.into();
            let made = Made { role: Role::Owner, name, expires_at: None, limits: Limits::NONE };
            let key = broker.insert_key(tx, &id, &made, now)?;
            let first = operator.event(now, Action::KeyCreate, "key", key.id.to_shared());
            tx.also(Event { reason: Some(made.told()), ..first });
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

    /// Makes a child of the caller's account, with an owner key that ends when the caller's does, and is limited
    /// as it is.
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
            // Held, so that no child is made of an account that is being deleted.
            let parent = account::hold(tx, caller.account())?.ok_or(Error::NotFound)?;
            let parent = Some(parent.id);
            let id = broker.insert_account(tx, parent, &name, email.clone(), now)?;
            let expires_at = caller.grant().expires_at();
            let limits = caller.grant().limits().clone();
            let made = Made { role: Role::Owner, name: key::FIRST.into(), expires_at, limits };
            let key = broker.insert_key(tx, &id, &made, now)?;
            let first = caller.event(now, Action::KeyCreate, "key", key.id.to_shared());
            tx.also(Event { account: id.clone(), reason: Some(made.told()), ..first });
            let event = caller.event(now, Action::AccountCreate, "account", id.to_shared());
            Ok(tx.commit(event, (id, key)))
        })
        .await
    }

    /// The caller's account.
    pub async fn fetch_account(&self, caller: &Caller) -> Result<Account, Error> {
        caller.decide(Action::AccountFetch, Object::Account)?;
        let id = caller.account().clone();
        self.read(move |tx| account::find(tx, &id)?.ok_or(Error::NotFound)).await
    }

    /// Changes the caller's account. What is `None` stays.
    pub async fn update_account(
        &self,
        caller: &Caller,
        name: Option<String>,
        allowed_origins: Option<Vec<String>>,
    ) -> Result<Account, Error> {
        caller.decide(Action::AccountUpdate, Object::Account)?;
        if let Some(name) = &name {
            text::check("name", name, 0)?;
        }
        let origins = allowed_origins.map(checked_origins).transpose()?;
        let (now, caller) = (self.now()?, caller.clone());
        self.write(move |tx| {
            let id = caller.account();
            let before = account::hold(tx, id)?.ok_or(Error::NotFound)?;
            let account = Account {
                name: name.clone().unwrap_or(before.name),
                allowed_origins: origins.clone().unwrap_or(before.allowed_origins),
                ..before
            };
            account::update(tx, &account)?;
            let event = caller.event(now, Action::AccountUpdate, "account", id.to_shared());
            Ok(tx.commit(event, account))
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
        let account = Account {
            id: id.clone(),
            parent,
            name: name.to_owned(),
            email,
            allowed_origins: Vec::new(),
            created_at: now,
        };
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

/// The most origins that an account allows.
const MOST_ORIGINS: usize = 50;

/// Origins as they are compared: scheme, host and port, in their shortest form (RFC 6454, section 6.2).
fn checked_origins(texts: Vec<String>) -> Result<Vec<String>, Error> {
    if texts.len() > MOST_ORIGINS {
        let text = format!("\"allowedOrigins\" must have at most {MOST_ORIGINS} items");
        return Err(Error::invalid("bad_request", text));
    }
    let mut origins = Vec::with_capacity(texts.len());
    for text in texts {
        let origin = origin_of(&text).ok_or_else(|| {
            let text = "each of \"allowedOrigins\" must be an origin such as https://app.example.com, without a path";
            Error::invalid("bad_request", text)
        })?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

fn origin_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    // What is no name, such as `*.example.com`, would never match.
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let is_bare = url.host_str().is_some_and(|host| host.chars().all(is_name))
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    is_bare.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://App.Example.com:443/", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(origin_of(text).as_deref(), Some(origin));
        }
        for text in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "https://*.example.com",
            "ftp://a",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert_eq!(origin_of(text), None, "{text}");
        }
    }
}
