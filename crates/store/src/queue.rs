//! The queue in front of a thread that owns a connection.

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a job that nobody waits for may wait for company. Every commit makes the readers of
/// SQLite read their pages anew, so few and large ones are better.
const LINGER: Duration = Duration::from_millis(100);
/// So many of them are done at once, company or not: about twenty milliseconds of work.
const LATER_AT_ONCE: usize = 2048;

/// A job that nobody waits for is done sooner than this, unless the database hangs. Far below the second
/// within which audit events are promised to be stored.
const SOON: Duration = Duration::from_millis(500);

const LATER_PER_JOB: usize = 4;

/// Jobs wait here for a thread, in order. Those that nobody waits for wait apart, for company.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    filled: Condvar,
    limit: usize,
    /// How many jobs that nobody waits for the threads could not do yet.
    left: AtomicUsize,
}

struct State<J> {
    jobs: Vec<J>,
    later: Vec<J>,
    /// When the oldest of these was queued, at the latest.
    since: Option<Instant>,
    /// The threads that took some of these and are not done yet, with when the oldest was queued.
    flights: BTreeMap<u8, Instant>,
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
    /// An empty queue that holds at most `limit` jobs of each kind.
    pub(crate) const fn new(limit: usize) -> Self {
        let state = State {
            jobs: Vec::new(),
            later: Vec::new(),
            since: None,
            flights: BTreeMap::new(),
            idle: 0,
            closed: false,
        };
        let left = AtomicUsize::new(0);
        Self { state: Mutex::new(state), filled: Condvar::new(), limit, left }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        // Nothing panics while it holds the lock, and the state is valid at every step anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job that somebody waits for.
    pub(crate) fn push(&self, job: J) -> Result<(), Refused<J>> {
        self.push_to(job, |state| &mut state.jobs, |_| true)
    }

    /// Queues a job that nobody waits for, to be begun within [`LINGER`].
    pub(crate) fn push_later(&self, job: J) -> Result<(), Refused<J>> {
        fn later<J>(state: &mut State<J>) -> &mut Vec<J> {
            state.since.get_or_insert_with(now);
            &mut state.later
        }
        self.push_to(job, later, |queued| [1, LATER_AT_ONCE].contains(&queued))
    }

    fn push_to(
        &self,
        job: J,
        list: impl FnOnce(&mut State<J>) -> &mut Vec<J>,
        worth_waking: impl FnOnce(usize) -> bool,
    ) -> Result<(), Refused<J>> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed(job));
        }
        let list = list(&mut state);
        if list.len() >= self.limit {
            return Err(Refused::Full(job));
        }
        list.push(job);
        let wake = worth_waking(list.len()) && state.idle > 0;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for work, `at_most` so long if that is given, and takes up to `most` jobs, and before them
    /// up to four times as many that nobody waits for. `None`: closed and empty. Each thread has a
    /// number, and says when it is [`Queue::done`].
    pub(crate) fn take(
        &self,
        thread: u8,
        most: usize,
        at_most: Option<Duration>,
    ) -> Option<Vec<J>> {
        let until = at_most.map(|wait| now() + wait);
        let mut state = self.state();
        let mut timed_out = false;
        while state.jobs.is_empty()
            && state.later.len() < LATER_AT_ONCE
            && !state.closed
            && !timed_out
        {
            let linger = (!state.later.is_empty()).then_some(LINGER);
            let left = until.map(|until| until.saturating_duration_since(now()));
            state.idle += 1;
            (state, timed_out) = match linger.into_iter().chain(left).min() {
                None => (self.filled.wait(state).unwrap_or_else(PoisonError::into_inner), false),
                Some(wait) => {
                    let waited = self.filled.wait_timeout(state, wait);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    (state, timeout.timed_out())
                }
            };
            state.idle -= 1;
        }
        if state.closed && state.jobs.is_empty() && state.later.is_empty() {
            return None;
        }
        let rest = state.jobs.len().saturating_sub(most);
        let taken = state.jobs.len() - rest;
        let later = state.later.len().min(most * LATER_PER_JOB);
        if let Some(since) = state.since.filter(|_| later > 0) {
            state.flights.entry(thread).or_insert(since);
            state.since = (later < state.later.len()).then(now);
        }
        let mut jobs: Vec<_> = state.later.drain(..later).collect();
        jobs.extend(state.jobs.drain(..taken));
        let wake = rest > 0 && state.idle > 0;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Some(jobs)
    }

    /// How many jobs wait that somebody waits for.
    pub(crate) fn depth(&self) -> usize {
        self.state().jobs.len()
    }

    /// Whether more jobs that nobody waits for are queued than a thread does at once, or some could not
    /// be done yet, or a thread does not come back from them.
    pub(crate) fn is_behind(&self) -> bool {
        if self.left.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let state = self.state();
        let oldest = state.flights.values().chain(&state.since).min();
        let waited = oldest.map(|since| now().saturating_duration_since(*since));
        state.later.len() > LATER_AT_ONCE || waited.is_some_and(|waited| waited > SOON)
    }

    /// A thread has done what it took, or keeps it to try it again.
    pub(crate) fn done(&self, thread: u8) {
        self.state().flights.remove(&thread);
    }

    /// A thread that could not do `before` jobs has `after` of them left.
    pub(crate) fn note_left(&self, before: usize, after: usize) {
        self.left.fetch_add(after, Ordering::Relaxed);
        self.left.fetch_sub(before, Ordering::Relaxed);
    }

    /// Takes no more; what is queued is still done.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}

/// A monotonic clock for deadlines inside this process; nothing of it is ever stored.
#[expect(clippy::disallowed_methods, reason = "the one place where the store reads a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
