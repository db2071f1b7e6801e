//! Renewals under way on this node: callers who want the same grant renewed wait for one renewal together.
//! It is a task of its own, so that no caller who goes away ends it: the provider may have taken the old
//! refresh token already.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keyfob_store::refresh::Holder;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Broker, Caller,
    renewal::{Need, Renewal},
};
use crate::error::Error;

/// So long a caller waits for a renewal; it goes on without them.
const PATIENCE: Duration = Duration::from_secs(25);
/// So long where the token that there is still lives: it is better than waiting for a provider that hangs.
const LITTLE_PATIENCE: Duration = Duration::from_secs(3);

type Landing = watch::Receiver<Option<Renewal>>;

/// The renewals under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Holder, Landing>>);

impl Flights {
    fn all(&self) -> MutexGuard<'_, HashMap<Holder, Landing>> {
        // Whoever panicked while holding it left a map that is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is under way at providers, whose answers must be stored before the database is closed.
#[derive(Default)]
pub(super) struct UnderWay {
    count: watch::Sender<usize>,
    is_stopping: AtomicBool,
}

/// One of them.
pub(super) struct Underway(watch::Sender<usize>);

impl UnderWay {
    fn begin(&self) -> Underway {
        self.count.send_modify(|count| *count += 1);
        Underway(self.count.clone())
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Makes room for the next renewal of a grant when this one has ended, in whatever way.
struct Place {
    broker: Broker,
    holder: Holder,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.broker.inner.flights.all().remove(&self.holder);
    }
}

impl Broker {
    /// Has a grant renewed as far as `need` says, or waits for the renewal that is under way; how it went. For a
    /// caller, [`Broker::renew_for`].
    pub(super) async fn keep_alive(&self, holder: &Holder, need: Need) -> Renewal {
        let patience = if matches!(need, Need::Soon) { LITTLE_PATIENCE } else { PATIENCE };
        let landed = async {
            loop {
                let renewal = self.fly(holder, need.clone()).await;
                // The job, whose flight it was, does not wait for another node. Whoever needs it does.
                if renewal != Renewal::Waiting || matches!(need, Need::Ahead) {
                    return renewal;
                }
            }
        };
        tokio::time::timeout(patience, landed).await.unwrap_or(Renewal::Waiting)
    }

    /// [`Broker::keep_alive`] for somebody who waits for it, and how the caller stands by then: the key may have
    /// been revoked meanwhile, or be given less, and whatever follows is to be decided with what it is given now.
    pub(super) async fn renew_for(
        &self,
        caller: &Caller,
        holder: &Holder,
        need: Need,
    ) -> Result<(Caller, Renewal), Error> {
        let renewal = self.keep_alive(holder, need).await;
        Ok((self.reauthenticate(caller).await?, renewal))
    }

    async fn fly(&self, holder: &Holder, need: Need) -> Renewal {
        let mut landing = self.board(holder, need);
        let landed = landing.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        landed.unwrap_or(Renewal::Stuck)
    }

    fn board(&self, holder: &Holder, need: Need) -> Landing {
        let mut flights = self.inner.flights.all();
        if let Some(landing) = flights.get(holder) {
            return landing.clone();
        }
        let (ended, landing) = watch::channel(None);
        flights.insert(holder.clone(), landing.clone());
        let place = Place { broker: self.clone(), holder: holder.clone() };
        self.spawn(async move {
            let renewal = place.broker.renew(&place.holder, &need).await;
            // Before it is told: whoever asks from now on begins anew.
            drop(place);
            let _ = ended.send(Some(renewal));
        });
        landing
    }

    /// How many renewals are under way on this node.
    #[must_use]
    pub fn renewals_under_way(&self) -> usize {
        self.inner.flights.all().len()
    }

    /// A task of its own for what must not end with its caller, and is waited for by a stop.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let underway = self.inner.under_way.begin();
        tokio::spawn(async move {
            let done = task.await;
            drop(underway);
            done
        })
    }

    /// Whether nothing is to be begun any more that nobody waits for.
    pub(super) fn is_stopping(&self) -> bool {
        self.inner.under_way.is_stopping.load(Ordering::Relaxed)
    }

    /// Begins nothing more at providers by itself, and waits until nothing is under way there, for as long as one
    /// request can take.
    pub async fn finish_requests(&self) {
        let under_way = &self.inner.under_way;
        under_way.is_stopping.store(true, Ordering::Relaxed);
        let mut count = under_way.count.subscribe();
        let finished = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(PATIENCE, finished).await.is_err() {
            tracing::warn!("stopping while a provider has not answered yet");
        }
    }
}
