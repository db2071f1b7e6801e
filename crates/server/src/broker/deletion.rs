//! Deleting a secret with all that contacts have connected it with. That goes along in the unit that deletes
//! the secret, if it is not very much. Otherwise the secret is gone at once, and with it every way to its
//! connections; they follow in small units, so that nobody waits behind millions of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use keyfob_core::{
    id::{AccountId, SecretId},
    policy::{Action, Object},
    time::Timestamp,
};
use keyfob_store::{
    Event, StoreError, WriteTx, authentication,
    deletion::{self, Deletion, Last, Most},
    event::Actor,
    registration, revocation, secret,
};

use super::{Broker, Caller, SecretRef, secret::SECRET};
use crate::error::Error;

/// What goes along in the unit that deletes the secret. The writer is busy with it for about 100 ms.
const WITH_IT: Most = Most { connections: 5_000, bytes: 2 << 20 };
/// What each later unit removes: others wait for about 20 ms.
const LATER: Most = Most { connections: 1_000, bytes: 512 << 10 };
/// Links that the unit withdraws. Further ones open nothing either.
const LINKS: u32 = 5_000;
/// So long the caller waits for what did not go along.
const PATIENCE: Duration = Duration::from_secs(3);
/// Deletions that are looked up at once.
const AT_ONCE: u32 = 100;

impl Broker {
    /// Deletes a secret for good, with what contacts have connected it with; which one. Of very many
    /// connections the last ones may still be on their way out, where nobody finds them.
    pub async fn delete_secret(&self, caller: &Caller, at: &SecretRef) -> Result<SecretId, Error> {
        caller.decide(Action::SecretDelete, Object::Account)?;
        let (now, caller, at) = (self.now()?, caller.clone(), at.clone());
        let broker = self.clone();
        let deleted = self.change(move |tx| {
            let id = at.resolve_own(tx, &caller, Action::SecretDelete)?;
            let secret = secret::hold(tx, caller.account(), &id)?.ok_or(Error::NotFound)?;
            broker.queue_shared(tx, &secret, now)?;
            authentication::withdraw_secret(tx, &id, now, LINKS)?;
            deletion::begin(tx, &id)?;
            registration::delete(tx, caller.account(), &id)?;
            secret::delete(tx, caller.account(), &id)?;
            let some = remove_some(tx, &id, WITH_IT, now)?;
            let mut event = caller.event(now, Action::SecretDelete, SECRET, id.to_shared());
            event.reason = some.reason();
            let is_over = some.is_over;
            Ok(tx.commit(event, (id, is_over)))
        });
        let (id, is_over) = deleted.await?;
        self.begin_revocations();
        if !is_over {
            self.wait_a_while_for(&id).await;
        }
        Ok(id)
    }

    /// Removes what is left of a deleted secret; that goes on when the caller has waited long enough, or goes
    /// away. The secret is deleted, whatever happens here: what fails is done again by
    /// [`Broker::finish_deletions`].
    async fn wait_a_while_for(&self, secret: &SecretId) {
        let (broker, secret) = (self.clone(), secret.clone());
        let rest = tokio::spawn(async move { broker.finish_or_log(&secret).await });
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            tracing::debug!("the connections of a deleted secret are still being removed");
        }
    }

    /// Goes on with the deletions that have not ended, such as those of before a crash; how many it ended.
    pub async fn finish_deletions(&self) -> Result<usize, Error> {
        let secrets = self.read(move |tx| Ok(deletion::list(tx, AT_ONCE)?)).await?;
        let mut ended = 0;
        for secret in secrets {
            ended += usize::from(self.finish_or_log(&secret).await);
        }
        Ok(ended)
    }

    async fn finish_or_log(&self, secret: &SecretId) -> bool {
        let finished = self.finish_deletion(secret).await;
        if let Err(error) = &finished {
            tracing::warn!(%secret, %error, "the connections of a deleted secret could not be removed yet");
        }
        finished.is_ok()
    }

    pub(super) async fn finish_deletion(&self, secret: &SecretId) -> Result<(), Error> {
        loop {
            let (now, secret) = (self.now()?, secret.clone());
            let finished = self.change(move |tx| {
                let some = remove_some(tx, &secret, LATER, now)?;
                match &some.deletion {
                    Some(deletion) if some.is_over => {
                        let told = by_owner(&deletion.account, Action::SecretDelete, &secret, now);
                        let event = Event { result: "finished", reason: some.reason(), ..told };
                        Ok(tx.commit(event, true))
                    }
                    _ => Ok(tx.commit_unaudited(some.is_over)),
                }
            });
            let is_over = finished.await?;
            self.begin_revocations();
            if is_over {
                return Ok(());
            }
        }
    }
}

/// How far a deletion has come.
struct Removed {
    /// `None` if another one ended it.
    deletion: Option<Deletion>,
    is_over: bool,
}

impl Removed {
    fn reason(&self) -> Option<String> {
        let all = connections(self.deletion.as_ref()?.removed)?;
        Some(if self.is_over { all } else { format!("{all} so far") })
    }
}

/// Removes up to `most` connections of a deleted secret. What has to be revoked at a provider is queued, and
/// the other accounts are told once all of theirs are gone.
fn remove_some(
    tx: &mut WriteTx<'_>,
    secret: &SecretId,
    most: Most,
    now: Timestamp,
) -> Result<Removed, StoreError> {
    let Some(mut deletion) = deletion::hold(tx, secret)? else {
        return Ok(Removed { deletion: None, is_over: true });
    };
    let last = deletion::last(tx, secret, most)?;
    let mut of_accounts = BTreeMap::from_iter(deletion.partial.take());
    if let Some(last) = &last {
        revocation::queue_deleted(tx, secret, last, now)?;
        for (account, removed) in deletion::remove(tx, secret, last)? {
            deletion.removed += removed;
            *of_accounts.entry(account).or_default() += removed;
        }
    }
    // They go in the order of their accounts: only of the last one there may be more.
    if let Some(Last { account, .. }) = last.filter(|last| !last.is_all) {
        let removed = of_accounts.remove(&account).unwrap_or_default();
        deletion.partial = Some((account, removed));
    }
    of_accounts.remove(&deletion.account);
    for (account, removed) in of_accounts.into_iter().filter(|(_, removed)| *removed > 0) {
        let told = by_owner(&account, Action::ConnectionRevoke, secret, now);
        tx.also(Event { result: "deleted", reason: connections(removed), ..told });
    }
    let is_over = deletion.partial.is_none();
    if is_over {
        deletion::end(tx, secret)?;
    } else {
        deletion::note(tx, &deletion)?;
    }
    Ok(Removed { deletion: Some(deletion), is_over })
}

/// How many connections went along, for the audit trail; nothing where none did.
pub(super) fn connections(count: u64) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 connection".to_owned()),
        count => Some(format!("{count} connections")),
    }
}

/// What its owner does with a secret, as other accounts are told: nothing by which they would know one
/// tenant from another, such as a key, an address, or the name that a caller gave its request.
fn by_owner(account: &AccountId, action: Action, secret: &SecretId, now: Timestamp) -> Event {
    let nothing: Arc<str> = "".into();
    let actor = Actor { kind: "owner", id: nothing.clone(), name: nothing.clone() };
    Event {
        account: account.clone(),
        created_at: now,
        actor,
        action,
        object_type: SECRET,
        object_id: secret.to_shared(),
        contact_id: None,
        result: "ok",
        reason: None,
        ip: None,
        request_id: nothing,
    }
}
