//! Renewals under way on this node: callers who want the same grant renewed wait for one renewal together.
//! It is a task of its own, so that no caller who goes away ends it: the provider may have taken the old
//! refresh token already.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use keyfob_store::refresh::Holder;
use tokio::sync::watch;

use super::{
    Broker,
    renewal::{Renewal, Wish},
};

/// So long a caller waits for a renewal; it goes on without them.
const PATIENCE: Duration = Duration::from_secs(25);

type Landing = watch::Receiver<Option<Renewal>>;

/// The renewals under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Holder, Landing>>);

impl Flights {
    fn all(&self) -> MutexGuard<'_, HashMap<Holder, Landing>> {
        // Whoever panicked while holding it left a map that is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn any(&self) -> Option<Landing> {
        self.all().values().next().cloned()
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
    /// Has a grant renewed as far as `wish` says, or waits for the renewal that is under way; how it went.
    pub(super) async fn keep_alive(&self, holder: &Holder, wish: Wish) -> Renewal {
        let landed = async {
            loop {
                let mut landing = self.board(holder, &wish);
                let ended = landing.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
                match ended {
                    // The background job does not wait for another node, but a caller does.
                    Some(Renewal::Waiting) if !matches!(wish, Wish::Ahead) => {}
                    ended => return ended.unwrap_or(Renewal::Waiting),
                }
            }
        };
        tokio::time::timeout(PATIENCE, landed).await.unwrap_or(Renewal::Waiting)
    }

    fn board(&self, holder: &Holder, wish: &Wish) -> Landing {
        let mut flights = self.inner.flights.all();
        if let Some(landing) = flights.get(holder) {
            return landing.clone();
        }
        let (ended, landing) = watch::channel(None);
        flights.insert(holder.clone(), landing.clone());
        let (place, wish) = (Place { broker: self.clone(), holder: holder.clone() }, wish.clone());
        tokio::spawn(async move {
            let renewal = place.broker.renew(&place.holder, &wish).await;
            // Before it is told: whoever asks from now on begins anew.
            drop(place);
            let _ = ended.send(Some(renewal));
        });
        landing
    }

    /// Waits until no renewal is under way, for as long as one can take.
    pub async fn finish_renewals(&self) {
        let landed = async {
            while let Some(mut landing) = self.inner.flights.any() {
                // An error means that it has ended as well.
                let _ = landing.wait_for(Option::is_some).await;
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, landed).await.is_err() {
            tracing::warn!("stopping while a provider has not answered yet");
        }
    }
}
