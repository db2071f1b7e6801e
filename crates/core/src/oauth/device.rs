//! The device authorization grant (RFC 8628): a person types a short code somewhere else.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{Refused, TokenAnswer, Tokens, document::Document, endpoint::is_endpoint};

/// How long to wait between polls where the answer does not say (section 3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// How much longer after `slow_down` (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// Nobody waits longer than this between polls, whatever an answer says.
const LONGEST_INTERVAL: Duration = Duration::from_mins(1);
/// How long a code lives where the answer does not say, though it must.
const DEFAULT_LIFE: Duration = Duration::from_mins(5);
/// The longest code that a person is asked to type, in characters.
const LONGEST_USER_CODE: usize = 64;

/// What the device authorization endpoint answers.
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// What the tokens are asked for with.
    pub device_code: SecretString,
    /// What the person types: 1 to 64 visible ASCII characters.
    pub user_code: String,
    /// Where.
    pub verification_uri: Url,
    /// The same with the code in it.
    pub verification_uri_complete: Option<Url>,
    /// How long both codes live.
    pub expires_in: Duration,
    /// How long to wait between polls; a minute at the most.
    pub interval: Duration,
}

/// Why there is no code to type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDeviceCode {
    /// The provider refuses.
    #[error(transparent)]
    Refused(Refused),
    /// The answer means nothing, and why.
    #[error("{0}")]
    Unclear(&'static str),
}

impl DeviceAuthorization {
    /// Reads the answer of a device authorization endpoint.
    pub fn parse(
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Self, NoDeviceCode> {
        let unclear = |why| move || NoDeviceCode::Unclear(why);
        let is_failure = (400..=499).contains(&status) && status != 429;
        if !is_failure && !(200..=299).contains(&status) {
            return Err(NoDeviceCode::Unclear("the provider has a fault, or wants fewer requests"));
        }
        let answer = Document::read(content_type, body)
            .ok_or_else(unclear("the provider's answer is neither JSON nor a form"))?;
        let answer = answer.fields();
        if let Some(refused) = Refused::read(answer, is_failure) {
            return Err(NoDeviceCode::Refused(refused));
        }
        let url = |name| answer.text(name).and_then(|url| Url::parse(url).ok()).filter(is_endpoint);
        let is_typed = |code: &&str| {
            code.len() <= LONGEST_USER_CODE && code.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let user_code = answer.text("user_code").filter(is_typed);
        // Google says `verification_url`.
        let place = url("verification_uri").or_else(|| url("verification_url"));
        Ok(Self {
            device_code: answer
                .secret("device_code")
                .ok_or_else(unclear("the provider's answer has no device code"))?,
            user_code: user_code
                .ok_or_else(unclear("the provider's answer has no code that can be typed"))?
                .to_owned(),
            verification_uri: place.ok_or_else(unclear(
                "the provider's answer has no https page to type the code at",
            ))?,
            verification_uri_complete: url("verification_uri_complete"),
            expires_in: answer.lifetime("expires_in").unwrap_or(DEFAULT_LIFE),
            interval: answer
                .lifetime("interval")
                .map_or(DEFAULT_INTERVAL, |interval| interval.min(LONGEST_INTERVAL)),
        })
    }
}

/// What a poll of the token endpoint says.
#[derive(Clone, Debug)]
pub enum Poll {
    /// The person has agreed.
    Tokens(Tokens),
    /// The person has not decided yet.
    Pending,
    /// Nor yet, and the polls come too often: see [`slower`].
    SlowDown,
    /// The person has refused.
    Denied,
    /// The code has ended, or was used.
    Expired,
    /// The provider refuses for another reason.
    Refused(Refused),
    /// Nothing is known: ask again, later.
    Unclear(&'static str),
}

impl From<TokenAnswer> for Poll {
    fn from(answer: TokenAnswer) -> Self {
        match answer {
            TokenAnswer::Tokens(tokens) => Self::Tokens(tokens),
            TokenAnswer::Unclear(why) => Self::Unclear(why),
            TokenAnswer::Refused(refused) => match refused.code.as_str() {
                "authorization_pending" => Self::Pending,
                "slow_down" => Self::SlowDown,
                // Microsoft says `authorization_declined`.
                "access_denied" | "authorization_declined" => Self::Denied,
                "expired_token" | "token_expired" => Self::Expired,
                _ if refused.is_dead_grant() => Self::Expired,
                _ => Self::Refused(refused),
            },
        }
    }
}

/// How long to wait between polls from a `slow_down` on (section 3.5); a minute at the most.
#[must_use]
pub fn slower(interval: Duration) -> Duration {
    interval.saturating_add(SLOWER).min(LONGEST_INTERVAL)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(body: &str) -> Result<DeviceAuthorization, NoDeviceCode> {
        DeviceAuthorization::parse(200, None, body.as_bytes())
    }

    #[test]
    fn the_answer_of_the_rfc_is_read() {
        let read = parse(
            r#"{"device_code":"CANARY","user_code":"WDJB-MJHT","interval":7,"expires_in":1800,
            "verification_uri":"https://example.com/device",
            "verification_uri_complete":"https://example.com/device?user_code=WDJB-MJHT"}"#,
        );
        let read = read.unwrap();
        assert_eq!(read.device_code.expose_secret(), "CANARY");
        assert_eq!(read.user_code, "WDJB-MJHT");
        assert_eq!(read.verification_uri.as_str(), "https://example.com/device");
        assert!(read.verification_uri_complete.is_some());
        assert_eq!(
            (read.expires_in, read.interval),
            (Duration::from_mins(30), Duration::from_secs(7))
        );
        assert!(!format!("{read:?}").contains("CANARY"));
    }

    #[test]
    fn githubs_form_and_googles_name_are_read_with_the_defaults() {
        let form =
            "device_code=d&user_code=AB&verification_url=https%3A%2F%2Fgoogle.example%2Fdevice";
        let read = parse(form).unwrap();
        assert_eq!(read.verification_uri.as_str(), "https://google.example/device");
        assert_eq!((read.expires_in, read.interval), (DEFAULT_LIFE, DEFAULT_INTERVAL));
    }

    #[test]
    fn an_answer_that_nobody_can_act_on_is_refused() {
        let place = "https://example.com";
        for (device, user, place) in [
            ("", "AB", place),
            ("d", "", place),
            ("d", "a b", place),
            ("d", "AB", "http://example.com"),
            ("d", "AB", "javascript:alert(1)"),
        ] {
            let body = format!(
                r#"{{"device_code":"{device}","user_code":"{user}","verification_uri":"{place}"}}"#
            );
            assert!(matches!(parse(&body), Err(NoDeviceCode::Unclear(_))), "{body}");
        }
        let refused = DeviceAuthorization::parse(400, None, b"{\"error\":\"invalid_scope\"}");
        assert!(matches!(refused, Err(NoDeviceCode::Refused(_))));
        let fault = DeviceAuthorization::parse(503, None, b"{\"error\":\"invalid_scope\"}");
        assert!(matches!(fault, Err(NoDeviceCode::Unclear(_))));
    }

    #[test]
    fn a_poll_says_whether_to_wait_to_slow_down_or_to_stop() {
        let poll = |status, code: &str| {
            let body = format!(r#"{{"error":"{code}"}}"#);
            Poll::from(TokenAnswer::parse(status, None, body.as_bytes()))
        };
        // Google answers 428 and 403, GitHub 200.
        assert!(matches!(poll(428, "authorization_pending"), Poll::Pending));
        assert!(matches!(poll(403, "slow_down"), Poll::SlowDown));
        assert!(matches!(poll(200, "access_denied"), Poll::Denied));
        assert!(matches!(poll(400, "expired_token"), Poll::Expired));
        assert!(matches!(poll(400, "invalid_grant"), Poll::Expired));
        assert!(matches!(poll(400, "invalid_client"), Poll::Refused(_)));
        assert!(matches!(poll(503, "access_denied"), Poll::Unclear(_)));
        assert!(matches!(TokenAnswer::parse(200, None, b"access_token=a").into(), Poll::Tokens(_)));
    }

    #[test]
    fn slowing_down_adds_five_seconds_to_a_minute_at_the_most() {
        assert_eq!(slower(DEFAULT_INTERVAL), Duration::from_secs(10));
        assert_eq!(slower(Duration::MAX), LONGEST_INTERVAL);
    }
}
