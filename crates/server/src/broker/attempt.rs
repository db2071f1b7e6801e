//! Creates whose answers are on their way, and those whose answers could not be sent. Kept in memory, so
//! that it counts at once for the next create on this node; others read it from the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use keyfob_core::{
    id::{AccountId, KeyId},
    time::Timestamp,
};
use keyfob_store::creation::Creation;
use tokio::sync::watch;

/// An identical create within this of one whose answer could not be sent is that one sent again
/// (contract/contacts-and-secrets, section 11). Counted from when that became known.
pub(super) const SENT_AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// What became of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not there yet, or on its way.
    #[default]
    Open,
    /// Its last byte was handed to the operating system.
    Answered,
    /// Its connection ended before that; since then.
    Unanswered(Timestamp),
}

/// A create that came over a connection.
pub(crate) struct Attempt {
    pub(super) account: AccountId,
    key: Option<KeyId>,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    fate: Fate,
    /// What it made, or was answered with. It may not be committed yet, and may still be undone.
    made: Option<Creation>,
    /// Whether its unit of work waits or runs.
    is_queued: bool,
    /// The one whose fate this one has to know first.
    rival: Option<Arc<Attempt>>,
}

impl Attempt {
    pub(super) fn new(account: AccountId, key: Option<KeyId>) -> Self {
        Self { account, key, state: watch::Sender::default() }
    }

    fn fate(&self) -> Fate {
        self.state.borrow().fate
    }

    /// Since when its answer is known to be lost.
    pub(super) fn lost_at(&self) -> Option<Timestamp> {
        match self.fate() {
            Fate::Unanswered(at) => Some(at),
            Fate::Open | Fate::Answered => None,
        }
    }

    /// Ends when it is known what became of its answer, and what it made.
    pub(super) async fn decided(&self) {
        let is_decided = |state: &State| match state.fate {
            Fate::Open => false,
            Fate::Answered => true,
            Fate::Unanswered(_) => !state.is_queued,
        };
        // The sender lives as long as this future borrows it.
        let _ = self.state.subscribe().wait_for(is_decided).await;
    }

    /// The one that it has to wait for instead of making anything.
    pub(super) fn take_rival(&self) -> Option<Arc<Attempt>> {
        let mut rival = None;
        self.state.send_modify(|state| rival = state.rival.take());
        rival
    }
}

/// The creates that came over connections of this node.
#[derive(Default)]
pub(super) struct Attempts(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Those that are not answered yet, by what they make.
    open: HashMap<String, Arc<Attempt>>,
    /// What was made by those whose answers could not be sent lately, and when that became known.
    unanswered: HashMap<String, Timestamp>,
    /// Those whose answers were lost before their units ran, until these are done.
    early: Vec<Arc<Attempt>>,
}

/// A create in the writer's queue.
pub(super) struct Queued {
    attempts: Arc<Attempts>,
    pub(super) attempt: Arc<Attempt>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut known = self.attempts.known();
        known.early.retain(|early| !Arc::ptr_eq(early, &self.attempt));
        self.attempt.state.send_modify(|state| state.is_queued = false);
    }
}

/// What is known of the answer that told of an object.
pub(super) enum Answer {
    /// It was sent, or this node knows nothing of it.
    Sent,
    /// It is on its way.
    OnItsWay(Arc<Attempt>),
    /// It could not be sent; since then.
    Lost(Timestamp),
}

impl Attempts {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the attempt's unit is about to be queued. To be dropped with it.
    pub(super) fn queue(self: &Arc<Self>, attempt: &Arc<Attempt>) -> Queued {
        let _known = self.known();
        attempt.state.send_modify(|state| state.is_queued = true);
        Queued { attempts: Arc::clone(self), attempt: Arc::clone(attempt) }
    }

    /// A create by the same key whose answer was lost before its unit ran, and whose unit is not done. It
    /// may be the one that `attempt` repeats, and may run beside it.
    pub(super) fn overtaken_by(&self, attempt: &Attempt) -> Option<Arc<Attempt>> {
        let known = self.known();
        let is_same =
            |early: &&Arc<Attempt>| early.account == attempt.account && early.key == attempt.key;
        known.early.iter().find(is_same).filter(|_| attempt.lost_at().is_none()).cloned()
    }

    /// Notes what `attempt` makes now. When its answer was lost, if it already is.
    pub(super) fn make(&self, attempt: &Arc<Attempt>, makes: &Creation) -> Option<Timestamp> {
        self.note(attempt, makes, true)
    }

    /// Notes that `attempt` makes nothing: it is answered with what an earlier one made. When its answer
    /// was lost, if it already is.
    pub(super) fn repeat(&self, attempt: &Arc<Attempt>, first: &Creation) -> Option<Timestamp> {
        self.note(attempt, first, false)
    }

    fn note(&self, attempt: &Arc<Attempt>, made: &Creation, is_new: bool) -> Option<Timestamp> {
        let mut known = self.known();
        known.remove(attempt);
        attempt.state.send_modify(|state| {
            state.made = Some(made.clone());
            // A unit can be run again, and find no rival then.
            state.rival = None;
        });
        let object_id = made.object_id.clone();
        match attempt.fate() {
            Fate::Unanswered(at) => {
                known.lose(object_id, at);
                return Some(at);
            }
            Fate::Open if is_new => drop(known.open.insert(object_id, Arc::clone(attempt))),
            Fate::Open | Fate::Answered => {}
        }
        None
    }

    /// Notes that `attempt` makes nothing until the fate of `rival` is known.
    pub(super) fn await_rival(&self, attempt: &Attempt, rival: Arc<Attempt>) {
        self.known().remove(attempt);
        attempt.state.send_modify(|state| {
            state.made = None;
            state.rival = Some(rival);
        });
    }

    /// Notes what became of an attempt's answer; what was made, if it did not get that far.
    pub(super) fn decide(&self, attempt: &Arc<Attempt>, fate: Fate) -> Option<Creation> {
        let mut known = self.known();
        known.remove(attempt);
        attempt.state.send_modify(|state| state.fate = fate);
        let Fate::Unanswered(at) = fate else { return None };
        let (made, is_queued) = {
            let state = attempt.state.borrow();
            (state.made.clone(), state.is_queued)
        };
        if made.is_none() && is_queued {
            known.early.push(Arc::clone(attempt));
        }
        let made = made?;
        known.lose(made.object_id.clone(), at);
        Some(Creation { unanswered_at: Some(at), ..made })
    }

    /// What became of the answer that told of `object_id`.
    pub(super) fn answer_of(&self, object_id: &str) -> Answer {
        let known = self.known();
        match (known.unanswered.get(object_id), known.open.get(object_id)) {
            (Some(at), _) => Answer::Lost(*at),
            (None, Some(attempt)) => Answer::OnItsWay(Arc::clone(attempt)),
            (None, None) => Answer::Sent,
        }
    }
}

impl Known {
    /// Forgets what `attempt` was noted to make.
    fn remove(&mut self, attempt: &Attempt) {
        let state = attempt.state.borrow();
        let Some(made) = &state.made else { return };
        let open = self.open.get(&made.object_id);
        if open.is_some_and(|open| std::ptr::eq(&raw const **open, attempt)) {
            self.open.remove(&made.object_id);
        }
    }

    fn lose(&mut self, object_id: String, at: Timestamp) {
        let recent = at.minus(SENT_AGAIN_WITHIN);
        self.unanswered.retain(|_, lost| *lost >= recent);
        // Units do not end in the order in which connections do.
        let latest = self.unanswered.entry(object_id).or_insert(at);
        *latest = at.max(*latest);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn creation(object_id: &str) -> Creation {
        Creation {
            fingerprint: [1; 32],
            content: [1; 32],
            object_id: object_id.into(),
            created_at: Timestamp::from_seconds(1),
            unanswered_at: None,
        }
    }

    fn attempt() -> Arc<Attempt> {
        Arc::new(Attempt::new(AccountId::never(), None))
    }

    #[test]
    fn an_answer_that_is_lost_is_known_at_once_and_forgotten_after_ten_seconds() {
        let attempts = Attempts::default();
        for (object_id, seconds) in [("first", 100), ("second", 110), ("third", 111)] {
            let (attempt, at) = (attempt(), Timestamp::from_seconds(seconds));
            assert_eq!(attempts.make(&attempt, &creation(object_id)), None);
            assert!(matches!(attempts.answer_of(object_id), Answer::OnItsWay(_)));
            let lost = attempts.decide(&attempt, Fate::Unanswered(at));
            assert_eq!(lost.and_then(|lost| lost.unanswered_at), Some(at));
            assert!(matches!(attempts.answer_of(object_id), Answer::Lost(lost) if lost == at));
        }
        assert!(matches!(attempts.answer_of("first"), Answer::Sent));
        assert!(matches!(attempts.answer_of("second"), Answer::Lost(_)));
    }

    #[test]
    fn a_unit_that_is_run_again_makes_what_it_made_last() {
        let attempts = Attempts::default();
        let attempt = attempt();
        attempts.make(&attempt, &creation("undone"));
        attempts.make(&attempt, &creation("kept"));
        assert!(matches!(attempts.answer_of("undone"), Answer::Sent));
        assert!(matches!(attempts.answer_of("kept"), Answer::OnItsWay(_)));
        let at = Timestamp::from_seconds(100);
        attempts.decide(&attempt, Fate::Unanswered(at));
        assert_eq!(attempts.make(&attempt, &creation("kept in the end")), Some(at));
        assert!(matches!(attempts.answer_of("kept in the end"), Answer::Lost(_)));
        let late = self::attempt();
        attempts.decide(&late, Fate::Unanswered(Timestamp::from_seconds(99)));
        attempts.repeat(&late, &creation("kept in the end"));
        assert!(matches!(attempts.answer_of("kept in the end"), Answer::Lost(lost) if lost == at));
    }

    #[test]
    fn nothing_is_kept_of_what_was_answered() {
        let attempts = Attempts::default();
        let (first, repetition) = (attempt(), attempt());
        attempts.make(&first, &creation("object"));
        attempts.make(&repetition, &creation("never made"));
        attempts.repeat(&repetition, &creation("object"));
        attempts.decide(&repetition, Fate::Answered);
        assert!(matches!(attempts.answer_of("object"), Answer::OnItsWay(_)));
        attempts.decide(&first, Fate::Answered);
        let known = attempts.known();
        assert!(known.open.is_empty() && known.unanswered.is_empty() && known.early.is_empty());
    }

    #[test]
    fn one_that_is_lost_before_it_ran_is_waited_for_until_it_is_done() {
        let attempts = Arc::new(Attempts::default());
        let later = attempt();
        for runs in [true, false] {
            let first = attempt();
            let queued = attempts.queue(&first);
            assert!(attempts.overtaken_by(&later).is_none());
            attempts.decide(&first, Fate::Unanswered(Timestamp::from_seconds(100)));
            assert!(Arc::ptr_eq(&attempts.overtaken_by(&later).unwrap(), &first));
            assert!(attempts.overtaken_by(&first).is_none(), "nobody waits for it");
            let other = Attempt::new(AccountId::never(), Some(KeyId::never()));
            assert!(attempts.overtaken_by(&other).is_none());
            assert!(first.decided().now_or_never().is_none());
            if runs {
                attempts.make(&first, &creation("object"));
                assert!(first.decided().now_or_never().is_none(), "it is not committed");
            }
            drop(queued);
            assert!(first.decided().now_or_never().is_some());
            assert!(attempts.overtaken_by(&later).is_none());
        }
    }
}
