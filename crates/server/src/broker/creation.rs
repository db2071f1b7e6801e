//! Creates that are sent again: the first one's answer, and no second object.

use std::sync::Arc;

use keyfob_core::time::Timestamp;
use keyfob_store::{
    Commit, ReadTx, WriteTx,
    creation::{self, Creation},
};

use super::{
    Broker, CREATES_KEPT, Caller,
    attempt::{Answer, Attempt, Fate, SENT_AGAIN_WITHIN},
};
use crate::error::Error;

/// How a request says that it may be one that was sent before.
#[derive(Clone, Debug)]
pub enum Repeat {
    /// It does not.
    No,
    /// It is a retry of a client that sends no key.
    Retry,
    /// It names itself (`Idempotency-Key`).
    Key(String),
}

/// A create that is about to be done.
pub(super) struct Claim<'a> {
    pub(super) repeat: &'a Repeat,
    /// All that the request says; its first part names what it makes.
    pub(super) content: &'a [&'a [u8]],
    /// What it makes, if it is the first.
    pub(super) object_id: &'a str,
    /// When it came in.
    pub(super) now: Timestamp,
    /// Whose answer is followed, if it came over a connection.
    pub(super) attempt: Option<&'a Arc<Attempt>>,
}

/// A create whose answer is due on a connection.
pub(crate) struct Pending {
    broker: Broker,
    attempt: Arc<Attempt>,
}

impl Pending {
    /// The answer was handed to the operating system.
    pub(crate) fn answered(self) {
        self.broker.inner.attempts.decide(&self.attempt, Fate::Answered);
    }

    /// The connection ended before. Counts at once on this node, and soon on others; nobody waits for
    /// that, and it is lost if the server ends first.
    pub(crate) fn lost(self) {
        let Self { broker, attempt } = self;
        let fate = Fate::Unanswered(broker.inner.clock.now());
        let Some(made) = broker.inner.attempts.decide(&attempt, fate) else {
            return;
        };
        let note = move |tx: &mut WriteTx<'_>| {
            creation::note_unanswered(tx, &attempt.account, &made)?;
            Ok(tx.commit_unaudited(()))
        };
        if let Err(error) = broker.inner.store.write_later::<Error, _>(note) {
            tracing::warn!(%error, "other nodes are not told of a create whose answer was lost");
        }
    }
}

impl Broker {
    /// Runs the unit of a create, and follows its answer if the caller has a connection.
    ///
    /// While nobody can say whether it repeats another one of this node, that one is waited for, and the
    /// unit is run again.
    pub(super) async fn create<T: Send + 'static>(
        &self,
        caller: &Caller,
        work: impl Fn(&mut WriteTx<'_>, Option<&Arc<Attempt>>) -> Result<Commit<T>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, Error> {
        let work = Arc::new(work);
        let Some(delivery) = caller.delivery() else {
            return self.write(move |tx| work(tx, None)).await;
        };
        let attempt = Arc::new(Attempt::new(caller.account().clone(), caller.key().cloned()));
        delivery.expect(Pending { broker: self.clone(), attempt: Arc::clone(&attempt) });
        loop {
            let (work, queued) = (Arc::clone(&work), self.inner.attempts.queue(&attempt));
            let answer = self.write(move |tx| work(tx, Some(&queued.attempt))).await;
            let Some(rival) = attempt.take_rival() else {
                return answer;
            };
            rival.decided().await;
        }
    }

    /// What an earlier request like this one made, if this one repeats it. Otherwise remembers that
    /// this one makes its object: also one that names itself by its content, because who sends it
    /// again may leave the name out.
    pub(super) fn claim_creation(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<Option<String>, Error> {
        if let Some(mine) = claim.attempt
            && let Some(overtaken) = self.inner.attempts.overtaken_by(mine)
        {
            return Err(self.wait_for(mine, overtaken));
        }
        let (by_content, by_name) = self.creations(tx, caller, claim)?;
        let by_content = self.makes(claim, by_content);
        let first = match claim.repeat {
            Repeat::No => self.unanswered(tx, caller, claim, &by_content)?,
            Repeat::Retry => earlier(tx, caller, &by_content)?,
            Repeat::Key(_) => earlier(tx, caller, &by_name)?,
        };
        let Some(first) = first else {
            if !matches!(claim.repeat, Repeat::Retry) {
                creation::replace(tx, caller.account(), &by_content)?;
            }
            return Ok(None);
        };
        if let Some(attempt) = claim.attempt {
            let mut first = Creation { object_id: first.clone(), ..by_content };
            first.unanswered_at = self.inner.attempts.repeat(attempt, &first);
            if first.unanswered_at.is_some() {
                creation::note_unanswered(tx, caller.account(), &first)?;
            }
        }
        Ok(Some(first))
    }

    /// Remembers that this request makes its object although it repeats another: what that one made
    /// was deleted since.
    pub(super) fn reclaim_creation(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<(), Error> {
        let (by_content, by_name) = self.creations(tx, caller, claim)?;
        let by_content = self.makes(claim, by_content);
        creation::replace(tx, caller.account(), &by_name)?;
        Ok(creation::replace(tx, caller.account(), &by_content)?)
    }

    /// Notes that a create makes its object, and since when its answer is lost, if it already is.
    fn makes(&self, claim: &Claim<'_>, mut creation: Creation) -> Creation {
        let attempts = &self.inner.attempts;
        creation.unanswered_at = claim.attempt.and_then(|mine| attempts.make(mine, &creation));
        creation
    }

    /// What an identical create made whose answer could not be sent within the last seconds.
    fn unanswered(
        &self,
        tx: &mut WriteTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
        by_content: &Creation,
    ) -> Result<Option<String>, Error> {
        let since = claim.now.minus(CREATES_KEPT);
        let Some(first) = creation::claim(tx, caller.account(), by_content, since)? else {
            return Ok(None);
        };
        let lost_at = claim.attempt.and_then(|mine| mine.lost_at());
        if lost_at.is_some_and(|at| first.created_at >= at) {
            // Nobody waits for this one any more, and what was sent since, its repetition, overtook it.
            return Ok(Some(first.object_id));
        }
        let lost_at = match (self.inner.attempts.answer_of(&first.object_id), claim.attempt) {
            (Answer::Lost(at), _) => Some(at).max(first.unanswered_at),
            (Answer::OnItsWay(rival), Some(mine)) if !Arc::ptr_eq(&rival, mine) => {
                return Err(self.wait_for(mine, rival));
            }
            _ => first.unanswered_at,
        };
        // It may have been lost since this one came; much later only by a clock that was wrong.
        let within = claim.now.minus(SENT_AGAIN_WITHIN)..=claim.now.plus(SENT_AGAIN_WITHIN);
        let is_sent_again = lost_at.is_some_and(|at| within.contains(&at));
        Ok(is_sent_again.then_some(first.object_id))
    }

    /// Has [`Broker::create`] run the unit again when the fate of `rival` is known. The error ends this
    /// run, and nobody sees it.
    fn wait_for(&self, mine: &Attempt, rival: Arc<Attempt>) -> Error {
        self.inner.attempts.await_rival(mine, rival);
        Error::internal("another create has to be done first")
    }

    /// What is remembered of a create: under its content, and under its name, which is its content
    /// where it has none.
    fn creations(
        &self,
        tx: &mut ReadTx<'_>,
        caller: &Caller,
        claim: &Claim<'_>,
    ) -> Result<(Creation, Creation), Error> {
        let key = self.inner.keyring.newest(tx, caller.account())?;
        let sender = caller.key().map_or("", |key| key.as_str()).as_bytes();
        let parts: Vec<_> = [sender].into_iter().chain(claim.content.iter().copied()).collect();
        let content = key.fingerprint(&parts);
        let name = match claim.repeat {
            Repeat::Key(name) => key.fingerprint(&[b"idempotency key", sender, name.as_bytes()]),
            Repeat::No | Repeat::Retry => content,
        };
        let by = |fingerprint| {
            let object_id = claim.object_id.to_owned();
            let created_at = claim.now;
            Creation { fingerprint, content, object_id, created_at, unanswered_at: None }
        };
        Ok((by(content), by(name)))
    }
}

/// What a create with this one's fingerprint made in the last minutes. Otherwise this one is remembered
/// under it.
fn earlier(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    creation: &Creation,
) -> Result<Option<String>, Error> {
    let since = creation.created_at.minus(CREATES_KEPT);
    let Some(first) = creation::claim(tx, caller.account(), creation, since)? else {
        return Ok(None);
    };
    if first.content != creation.content {
        return Err(Error::Conflict {
            code: "idempotency_key_reused",
            message: "this Idempotency-Key was sent with other content in the last ten minutes: use a new one".into(),
        });
    }
    Ok(Some(first.object_id))
}
