//! Requests to a revocation endpoint (RFC 7009, section 2.1).

use std::time::Duration;

use keyfob_core::{
    oauth::{Form, revocation::Revocation},
    time::Timestamp,
};

use super::{
    endpoint::{Endpoint, Lost},
    token::refusal,
};

/// What a provider says of one token.
#[derive(Debug)]
pub(crate) enum Revoked {
    /// It has ended, or had before.
    Yes,
    /// Tokens of its kind are not revoked there.
    Unsupported,
    /// The provider refuses, for good; why, for people.
    Refused(String),
    /// Nothing definite was heard.
    Later {
        /// What went wrong, for people.
        problem: String,
        /// When the provider wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
}

impl Endpoint<'_> {
    /// Revokes the token in `form`. What is refused with one of the client's secrets is tried with the next:
    /// a token can be revoked any number of times.
    pub(crate) async fn revoke(
        &self,
        form: &Form,
        now: impl Fn() -> Timestamp,
        limit: Duration,
    ) -> Revoked {
        let end = tokio::time::Instant::now() + limit;
        let last = self.client.attempts().saturating_sub(1);
        let mut attempt = 0;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            match self.revoke_once(form, attempt, now(), left).await {
                Revoked::Refused(_) if attempt < last => attempt += 1,
                revoked => return revoked,
            }
        }
    }

    async fn revoke_once(
        &self,
        form: &Form,
        attempt: usize,
        now: Timestamp,
        limit: Duration,
    ) -> Revoked {
        let (answer, sent) = match self.post(form, attempt, now, limit).await {
            Ok(answered) => answered,
            Err(Lost::NoProof(problem)) => return Revoked::Refused(problem),
            Err(Lost::NotAnswered(error)) => {
                return Revoked::Later { problem: error.to_string(), retry_after: None };
            }
        };
        let (status, retry_after) = (answer.status, answer.retry_after);
        let answered = || format!("the provider answered HTTP {status}");
        match Revocation::parse(status, answer.content_type.as_deref(), &answer.body) {
            Revocation::Revoked => Revoked::Yes,
            Revocation::Unsupported => Revoked::Unsupported,
            Revocation::Later => Revoked::Later { problem: answered(), retry_after },
            Revocation::Refused(None) => Revoked::Refused(answered()),
            Revocation::Refused(Some(refused)) => {
                let secrets: Vec<_> =
                    sent.values().into_iter().chain(&self.client.secrets).collect();
                Revoked::Refused(refusal(&refused.without(&secrets)))
            }
        }
    }
}
