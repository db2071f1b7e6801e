//! A clock that only tests move.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use keyfob_core::time::Timestamp;
use keyfob_server::clock::{Clock, Wait};
use tokio::sync::watch;

/// 2026-04-05T12:00:00Z, where steps of 30, 60, 120 and 3600 seconds begin.
pub(crate) const START: i64 = 1_775_390_400;

/// Stands still until it is moved.
pub(crate) struct ManualClock {
    now: watch::Sender<Timestamp>,
    waiting: watch::Sender<usize>,
    /// Moves on by itself when it has been read so often.
    jump: Mutex<Option<(usize, Duration)>>,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self {
            now: watch::Sender::new(Timestamp::from_seconds(START)),
            waiting: watch::Sender::new(0),
            jump: Mutex::new(None),
        }
    }

    /// Moves the clock on by itself, just before it is read for the `read`th time from now on.
    pub(crate) fn advance_before(&self, read: usize, span: Duration) {
        *self.jump.lock().unwrap() = Some((read, span));
    }

    fn jump(&self) {
        let mut jump = self.jump.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((reads, span)) = &mut *jump {
            *reads -= 1;
            if *reads == 0 {
                self.advance(*span);
                *jump = None;
            }
        }
    }

    /// Moves the clock on, and ends the waits that this makes due.
    pub(crate) fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now = now.plus(span));
    }

    /// [`ManualClock::advance`] by whole seconds.
    pub(crate) fn advance_seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// Sets the clock, also back.
    pub(crate) fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }

    /// The time in unix seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.now.borrow().as_seconds()
    }

    /// Ends when exactly this many callers wait for the clock.
    pub(crate) async fn waiters(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        let reached = waiting.wait_for(|waiting| *waiting == count);
        let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
        let now = *self.waiting.borrow();
        assert!(reached.is_ok(), "{now} callers wait instead of {count}");
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.jump();
        *self.now.borrow()
    }

    fn wait_until(&self, at: Timestamp) -> Wait {
        let (mut now, waiting) = (self.now.subscribe(), self.waiting.clone());
        Box::pin(async move {
            if *now.borrow() >= at {
                return;
            }
            let counted = Counted::new(waiting);
            // The sender lives in the clock, which outlives the service.
            let _ = now.wait_for(|now| *now >= at).await;
            drop(counted);
        })
    }
}

/// One waiting caller, for as long as it lives.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(waiting: watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
