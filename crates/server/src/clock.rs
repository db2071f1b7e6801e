//! Time: the service reads it, and waits for it, through a [`Clock`] only.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use keyfob_core::time::Timestamp;

/// A wait for a moment.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits for it. Tests pass one that they move by hand.
pub trait Clock: Send + Sync {
    /// The time, which may be wrong, and even before 1970.
    fn now(&self) -> Timestamp;

    /// Ends at `at` by this clock, or at once if that is past. Holds no thread.
    fn wait_until(&self, at: Timestamp) -> Wait;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The longest sleep before the clock is read again: it may have been set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(match since {
            Ok(after) => millis(after),
            Err(before) => millis(before.duration()).saturating_neg().saturating_sub(1),
        })
    }

    fn wait_until(&self, at: Timestamp) -> Wait {
        Box::pin(async move {
            loop {
                let left = at.since(Self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        })
    }
}
