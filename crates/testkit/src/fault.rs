//! What can go wrong between a client and a provider.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::seconds;

/// One way to fail. In JSON, `kind` names it: `{"kind":"lostAnswer"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// Nothing goes wrong: lets a request pass before the next fault's turn.
    Pass,
    /// The provider takes its time before it looks at the request. It goes on if the caller hangs up meanwhile.
    DelayBefore {
        /// How long, in real time.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// The request is done, and the answer takes its time.
    DelayAfter {
        /// How long, in real time.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// As `DelayBefore`, until the test lets go (`Provider::release`).
    HoldBefore,
    /// As `DelayAfter`, until the test lets go (`Provider::release`).
    HoldAfter,
    /// The connection breaks before the provider looks at the request.
    DropBefore,
    /// The request is done, and the connection breaks before the answer.
    LostAnswer,
    /// The request is done, and the connection breaks after half of the answer's body.
    Truncate,
    /// The request is done, and the body of the answer comes in small pieces.
    SlowDrip {
        /// How large each piece is.
        bytes: usize,
        /// How long each piece keeps waiting, in real time.
        #[serde(with = "seconds")]
        pause: Duration,
    },
    /// A JSON object that is far too large, with status 200, instead of the answer. The request is not looked at.
    HugeBody {
        /// How large, at the least.
        bytes: u64,
    },
    /// Another answer instead of the provider's.
    Answer(Answer),
}

/// An answer that is not the provider's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Its status, 200 to 599. With any other, or with a header that HTTP cannot send, the connection breaks instead.
    pub status: u16,
    /// Its headers, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body.
    #[serde(default)]
    pub body: String,
    /// Whether the request is done all the same before this is answered.
    #[serde(default)]
    pub processed: bool,
}

impl Answer {
    /// Says what HTTP cannot send of it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(200..=599).contains(&self.status) {
            return Err(format!("{} is no status of an answer: give 200 to 599", self.status));
        }
        for (name, value) in &self.headers {
            let good = HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
            if !good {
                return Err(format!("the header {name} cannot be sent as it is"));
            }
        }
        Ok(())
    }
}

impl Fault {
    /// Status `status` with a body of this type.
    #[must_use]
    pub fn status(status: u16, content_type: &str, body: &str) -> Self {
        let headers = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
        Self::Answer(Answer { status, headers, body: body.to_owned(), processed: false })
    }

    /// 500 with a text.
    #[must_use]
    pub fn internal_error() -> Self {
        Self::status(500, "text/plain", "Internal Server Error")
    }

    /// 502 with a page, as a load balancer shows it.
    #[must_use]
    pub fn bad_gateway() -> Self {
        Self::status(502, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>")
    }

    /// 503 with `Retry-After`, in whole seconds.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::status(503, "text/plain", "Service Unavailable").retry_after(retry_after)
    }

    /// 429 with `Retry-After`, in whole seconds.
    #[must_use]
    pub fn too_many_requests(retry_after: Duration) -> Self {
        let body = r#"{"error":"rate_limited"}"#;
        Self::status(429, "application/json", body).retry_after(retry_after)
    }

    /// 400 `invalid_grant` for a grant that is as valid as before.
    #[must_use]
    pub fn false_invalid_grant() -> Self {
        Self::status(400, "application/json", r#"{"error":"invalid_grant"}"#)
    }

    /// 401 `invalid_client` for a client that is right.
    #[must_use]
    pub fn invalid_client() -> Self {
        Self::status(401, "application/json", r#"{"error":"invalid_client"}"#)
    }

    /// 200 with JSON that ends too early, complete for HTTP.
    #[must_use]
    pub fn malformed_json() -> Self {
        Self::status(200, "application/json", r#"{"access_token":"#)
    }

    /// 200 with no body.
    #[must_use]
    pub fn empty() -> Self {
        Self::status(200, "application/json", "")
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        Self::Answer(Answer { status: 204, ..Answer::default() })
    }

    /// 302 to another address.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let headers = BTreeMap::from([("location".to_owned(), location.to_owned())]);
        Self::Answer(Answer { status: 302, headers, ..Answer::default() })
    }

    /// The same answer, after the request was done. Other faults stay as they are.
    #[must_use]
    pub fn after_processing(self) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(Answer { processed: true, ..answer }),
            other => other,
        }
    }

    /// Whether the provider looks at the request at all.
    pub(crate) const fn processes(&self) -> bool {
        match self {
            Self::DropBefore | Self::HugeBody { .. } => false,
            Self::Answer(answer) => answer.processed,
            _ => true,
        }
    }

    fn retry_after(self, after: Duration) -> Self {
        let Self::Answer(mut answer) = self else { return self };
        answer.headers.insert("retry-after".to_owned(), after.as_secs().to_string());
        Self::Answer(answer)
    }
}
