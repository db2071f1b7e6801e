//! Requests to a token endpoint (RFC 6749, section 3.2).

use std::time::Duration;

use keyfob_core::{
    oauth::{Client, Form, Refused, TokenAnswer, Tokens},
    random::Random,
    time::Timestamp,
};
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

use super::endpoint::{Endpoint, Lost};
use crate::egress::{self, Egress, SendError};

/// What became of a request for tokens.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The provider granted it.
    Tokens(Tokens),
    /// The provider refused it, in so many words.
    Refused(Refused),
    /// Nothing definite was heard.
    Failed(Failure),
}

/// Why nothing definite was heard.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong, for people; without a secret.
    pub(crate) problem: String,
    /// When the provider wants to be asked again, if it says so.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the provider may have done what it was asked for all the same.
    pub(crate) may_be_done: bool,
    /// Whether it is the provider that is away, for whoever asks.
    pub(crate) is_outage: bool,
}

impl Failure {
    /// Nothing was sent.
    pub(crate) const fn not_sent(problem: String) -> Self {
        Self { problem, retry_after: None, may_be_done: false, is_outage: false }
    }
}

/// Where a provider gives tokens, and who asks for them there.
pub(crate) struct TokenEndpoint<'a> {
    /// The way out.
    pub(crate) egress: &'a Egress,
    /// The token endpoint.
    pub(crate) url: &'a Url,
    /// The client.
    pub(crate) client: &'a Client,
    /// Where nonces come from.
    pub(crate) random: &'a dyn Random,
}

impl TokenEndpoint<'_> {
    /// Asks for tokens. While the provider does not know the client by one of its secrets, the next is tried:
    /// such a request changes nothing there. All of it ends within `limit`.
    pub(crate) async fn ask(
        &self,
        form: &Form,
        now: impl Fn() -> Timestamp,
        limit: Duration,
    ) -> Answer {
        let end = Instant::now() + limit;
        let last = self.client.attempts().saturating_sub(1);
        let mut attempt = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let answer = self.ask_once(form, attempt, now(), left).await;
            match &answer {
                Answer::Refused(refused) if refused.is_unknown_client() && attempt < last => {
                    attempt += 1;
                }
                _ => return answer,
            }
        }
    }

    async fn ask_once(
        &self,
        form: &Form,
        attempt: usize,
        now: Timestamp,
        limit: Duration,
    ) -> Answer {
        match self.send(self.url, form, attempt, now, limit).await {
            Ok((answer, sent)) => read(&answer, &self.sent(&sent)),
            Err(failure) => Answer::Failed(failure),
        }
    }

    /// Sends a form to one of the provider's endpoints, with the client's proof of the number `attempt`; the
    /// answer, and what was sent. A proof that is signed is for the token endpoint, which is what providers
    /// expect everywhere (RFC 8628, section 3.1; RFC 7523, section 3).
    pub(super) async fn send(
        &self,
        to: &Url,
        form: &Form,
        attempt: usize,
        now: Timestamp,
        limit: Duration,
    ) -> Result<(egress::Answer, Form), Failure> {
        let Self { egress, url, client, random } = *self;
        let endpoint = Endpoint { egress, url: to, audience: url, client, random };
        let answered = endpoint.post(form, attempt, now, limit).await;
        answered.map_err(|lost| match lost {
            Lost::NoProof(problem) => Failure::not_sent(problem),
            Lost::NotAnswered(error) => failed(&error),
        })
    }
}

impl TokenEndpoint<'_> {
    /// All that no answer may repeat: what was sent, in the form and in the header.
    pub(super) fn sent<'a>(&'a self, form: &'a Form) -> Vec<&'a SecretString> {
        form.values().into_iter().chain(&self.client.secrets).collect()
    }
}

/// What a provider said when it refused, for people, as far as it can be repeated.
pub(crate) fn refusal(refused: &Refused) -> String {
    match &refused.description {
        Some(description) => format!("{refused} ({description})"),
        None => refused.to_string(),
    }
}

/// What an answer means. What it says in words repeats nothing of what was sent.
fn read(answer: &egress::Answer, sent: &[&SecretString]) -> Answer {
    let egress::Answer { status, content_type, retry_after, body } = answer;
    match TokenAnswer::parse(*status, content_type.as_deref(), body) {
        TokenAnswer::Tokens(tokens) => Answer::Tokens(tokens),
        TokenAnswer::Refused(refused) => Answer::Refused(refused.without(sent)),
        TokenAnswer::Unclear(why) => Answer::Failed(Failure {
            problem: format!("the provider answered HTTP {status}: {why}"),
            retry_after: *retry_after,
            // A status that says that the request was not even looked at, or is the caller's fault, does nothing.
            may_be_done: matches!(status, 200..=299 | 500..),
            is_outage: matches!(status, 429 | 500..),
        }),
    }
}

fn failed(error: &SendError) -> Failure {
    let may_be_done = match error {
        SendError::Refused(_) | SendError::NotSent(_) | SendError::Busy => false,
        SendError::NoAnswer(_) | SendError::TooLarge => true,
    };
    let is_outage = matches!(error, SendError::NotSent(_) | SendError::NoAnswer(_));
    Failure { problem: error.to_string(), retry_after: None, may_be_done, is_outage }
}
