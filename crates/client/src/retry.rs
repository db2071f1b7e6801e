//! Whether a request is sent again, and when.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

use crate::Error;

/// So often a request is sent again, unless it is said otherwise.
pub(crate) const RETRIES: u32 = 3;
/// What is waited before it is sent again for the first time; doubled each time.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(250);
/// More is never waited of ourselves.
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// A server that asks for more than this is not asked again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Whether doing it twice may harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Twice is as good as once, or the server knows it again.
    Safe,
    /// It is sent again only where the server did not take it.
    Once,
}

/// How a request is sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) retries: u32,
    pub(crate) delay: Duration,
    pub(crate) after_timeout: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { retries: RETRIES, delay: RETRY_DELAY, after_timeout: true }
    }
}

/// How often a request has been sent.
pub(crate) struct Attempts {
    policy: Policy,
    replay: Replay,
    failed: u32,
}

impl Attempts {
    pub(crate) const fn new(policy: Policy, replay: Replay) -> Self {
        Self { policy, replay, failed: 0 }
    }

    /// How often it has failed.
    pub(crate) const fn failed(&self) -> u32 {
        self.failed
    }

    /// Waits until the request may be sent again; the error, if it may not.
    pub(crate) async fn again(&mut self, error: Error) -> Result<(), Error> {
        let Some(delay) = self.delay(&error, fastrand::f64()) else { return Err(error) };
        self.failed += 1;
        tracing::debug!(
            attempt = self.failed,
            delay_ms = delay.as_millis(),
            status = error.status().map(|status| status.as_u16()),
            "sending it again"
        );
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// What is waited before the next attempt, if there is one. `spread` is from 0 to 1, at random.
    fn delay(&self, error: &Error, spread: f64) -> Option<Duration> {
        if self.failed >= self.policy.retries || !self.may_help(error) {
            return None;
        }
        let doubled = self.policy.delay.saturating_mul(1 << self.failed.min(16));
        let own = doubled.min(LONGEST_DELAY).mul_f64(1.0 - spread / 4.0);
        let Some(after) = error.retry_after() else { return Some(own) };
        // Never earlier than it says, and not all at once.
        (after <= LONGEST_RETRY_AFTER).then(|| own.max(after.mul_f64(1.0 + spread / 4.0)))
    }

    fn may_help(&self, error: &Error) -> bool {
        let is_safe = self.replay == Replay::Safe;
        match error {
            Error::Refused(refusal) => refusal.should_retry.unwrap_or_else(|| {
                // Whoever says when, has not taken it.
                is_passing(refusal.status) && (is_safe || refusal.retry_after.is_some())
            }),
            Error::TimedOut(_) => self.policy.after_timeout && is_safe,
            Error::Transport(_) => is_safe || error.is_unsent(),
            _ => false,
        }
    }
}

/// Statuses of what may have passed in a moment.
const fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// What an answer says of when to ask again: `retry-after-ms`, or `Retry-After` (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let millis = number("retry-after-ms").and_then(|millis| duration(millis / 1000.0));
    let seconds = || number("retry-after").and_then(duration);
    let date = || until(text("retry-after")?, text(header::DATE.as_str()));
    millis.or_else(seconds).or_else(date)
}

/// Seconds, as a duration: what is longer than any is the longest.
fn duration(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// How far a date is ahead of the server's own, whatever this machine's clock says; of this one, if the server does
/// not say its own.
fn until(date: &str, now: Option<&str>) -> Option<Duration> {
    let parse = |text| httpdate::parse_http_date(text).ok();
    let date: SystemTime = parse(date)?;
    let now = now.and_then(parse).unwrap_or_else(clock);
    Some(date.duration_since(now).unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "there is no other clock to hold a date against")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// `x-should-retry`, which says it outright.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    fn refused(status: u16, after: Option<u64>, should_retry: Option<bool>) -> Error {
        Error::Refused(Box::new(Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            code: "CODE".into(),
            message: "message".into(),
            request_id: None,
            url: None,
            location: None,
            retry_after: after.map(Duration::from_secs),
            should_retry,
        }))
    }

    fn delay(error: &Error, replay: Replay, failed: u32, spread: f64) -> Option<u128> {
        let attempts = Attempts { policy: Policy::default(), replay, failed };
        attempts.delay(error, spread).map(|delay| delay.as_millis())
    }

    #[test]
    fn waits_double_up_to_a_limit_and_are_spread_downwards() {
        let error = refused(503, None, None);
        let waits = |spread| [0, 1, 2, 3].map(|failed| delay(&error, Replay::Safe, failed, spread));
        assert_eq!(waits(0.0), [Some(250), Some(500), Some(1000), None]);
        assert_eq!(waits(1.0), [Some(187), Some(375), Some(750), None]);
        let policy = Policy { retries: 100, ..Policy::default() };
        let attempts = Attempts { policy, replay: Replay::Safe, failed: 99 };
        assert_eq!(attempts.delay(&error, 0.0), Some(LONGEST_DELAY));
    }

    #[test]
    fn what_the_server_says_of_the_wait_counts_up_to_a_minute_and_is_never_shortened() {
        let wait = |after| delay(&refused(429, Some(after), None), Replay::Safe, 0, 0.0);
        assert_eq!((wait(7), wait(60), wait(61)), (Some(7000), Some(60_000), None));
        // No server means that it wants to be asked without a pause.
        assert_eq!(wait(0), Some(250));
        let spread = delay(&refused(429, Some(4), None), Replay::Safe, 0, 1.0);
        assert_eq!(spread, Some(5000));
    }

    #[test]
    fn what_the_server_says_of_retrying_counts_more_than_its_status() {
        let may =
            |status, should| delay(&refused(status, None, should), Replay::Safe, 0, 0.0).is_some();
        assert!(may(409, Some(true)) && may(503, None) && may(408, None));
        assert!(!may(503, Some(false)) && !may(409, None) && !may(404, None));
    }

    #[test]
    fn what_may_harm_twice_is_sent_again_only_where_the_server_did_not_take_it() {
        let once = |error: &Error| delay(error, Replay::Once, 0, 0.0).is_some();
        let broken = || Error::Transport("reset".into());
        assert!(!once(&broken()) && !once(&Error::TimedOut(Duration::ZERO)));
        assert!(!once(&refused(502, None, None)) && !once(&refused(500, None, None)));
        assert!(once(&refused(429, Some(1), None)) && once(&refused(502, None, Some(true))));
        assert!(delay(&broken(), Replay::Safe, 0, 0.0).is_some());
    }

    #[test]
    fn waits_are_read_in_every_form_and_dates_against_the_servers_own_clock() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            retry_after(&headers.collect()).map(|after| after.as_millis())
        };
        let now = ("date", "Thu, 26 Nov 2026 12:00:00 GMT");
        assert_eq!(read(&[("retry-after-ms", "120.5"), ("retry-after", "9")]), Some(120));
        assert_eq!(read(&[("retry-after", "1.5")]), Some(1500));
        assert_eq!(read(&[("retry-after", "Thu, 26 Nov 2026 12:00:03 GMT"), now]), Some(3000));
        assert_eq!(read(&[("retry-after", "Thu, 26 Nov 2026 11:00:00 GMT"), now]), Some(0));
        assert_eq!(read(&[("retry-after", "Thu, 26 Nov 2020 12:00:03 GMT")]), Some(0));
        let far = read(&[("retry-after", "Thu, 26 Nov 2099 12:00:03 GMT")]);
        assert!(far.is_some_and(|far| far > LONGEST_RETRY_AFTER.as_millis()), "{far:?}");
        assert_eq!(read(&[("retry-after-ms", "-1"), ("retry-after", "9")]), Some(9000));
        assert_eq!(read(&[("retry-after", "soon"), now]), None);
        assert_eq!(read(&[("retry-after", "-1")]), None);
        assert_eq!(read(&[("retry-after", "1e300")]), Some(Duration::MAX.as_millis()));
        assert_eq!(read(&[]), None);
    }
}
