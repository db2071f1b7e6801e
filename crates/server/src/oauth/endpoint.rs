//! Requests to an endpoint of a provider's at which a client proves who it is (RFC 6749, section 2.3).

use std::time::Duration;

use keyfob_core::{
    oauth::{Client, Form},
    random::Random,
    time::Timestamp,
};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use url::Url;

use crate::egress::{Answer, Egress, Request, SendError};

/// An endpoint, and who asks there.
pub(crate) struct Endpoint<'a> {
    /// The way out.
    pub(crate) egress: &'a Egress,
    /// Where it is.
    pub(crate) url: &'a Url,
    /// Whom a signed proof is for.
    pub(crate) audience: &'a Url,
    /// The client.
    pub(crate) client: &'a Client,
    /// Where nonces come from.
    pub(crate) random: &'a dyn Random,
}

/// Why there is no answer. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The client cannot prove who it is: nothing was sent, nor will it ever be.
    #[error("{0}")]
    NoProof(String),
    /// There was no answer.
    #[error(transparent)]
    NotAnswered(#[from] SendError),
}

impl Endpoint<'_> {
    /// Sends a form with the client's proof number `attempt`. The answer, and all that was sent, of which no
    /// answer may be repeated.
    pub(super) async fn post(
        &self,
        form: &Form,
        attempt: usize,
        now: Timestamp,
        limit: Duration,
    ) -> Result<(Answer, Form), Lost> {
        let (mut form, audience) = (form.clone(), self.audience.as_str());
        let proof = self.client.authenticate(attempt, audience, &mut form, now, self.random);
        let authorization = proof.map_err(|error| Lost::NoProof(error.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        if let Some(authorization) = authorization {
            let text = "the client's id or secret cannot be sent in a header";
            let value = HeaderValue::try_from(authorization.expose_secret());
            headers.insert(AUTHORIZATION, value.map_err(|_| Lost::NoProof(text.into()))?);
        }
        let (url, body) = (self.url.clone(), Some(form.encode()));
        let request = Request { method: Method::POST, url, headers, body, limit };
        Ok((self.egress.send(request).await?, form))
    }
}
