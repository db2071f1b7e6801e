//! The one place where the benchmark reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time, here only")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, the time that codes are made from.
#[expect(
    clippy::disallowed_methods,
    reason = "waiting callers are sent off at a chosen moment of a real step"
)]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// Milliseconds that have passed since `start`.
pub(crate) fn ms_since(start: Instant) -> f64 {
    now().duration_since(start).as_secs_f64() * 1000.0
}
