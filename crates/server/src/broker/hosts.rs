//! Background work at providers, whatever it is: each provider has a few requests at a time, and is left
//! alone for a while when it does not answer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use keyfob_core::{random::shuffled, time::Timestamp};

use super::Broker;
use crate::error::Error;

/// How many requests each node has under way at one provider.
const AT_ONCE: usize = 8;
/// Rows that are looked up at a time. Nodes take them in different orders.
pub(super) const SOME: u32 = 64;
/// Providers that are looked up at a time.
pub(super) const HOSTS: u32 = 1_000;
/// After so many failures in a row a provider is left alone.
const PATIENCE: u32 = 8;
/// For so long, and twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The providers that are being asked, and those that are left alone. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Hosts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    busy: HashSet<String>,
    paused: HashMap<String, Paused>,
}

struct Paused {
    until: Timestamp,
    times: u32,
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
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it left a state that is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let times = state.paused.get(host).map_or(0, |paused| paused.times + 1);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_PAUSE);
        state.paused.insert(host.to_owned(), Paused { until: now.plus(pause), times });
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
    pub(super) async fn work<T, D, A>(
        &self,
        broker: &Broker,
        due: impl Fn() -> D,
        ask: impl Fn(T) -> A,
    ) where
        D: Future<Output = Result<Vec<T>, Error>>,
        A: Future<Output = Heard>,
    {
        loop {
            match self.work_some(broker, due(), &ask).await {
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
    async fn work_some<T, A>(
        &self,
        broker: &Broker,
        due: impl Future<Output = Result<Vec<T>, Error>>,
        ask: impl Fn(T) -> A,
    ) -> Result<bool, Error>
    where
        A: Future<Output = Heard>,
    {
        let due = shuffled(due.await?, &*broker.inner.random);
        let (is_last, mut is_stuck) = (due.len() < SOME as usize, true);
        let mut heard = futures_util::stream::iter(due).map(ask).buffer_unordered(AT_ONCE);
        let mut failures = 0;
        while let Some(heard) = heard.next().await {
            is_stuck &= heard == Heard::Nothing;
            match heard {
                Heard::Silence => failures += 1,
                Heard::Answer => {
                    failures = 0;
                    self.hosts.answers(&self.host);
                }
                Heard::Nothing => {}
            }
            if failures >= PATIENCE {
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

    #[test]
    fn a_provider_is_taken_once_and_given_back() {
        let (hosts, now) = (Hosts::default(), Timestamp::from_seconds(0));
        let taken = hosts.take("a", now);
        assert!(
            taken.is_some() && hosts.take("a", now).is_none() && hosts.take("b", now).is_some()
        );
        drop(taken);
        assert!(hosts.take("a", now).is_some());
    }

    #[test]
    fn a_provider_that_fails_is_left_alone_longer_each_time_until_it_answers() {
        let (hosts, now) = (Hosts::default(), Timestamp::from_seconds(0));
        let pauses = || [0; 3].map(|_| hosts.pause("a", now).as_secs());
        assert_eq!(pauses(), [5, 10, 20]);
        assert!(hosts.take("a", Timestamp::from_seconds(19)).is_none());
        assert!(hosts.take("a", Timestamp::from_seconds(20)).is_some());
        hosts.answers("a");
        assert_eq!(pauses(), [5, 10, 20]);
    }
}
