//! Deleting an account with all that belongs to it. It is gone with the answer: nothing of it can be used any
//! more. What belongs to it follows in small units, also after a crash; its grants are revoked at their
//! providers, also those that a provider was just being asked for; and only then its data key is destroyed, so
//! that what a database may still hold of removed rows opens no more.

use std::time::Duration;

use keyfob_core::{
    id::{AccountId, ContactId},
    policy::{Action, Object},
    time::Timestamp,
};
use keyfob_store::{
    Event, StoreError, WriteTx, account, authentication, connection, contact, deletion, refresh,
    removal::{self, Removal},
    revocation, secret,
};

use super::{Broker, Caller, grant::keeper};
use crate::error::Error;

/// The noun in events.
const ACCOUNT: &str = "account";
/// Rows of each table that one unit removes.
const ROWS: u32 = 200;
/// Contacts that one unit removes, each with what it has connected.
const CONTACTS: u32 = 50;
/// Accounts that are looked up at once.
const AT_ONCE: u32 = 100;
/// So long a provider's answer to a request from before the deletion may still bring a grant, which is then
/// revoked: longer than the slowest request and its lease together.
const LATE_ANSWERS: Duration = Duration::from_mins(2);

impl Broker {
    /// Deletes a child of the caller's account for good. It must have no child of its own.
    pub async fn delete_account(&self, caller: &Caller, id: &AccountId) -> Result<(), Error> {
        caller.decide(Action::AccountDelete, Object::Account)?;
        let (now, asking, id) = (self.now()?, caller.clone(), id.clone());
        let parent = Some(caller.account().clone());
        let child = Removal { account: id.clone(), parent, deleted_at: now };
        let deleted = self.change(move |tx| {
            account::find_child(tx, asking.account(), &id)?.ok_or(Error::NotFound)?;
            if !removal::begin(tx, &id, now)? {
                return Err(Error::NotFound);
            }
            // After that: whoever makes a child holds the account first.
            if removal::has_children(tx, &id)? {
                let message = "the account has child accounts: delete those first, and wait until they are gone, which takes two minutes or more".into();
                return Err(Error::Conflict { code: "has_children", message });
            }
            let event = asking.event(now, Action::AccountDelete, ACCOUNT, id.to_shared());
            Ok(tx.commit(event, ()))
        });
        deleted.await?;
        self.inner.callers.forget();
        self.inner.entries.forget();
        let broker = self.clone();
        tokio::spawn(async move { broker.remove_or_log(&child).await });
        Ok(())
    }

    /// Goes on with accounts that are being deleted, such as after a crash, or when their grants have been
    /// revoked; how many are gone now.
    pub async fn finish_accounts(&self) -> Result<usize, Error> {
        let (mut gone, mut after) = (0, None);
        loop {
            let from = after.clone();
            let accounts = self.read(move |tx| Ok(removal::list(tx, from.as_ref(), AT_ONCE)?));
            let accounts = accounts.await?;
            let Some(last) = accounts.last() else { return Ok(gone) };
            after = Some(last.account.clone());
            for account in accounts {
                gone += usize::from(self.remove_or_log(&account).await);
            }
        }
    }

    async fn remove_or_log(&self, it: &Removal) -> bool {
        match self.remove_account(it).await {
            Ok(is_gone) => is_gone,
            Err(error) => {
                let account = &it.account;
                tracing::warn!(%account, %error, "a deleted account could not be removed yet");
                false
            }
        }
    }

    /// Removes all that belongs to an account, and then itself; whether it is gone.
    async fn remove_account(&self, it: &Removal) -> Result<bool, Error> {
        let account = &it.account;
        self.remove_contacts(account).await?;
        self.remove_secrets(account).await?;
        let of = account.clone();
        let is_waiting = self.read(move |tx| Ok(removal::has_revocations(tx, &of)?)).await?;
        // Those that wait are among the rows that follow once they have ended.
        let of = account.clone();
        self.until_none(move |tx, _| removal::remove_some(tx, &of, ROWS)).await?;
        if is_waiting || self.now()? < it.deleted_at.plus(LATE_ANSWERS) {
            return Ok(false);
        }
        let of = account.clone();
        self.until_none(move |tx, _| removal::remove_links(tx, &of, ROWS)).await?;
        self.end_account(it).await
    }

    async fn remove_contacts(&self, account: &AccountId) -> Result<(), Error> {
        let account = account.clone();
        let removed = self.until_none(move |tx, now| {
            let contacts = removal::contacts(tx, &account, CONTACTS)?;
            for contact in &contacts {
                remove_contact(tx, &account, contact, now)?;
            }
            Ok(contacts.len() as u64)
        });
        removed.await?;
        self.begin_revocations();
        Ok(())
    }

    /// Other accounts' connections of the secrets go along, as when each is deleted.
    async fn remove_secrets(&self, account: &AccountId) -> Result<(), Error> {
        loop {
            let (broker, of, now) = (self.clone(), account.clone(), self.now()?);
            let begun = self.write(move |tx| {
                if let Some(id) = removal::deletion(tx, &of)? {
                    return Ok(tx.commit_unaudited(Some(id)));
                }
                let Some(id) = removal::secret(tx, &of)? else {
                    return Ok(tx.commit_unaudited(None));
                };
                match secret::hold(tx, &of, &id) {
                    Ok(Some(secret)) => broker.queue_shared(tx, &secret, now)?,
                    Ok(None) => return Ok(tx.commit_unaudited(Some(id))),
                    // Nobody could ever read it, so it must not keep the account.
                    Err(error @ StoreError::Corrupt { .. }) => {
                        tracing::warn!(%error, "a damaged secret goes with its account: what it may have is not revoked");
                    }
                    Err(error) => return Err(error.into()),
                }
                deletion::begin(tx, &id)?;
                secret::delete(tx, &of, &id)?;
                Ok(tx.commit_unaudited(Some(id)))
            });
            let Some(id) = begun.await? else { return Ok(()) };
            self.finish_deletion(&id).await?;
        }
    }

    async fn end_account(&self, it: &Removal) -> Result<bool, Error> {
        let (now, it) = (self.now()?, it.clone());
        let account = it.account.clone();
        let ended = self.write(move |tx| {
            let Removal { account, parent, .. } = &it;
            // A call that was on its way when the account was deleted may have queued one more.
            if removal::has_revocations(tx, account)? || !removal::end(tx, account)? {
                return Ok(tx.commit_unaudited(false));
            }
            let told = keeper(parent.as_ref().unwrap_or(account));
            let event = told.event(now, Action::AccountDelete, ACCOUNT, account.to_shared());
            Ok(tx.commit(Event { result: "finished", ..event }, true))
        });
        let is_gone = ended.await?;
        self.inner.keyring.forget(&account);
        Ok(is_gone)
    }

    /// Runs a unit again and again until it says that it did nothing. Each is small, so that nobody waits
    /// behind millions of rows.
    async fn until_none(
        &self,
        some: impl FnMut(&mut WriteTx<'_>, Timestamp) -> Result<u64, StoreError>
        + Clone
        + Send
        + 'static,
    ) -> Result<(), Error> {
        loop {
            let (now, mut some) = (self.now()?, some.clone());
            let done = self.write(move |tx| {
                let done = some(tx, now)?;
                Ok(tx.commit_unaudited(done))
            });
            if done.await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Removes a contact with what it has connected; its grants are queued.
fn remove_contact(
    tx: &mut WriteTx<'_>,
    account: &AccountId,
    id: &ContactId,
    now: Timestamp,
) -> Result<(), StoreError> {
    contact::hold(tx, account, id)?;
    revocation::queue_contact(tx, account, id, now)?;
    authentication::withdraw_contact(tx, account, id, now)?;
    connection::delete_of_contact(tx, account, id)?;
    refresh::end_contact(tx, account, id)?;
    contact::delete(tx, account, id).map(drop)
}
