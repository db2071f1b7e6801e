//! Asking for a code that a person types elsewhere (RFC 8628, section 3.1).

use std::time::Duration;

use keyfob_core::{
    oauth::{
        Form, Refused,
        device::{DeviceAuthorization, NoDeviceCode},
    },
    time::Timestamp,
};
use tokio::time::Instant;
use url::Url;

use super::TokenEndpoint;

/// Why there is no code.
#[derive(Debug)]
pub(crate) enum NoCode {
    /// The provider refused, in so many words.
    Refused(Refused),
    /// Nothing definite was heard; what went wrong, for people.
    Failed(String),
}

impl TokenEndpoint<'_> {
    /// Asks for a code at `url`, the provider's device authorization endpoint, as the client that asks for
    /// tokens here. While the provider does not know the client by one of its secrets, the next is tried.
    pub(crate) async fn ask_for_code(
        &self,
        url: &Url,
        form: &Form,
        now: impl Fn() -> Timestamp,
        limit: Duration,
    ) -> Result<DeviceAuthorization, NoCode> {
        let end = Instant::now() + limit;
        let last = self.client.attempts().saturating_sub(1);
        for attempt in 0.. {
            let left = end.saturating_duration_since(Instant::now());
            let sent = self.send(url, form, attempt, now(), left).await;
            let (answer, sent) = sent.map_err(|failure| NoCode::Failed(failure.problem))?;
            let content_type = answer.content_type.as_deref();
            match DeviceAuthorization::parse(answer.status, content_type, &answer.body) {
                Ok(code) => return Ok(code),
                Err(NoDeviceCode::Unclear(why)) => return Err(NoCode::Failed(why.into())),
                Err(NoDeviceCode::Refused(refused)) => {
                    if attempt >= last || !refused.is_unknown_client() {
                        return Err(NoCode::Refused(refused.without(&sent.values())));
                    }
                }
            }
        }
        unreachable!("it returns from the loop")
    }
}
