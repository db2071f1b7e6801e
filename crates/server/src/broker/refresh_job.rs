//! Renewing grants before anybody waits for it. Each provider is asked for a few of them at a time, and left
//! alone for a while when it does not answer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use keyfob_core::{random::shuffled, time::Timestamp};
use keyfob_store::refresh::{self, Refresh};

use super::{
    Broker,
    renewal::{Need, Renewal},
};
use crate::error::Error;

/// How many renewals of one provider each node has under way.
const AT_ONCE: usize = 8;
/// Grants that are looked up at a time. Nodes take them in different orders.
const SOME: u32 = 64;
/// Providers that are looked up at a time.
const HOSTS: u32 = 1_000;
/// After so many failures in a row a provider is left alone.
const PATIENCE: u32 = 8;
/// For so long, and twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The providers that are being asked, and those that are left alone.
#[derive(Default)]
pub(super) struct Hosts(Mutex<State>);

#[derive(Default)]
struct State {
    busy: HashSet<String>,
    paused: HashMap<String, Paused>,
}

struct Paused {
    until: Timestamp,
    times: u32,
}

impl Hosts {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it left a state that is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody asks this provider yet, and it may be asked at `now`. It counts as being asked then.
    fn take(&self, host: &str, now: Timestamp) -> bool {
        let mut state = self.state();
        let is_paused = state.paused.get(host).is_some_and(|paused| paused.until > now);
        !is_paused && state.busy.insert(host.to_owned())
    }

    fn give_back(&self, host: &str) {
        self.state().busy.remove(host);
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

/// Gives a provider back however asking it ended.
struct Asking {
    broker: Broker,
    host: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.broker.inner.hosts.give_back(&self.host);
    }
}

impl Broker {
    /// Begins to renew what is due, provider by provider; with how many of them. Does not wait.
    pub async fn renew_due(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let hosts = self.read(move |tx| Ok(refresh::due_hosts(tx, now, HOSTS)?));
        let mut begun = 0;
        for host in hosts.await? {
            if self.inner.hosts.take(&host, now) {
                begun += 1;
                let asking = Asking { broker: self.clone(), host };
                tokio::spawn(async move { asking.renew_all().await });
            }
        }
        Ok(begun)
    }
}

impl Asking {
    /// Renews what is due, until nothing is, or the provider does not answer.
    async fn renew_all(&self) {
        loop {
            match self.renew_some().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(host = self.host, %error, "grants could not be renewed");
                    return;
                }
            }
        }
    }

    /// Renews some of what is due; whether to go on.
    async fn renew_some(&self) -> Result<bool, Error> {
        let (now, host) = (self.broker.now()?, self.host.clone());
        let due = self.broker.read(move |tx| Ok(refresh::list_due(tx, &host, now, SOME)?));
        let due = shuffled(due.await?, &*self.broker.inner.random);
        let is_last = due.len() < SOME as usize;
        let mut renewals = futures_util::stream::iter(due)
            .map(|grant| self.renew(grant))
            .buffer_unordered(AT_ONCE);
        let mut failures = 0;
        while let Some(renewal) = renewals.next().await {
            match renewal {
                Renewal::Failed(_) => failures += 1,
                Renewal::Fresh | Renewal::Broken => {
                    failures = 0;
                    self.broker.inner.hosts.answers(&self.host);
                }
                Renewal::Nothing | Renewal::Waiting => {}
            }
            if failures >= PATIENCE {
                let pause = self.broker.inner.hosts.pause(&self.host, self.broker.now()?);
                tracing::warn!(host = self.host, ?pause, "a provider does not renew grants");
                return Ok(false);
            }
        }
        Ok(!is_last)
    }

    async fn renew(&self, grant: Refresh) -> Renewal {
        let renewal = self.broker.keep_alive(&grant.holder, Need::Ahead).await;
        if renewal == Renewal::Nothing {
            self.broker.forget_refresh(&grant).await;
        }
        renewal
    }
}

impl Broker {
    /// Forgets that a grant was to be kept alive that is gone, or that nothing renews any more.
    async fn forget_refresh(&self, grant: &Refresh) {
        let (broker, holder) = (self.clone(), grant.holder.clone());
        let forgotten = self.write(move |tx| {
            let now = broker.now()?;
            let held = broker.held(tx, &holder)?;
            if held.is_none_or(|held| !held.can_renew(now)) {
                refresh::end(tx, &holder)?;
            }
            Ok(tx.commit_unaudited(()))
        });
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "a grant that is gone could not be forgotten");
        }
    }
}
