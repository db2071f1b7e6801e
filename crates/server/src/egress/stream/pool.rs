//! Connections that are there already.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    connection::{Connection, Own, Shared, Stream},
    origin::{Key, Origin},
};

/// Unused connections of one origin.
const KEPT_PER_ORIGIN: usize = 64;
/// Unused connections of all origins together.
pub const KEPT: usize = 256;
/// How often it is looked what was not used for too long.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// An unused connection over HTTP/1.1 is kept for so many sweeps: less than servers keep theirs (five
/// seconds is the least that is common), so that one of them is seldom closed just when a request is
/// sent.
const OWN_SWEEPS: u32 = 4;
/// Over HTTP/2 a server says which requests it has not seen when it ends a connection.
const SHARED_SWEEPS: u32 = 60;

/// Connections that are there already, each for the origin only that it was made for.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    origins: HashMap<Key, Place>,
    /// How many unused connections over HTTP/1.1 there are.
    unused: usize,
    is_swept: bool,
}

/// What there is of one origin.
#[derive(Default)]
struct Place {
    /// The one that was used last is at the end, and used next.
    own: Vec<Kept<Own>>,
    shared: Vec<Kept<Shared>>,
    turn: Arc<Turn>,
    /// What it spoke the last time; requests need not wait for one another then.
    is_http1: bool,
}

struct Kept<T> {
    connection: T,
    unused_for: u32,
}

impl<T> Kept<T> {
    const fn new(connection: T) -> Self {
        Self { connection, unused_for: 0 }
    }
}

/// Whoever connects to an origin has it: the others wait whether the connection can be shared.
pub(super) type Turn = tokio::sync::Mutex<()>;

impl Place {
    fn take(&mut self) -> Option<(Connection, Stream)> {
        let kept = self.shared.iter_mut().find(|kept| kept.connection.is_ready())?;
        kept.unused_for = 0;
        let stream = kept.connection.stream();
        Some((Connection::Shared(kept.connection.clone()), stream))
    }

    fn is_empty(&self) -> bool {
        let is_awaited = Arc::strong_count(&self.turn) > 1;
        self.own.is_empty() && self.shared.is_empty() && !is_awaited
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that can take a request now; one of its own only, if the request wants that.
    pub(super) fn take(&self, key: &Key, wants_own: bool) -> Option<(Connection, Option<Stream>)> {
        let mut state = self.state();
        let State { origins, unused, .. } = &mut *state;
        let place = origins.get_mut(key)?;
        if !wants_own && let Some((connection, stream)) = place.take() {
            return Some((connection, Some(stream)));
        }
        while let Some(kept) = place.own.pop() {
            *unused -= 1;
            if kept.connection.is_ready() {
                return Some((Connection::Own(kept.connection), None));
            }
        }
        None
    }

    /// Whose turn it is to connect; `None` if nobody need wait for others.
    pub(super) fn turn(self: &Arc<Self>, key: &Key) -> Option<Arc<Turn>> {
        let mut state = self.state();
        self.sweep_from_now_on(&mut state);
        let place = state.origins.entry(key.clone()).or_default();
        (!place.is_http1).then(|| Arc::clone(&place.turn))
    }

    /// Notes that an origin speaks HTTP/1.1.
    pub(super) fn speaks_http1(&self, key: &Key) {
        if let Some(place) = self.state().origins.get_mut(key) {
            place.is_http1 = true;
        }
    }

    /// Keeps a connection that is unused again.
    pub(super) fn keep(self: &Arc<Self>, own: Own) {
        let mut state = self.state();
        self.sweep_from_now_on(&mut state);
        let State { origins, unused, .. } = &mut *state;
        let place = place(origins, own.origin());
        if *unused < KEPT && place.own.len() < KEPT_PER_ORIGIN {
            place.own.push(Kept::new(own));
            *unused += 1;
        }
    }

    /// Lets others share a connection; its first stream.
    pub(super) fn share(self: &Arc<Self>, shared: Shared) -> Stream {
        let mut state = self.state();
        self.sweep_from_now_on(&mut state);
        let stream = shared.stream();
        let place = place(&mut state.origins, shared.origin());
        place.is_http1 = false;
        place.shared.push(Kept::new(shared));
        stream
    }

    /// Drops what is left of an origin's connections that have ended.
    pub(super) fn forget_ended(&self, origin: &Origin) {
        let mut state = self.state();
        let State { origins, unused, .. } = &mut *state;
        if let Some(place) = origins.get_mut(&origin.key) {
            *unused -= place.own.extract_if(.., |kept| !kept.connection.is_ready()).count();
            place.shared.retain(|kept| !kept.connection.has_ended());
        }
    }

    /// Sees to it that sweeps go on while there is something to sweep.
    fn sweep_from_now_on(self: &Arc<Self>, state: &mut State) {
        if !state.is_swept {
            state.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Drops what was not used for too long; whether anything is left.
    fn sweep(&self) -> bool {
        let mut state = self.state();
        let State { origins, unused, is_swept } = &mut *state;
        *unused = 0;
        origins.retain(|_, place| {
            place.own.retain_mut(|kept| {
                kept.unused_for += 1;
                kept.unused_for < OWN_SWEEPS && kept.connection.is_ready()
            });
            place.shared.retain_mut(|kept| {
                let is_unused = kept.connection.is_unused();
                kept.unused_for = if is_unused { kept.unused_for + 1 } else { 0 };
                kept.unused_for < SHARED_SWEEPS && !kept.connection.has_ended()
            });
            *unused += place.own.len();
            !place.is_empty()
        });
        *is_swept = !origins.is_empty();
        *is_swept
    }
}

fn place<'a>(origins: &'a mut HashMap<Key, Place>, origin: &Origin) -> &'a mut Place {
    origins.entry(origin.key.clone()).or_default()
}

async fn sweep(pool: Weak<Pool>) {
    let mut due = interval(SWEEP_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep()) {
            return;
        }
    }
}
