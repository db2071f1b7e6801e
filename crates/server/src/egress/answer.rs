//! What a server answers.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use keyfob_core::time::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use zeroize::Zeroizing;

use super::error::{Reached, SendError};

/// The largest body that is read, in bytes: far more than any answer about a token has.
pub const LARGEST_BODY: usize = 256 * 1024;

/// What a server answered. Its `Debug` does not show the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, from 100 to 999. Redirects are not followed, but answered.
    pub status: u16,
    /// `Content-Type`, if it is ASCII.
    pub content_type: Option<String>,
    /// `Retry-After` (RFC 9110 10.2.3): how long to wait from now on, however long that is; zero for a
    /// date that is past.
    pub retry_after: Option<Duration>,
    /// The body, of [`LARGEST_BODY`] at the most.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, content_type, retry_after, body: _ } = self;
        let mut shown = f.debug_struct("Answer");
        shown.field("status", status).field("content_type", content_type);
        shown.field("retry_after", retry_after).finish_non_exhaustive()
    }
}

impl Answer {
    /// Reads an answer that has begun.
    pub(super) async fn read(
        mut response: reqwest::Response,
        now: Timestamp,
    ) -> Result<Self, SendError> {
        let status = response.status().as_u16();
        let content_type = text(response.headers(), &CONTENT_TYPE).map(str::to_owned);
        let retry_after = text(response.headers(), &RETRY_AFTER);
        let retry_after = retry_after.and_then(|text| parse_retry_after(text, now));
        let body = read_body(&mut response).await?;
        Ok(Self { status, content_type, retry_after, body })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads no further than the limit. The parts are put together in one allocation: a growing one
/// would leave copies behind that nothing overwrites.
async fn read_body(response: &mut reqwest::Response) -> Result<Zeroizing<Vec<u8>>, SendError> {
    let declared = response.content_length().unwrap_or(0);
    if usize::try_from(declared).map_or(true, |declared| declared > LARGEST_BODY) {
        return Err(SendError::TooLarge);
    }
    let (mut parts, mut size) = (Vec::new(), 0);
    while let Some(part) = chunk(response).await? {
        size += part.len();
        if size > LARGEST_BODY {
            return Err(SendError::TooLarge);
        }
        parts.push(part);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(size));
    for part in &parts {
        body.extend_from_slice(part);
    }
    Ok(body)
}

async fn chunk(response: &mut reqwest::Response) -> Result<Option<bytes::Bytes>, SendError> {
    response.chunk().await.map_err(|error| SendError::of(&error, Reached::Perhaps))
}

/// Seconds, or one of the three forms of a date in HTTP (RFC 9110 5.6.7).
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).plus(date).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        // 2026-04-05T12:00:00Z
        let now = Timestamp::from_seconds(1_775_390_400);
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 05 Apr 2026 12:01:30 GMT", Some(90)),
            ("Sunday, 05-Apr-26 12:00:01 GMT", Some(1)),
            ("Sun Apr  5 12:00:02 2026", Some(2)),
            ("Sun, 05 Apr 2026 11:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999999999999", None),
            ("2026-04-05T12:01:30Z", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(parse_retry_after(text, now), expected, "{text:?}");
        }
    }

    #[test]
    fn an_answer_does_not_show_its_body() {
        let body = Zeroizing::new(b"access_token".to_vec());
        let answer = Answer { status: 200, content_type: None, retry_after: None, body };
        assert!(!format!("{answer:?}").contains("97, 99"));
        assert!(!format!("{answer:?}").contains("access"));
    }
}
