//! Background work at providers, whatever it is: each provider has a few requests at a time, all of them
//! together have a bound, and one that does not answer is left alone for a while.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use keyfob_core::{id::AccountId, random::shuffled, time::Timestamp};
use keyfob_store::{refresh::Refresh, revocation::Waiting};
use tokio::sync::Semaphore;

use super::Broker;
use crate::error::Error;

/// How many requests each node has under way at one provider.
const AT_ONCE: usize = 8;
/// How many requests background jobs have under way on a node in all.
pub const REQUESTS_OUT: usize = 256;
/// Rows that are looked up at a time. Nodes take them in different orders.
pub(super) const SOME: u32 = 64;
/// Providers that are looked up at a time.
pub(super) const HOSTS: u32 = 1_000;
/// After so many failures in a row a provider is left alone.
const PATIENCE: u32 = 8;
/// For so long, and twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Providers that are remembered as left alone: tenants choose their names.
const MOST_PAUSED: usize = 10_000;

/// The providers that are being asked, and those that are left alone. Clones are the same.
#[derive(Clone)]
pub(super) struct Hosts {
    state: Arc<Mutex<State>>,
    slots: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    /// The last provider that was looked up; empty before the first.
    after: String,
    busy: HashSet<String>,
    paused: HashMap<String, Paused>,
}

struct Paused {
    until: Timestamp,
    times: u32,
}

/// Something that is due at a provider.
pub(super) trait Due {
    /// Whose it is.
    fn account(&self) -> &AccountId;
}

impl Due for Refresh {
    fn account(&self) -> &AccountId {
        &self.holder.account
    }
}

impl Due for Waiting {
    fn account(&self) -> &AccountId {
        &self.account
    }
}

/// Failures in a row, and whose they are.
#[derive(Default)]
struct Failures {
    count: u32,
    accounts: HashSet<AccountId>,
}

impl Failures {
    fn add(&mut self, account: AccountId) {
        self.count += 1;
        self.accounts.insert(account);
    }

    /// The account that all of them are of, if there is one.
    fn only_account(&self) -> Option<AccountId> {
        let mut accounts = self.accounts.iter();
        accounts.next().filter(|_| accounts.next().is_none()).cloned()
    }
}

/// What came of asking a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answered, whatever it was.
    Answer,
    /// It did not, or cannot now.
    Silence,
    /// It was not asked.
    Nothing,
}

impl Hosts {
    /// Providers that are asked when there is one of `slots`, which several jobs may share.
    pub(super) fn new(slots: Arc<Semaphore>) -> Self {
        Self { state: Arc::default(), slots }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it left a state that is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Behind which provider the next ones are to be looked up: those in front must not hide the others,
    /// however many there are that cannot be asked now.
    pub(super) fn after(&self) -> String {
        self.state().after.clone()
    }

    /// Notes that `hosts` were looked up, up to [`HOSTS`]. After the last it begins with the first again.
    pub(super) fn looked_up(&self, hosts: &[String]) {
        let last = hosts.last().filter(|_| hosts.len() >= HOSTS as usize);
        self.state().after = last.cloned().unwrap_or_default();
    }

    /// The right to ask a provider, if nobody asks it yet and it may be asked at `now`.
    pub(super) fn take(&self, host: &str, now: Timestamp) -> Option<Asking> {
        let mut state = self.state();
        let is_paused = state.paused.get(host).is_some_and(|paused| paused.until > now);
        let is_free = !is_paused && state.busy.insert(host.to_owned());
        is_free.then(|| Asking { hosts: self.clone(), host: host.to_owned() })
    }

    /// Leaves a provider alone that has failed too often.
    fn pause(&self, host: &str, now: Timestamp) -> Duration {
        let mut state = self.state();
        state.paused.retain(|_, paused| paused.until.plus(LONGEST_PAUSE) > now);
        let times = state.paused.get(host).map_or(0, |paused| paused.times + 1);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_PAUSE);
        if state.paused.len() < MOST_PAUSED || state.paused.contains_key(host) {
            state.paused.insert(host.to_owned(), Paused { until: now.plus(pause), times });
        }
        pause
    }

    fn answers(&self, host: &str) {
        self.state().paused.remove(host);
    }
}

/// The right to ask a provider. It is given back however asking it ends.
pub(super) struct Asking {
    hosts: Hosts,
    pub(super) host: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.hosts.state().busy.remove(&self.host);
    }
}

impl Asking {
    /// Does what `due` lists, at most [`SOME`] at a time, until nothing is, or the provider does not answer.
    /// `has_others` says whether something is due there of other accounts than one.
    pub(super) async fn work<T, D, O, A>(
        &self,
        broker: &Broker,
        due: impl Fn() -> D,
        has_others: impl Fn(AccountId) -> O,
        ask: impl Fn(T) -> A,
    ) where
        T: Due,
        D: Future<Output = Result<Vec<T>, Error>>,
        O: Future<Output = Result<bool, Error>>,
        A: Future<Output = Heard>,
    {
        loop {
            match self.work_some(broker, due(), &has_others, &ask).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(host = self.host, %error, "what is due could not be done");
                    return;
                }
            }
        }
    }

    /// Does some of what is due; whether to go on.
    async fn work_some<T, O, A>(
        &self,
        broker: &Broker,
        due: impl Future<Output = Result<Vec<T>, Error>>,
        has_others: impl Fn(AccountId) -> O,
        ask: impl Fn(T) -> A,
    ) -> Result<bool, Error>
    where
        T: Due,
        O: Future<Output = Result<bool, Error>>,
        A: Future<Output = Heard>,
    {
        let due = shuffled(due.await?, &*broker.inner.random);
        let (is_last, mut is_stuck) = (due.len() < SOME as usize, true);
        let ask = |row: T| {
            let (account, asked) = (row.account().clone(), ask(row));
            async move {
                let slot = self.hosts.slots.acquire().await;
                let heard = asked.await;
                drop(slot);
                (account, heard)
            }
        };
        let mut heard = futures_util::stream::iter(due).map(ask).buffer_unordered(AT_ONCE);
        let mut failures = Failures::default();
        while let Some((account, heard)) = heard.next().await {
            is_stuck &= heard == Heard::Nothing;
            match heard {
                Heard::Silence => failures.add(account),
                Heard::Answer => {
                    failures = Failures::default();
                    self.hosts.answers(&self.host);
                }
                Heard::Nothing => {}
            }
            if failures.count < PATIENCE {
                continue;
            }
            // What one account configures can fail by itself. That must not hold up others.
            let is_ones_own = match failures.only_account() {
                Some(account) => has_others(account).await?,
                None => false,
            };
            if is_ones_own {
                failures.count = 0;
            } else {
                let pause = self.hosts.pause(&self.host, broker.now()?);
                tracing::warn!(host = self.host, ?pause, "a provider does not answer");
                return Ok(false);
            }
        }
        // Where nothing came of any of them the same would be looked up again, and at once.
        Ok(!is_last && !is_stuck && !broker.is_stopping())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(Arc::new(Semaphore::new(1)))
    }

    #[test]
    fn providers_are_looked_up_behind_the_last_ones_and_then_from_the_first() {
        let hosts = hosts();
        let many: Vec<_> = (0..HOSTS).map(|n| format!("{n:04}")).collect();
        hosts.looked_up(&many);
        assert_eq!(hosts.after(), "0999");
        hosts.looked_up(&many[..9]);
        assert_eq!(hosts.after(), "");
    }

    #[test]
    fn no_more_pauses_are_remembered_than_there_is_room_for_and_none_that_is_long_over() {
        let (hosts, now) = (hosts(), Timestamp::from_seconds(0));
        for n in 0..=MOST_PAUSED {
            hosts.pause(&n.to_string(), now);
        }
        assert_eq!(hosts.state().paused.len(), MOST_PAUSED);
        hosts.pause("later", now.plus(FIRST_PAUSE + LONGEST_PAUSE));
        assert_eq!(hosts.state().paused.len(), 1);
    }

    #[test]
    fn a_provider_is_taken_once_and_given_back() {
        let (hosts, now) = (hosts(), Timestamp::from_seconds(0));
        let taken = hosts.take("a", now);
        assert!(
            taken.is_some() && hosts.take("a", now).is_none() && hosts.take("b", now).is_some()
        );
        drop(taken);
        assert!(hosts.take("a", now).is_some());
    }

    #[test]
    fn a_provider_that_fails_is_left_alone_longer_each_time_until_it_answers() {
        let (hosts, now) = (hosts(), Timestamp::from_seconds(0));
        let pauses = || [0; 3].map(|_| hosts.pause("a", now).as_secs());
        assert_eq!(pauses(), [5, 10, 20]);
        assert!(hosts.take("a", Timestamp::from_seconds(19)).is_none());
        assert!(hosts.take("a", Timestamp::from_seconds(20)).is_some());
        hosts.answers("a");
        assert_eq!(pauses(), [5, 10, 20]);
    }
}
