//! The queue in front of a thread that owns a connection.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::event::Event;

/// How long an event that nobody waits for may wait for company before it is written.
const LINGER: Duration = Duration::from_millis(100);
/// So many waiting events are written at once, company or not.
const EVENTS_AT_ONCE: usize = 1024;

/// Jobs wait here for a thread, in order; events may wait beside them without anyone waiting.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    filled: Condvar,
    limit: usize,
}

struct State<J> {
    jobs: Vec<J>,
    events: Vec<Event>,
    /// Threads that found nothing to do.
    idle: usize,
    closed: bool,
}

/// The queue is full or closed; the job comes back.
pub(crate) enum Refused<J> {
    Full(J),
    Closed(J),
}

impl<J> Queue<J> {
    /// An empty queue that holds at most `limit` jobs, and as many events.
    pub(crate) const fn new(limit: usize) -> Self {
        let state = State {
            jobs: Vec::new(),
            events: Vec::new(),
            idle: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            limit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        // Nothing panics while it holds the lock, and the state is valid at every step anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, job: J) -> Result<(), Refused<J>> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed(job));
        }
        if state.jobs.len() >= self.limit {
            return Err(Refused::Full(job));
        }
        state.jobs.push(job);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Leaves an event to be written within [`LINGER`].
    pub(crate) fn push_event(&self, event: Event) -> Result<(), Refused<Event>> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed(event));
        }
        if state.events.len() >= self.limit {
            return Err(Refused::Full(event));
        }
        state.events.push(event);
        let wake = state.idle > 0 && [1, EVENTS_AT_ONCE].contains(&state.events.len());
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for work and takes up to `most` jobs and all events. `None`: closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<(Vec<J>, Vec<Event>)> {
        let mut state = self.state();
        let mut lingered = false;
        while state.jobs.is_empty() && state.events.len() < EVENTS_AT_ONCE && !lingered {
            if state.closed {
                break;
            }
            state.idle += 1;
            if state.events.is_empty() {
                state = self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            } else {
                let waited = self.filled.wait_timeout(state, LINGER);
                let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = guard;
                lingered = timeout.timed_out();
            }
            state.idle -= 1;
        }
        if state.jobs.is_empty() && state.events.is_empty() {
            return state
                .closed
                .then_some(())
                .map_or_else(|| Some((vec![], vec![])), |()| None);
        }
        let events = std::mem::take(&mut state.events);
        let jobs = if state.jobs.len() <= most {
            std::mem::take(&mut state.jobs)
        } else {
            state.jobs.drain(..most).collect()
        };
        let rest = !state.jobs.is_empty() && state.idle > 0;
        drop(state);
        if rest {
            self.filled.notify_one();
        }
        Some((jobs, events))
    }

    /// How many jobs wait.
    pub(crate) fn depth(&self) -> usize {
        self.state().jobs.len()
    }

    /// Takes no more; what is queued is still done.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}

/// A monotonic clock for deadlines inside this process; nothing of it is ever stored.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the store reads a clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
