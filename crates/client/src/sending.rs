//! A request on its way: attempt after attempt, until there is an answer.

use std::{future::Future, sync::Arc, time::Duration};

use http::{HeaderValue, header};
use tracing::{Instrument, field::Empty};
use url::Url;

use crate::{
    Answer, Client, Error,
    address::Address,
    answer::{accepted, is_upstreams},
    client::{AnswerCache, CacheKey},
    draft::{Draft, Takes},
    retry::Attempts,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request on its way.
#[derive(Clone)]
pub(crate) struct Sending {
    draft: Draft,
    client: Client,
}

impl Sending {
    pub(crate) const fn new(draft: Draft, client: Client) -> Self {
        Self { draft, client }
    }

    /// The whole answer, after as many attempts as it takes.
    pub(crate) async fn whole(self) -> Result<Answer, Error> {
        let most = self.client.largest_answer();
        self.attempts(|| async { Answer::read(self.begin(None).await?, most).await }).await
    }

    /// The head of an answer that goes on, of the media type `accept`.
    pub(crate) async fn open(self, accept: &'static str) -> Result<reqwest::Response, Error> {
        self.attempts(|| self.begin(Some(accept))).await
    }

    /// The head of an answer that goes on, whatever its status.
    pub(crate) async fn open_any(mut self) -> Result<reqwest::Response, Error> {
        self.draft.takes = Takes::Any;
        self.attempts(|| self.begin(None)).await
    }

    async fn attempts<A, F>(&self, attempt: impl Fn() -> F + Send) -> Result<A, Error>
    where
        F: Future<Output = Result<A, Error>> + Send,
    {
        let limit = self.draft.timeout.or(self.client.timeout()).unwrap_or(self.draft.patience);
        let mut attempts =
            Attempts::new(self.draft.policy(self.client.policy()), self.draft.replay);
        let span = self.span();
        let sent = async {
            loop {
                let answered = tokio::time::timeout(limit, attempt());
                match answered.await.unwrap_or(Err(Error::TimedOut(limit))) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => attempts.again(error).await?,
                }
            }
        };
        let result = sent.instrument(span.clone()).await;
        conclude(&span, attempts.failed(), result.as_ref().err());
        result
    }

    /// Sends it once, and has the head of its answer.
    async fn begin(&self, accept: Option<&'static str>) -> Result<reqwest::Response, Error> {
        let request = self.build(accept)?;
        let transport = self.draft.transport.as_ref().unwrap_or_else(|| self.client.transport());
        let response = transport.send(request).await.map_err(Error::transport)?;
        let is_answer = match self.draft.takes {
            Takes::Success => false,
            Takes::Upstreams => is_upstreams(&response),
            Takes::Any => true,
        };
        if is_answer { Ok(response) } else { accepted(response).await }
    }

    fn build(&self, accept: Option<&'static str>) -> Result<reqwest::Request, Error> {
        let Self { draft, client } = self;
        let url = self.url()?;
        let mut request = reqwest::Request::new(draft.method().clone(), url.clone());
        let headers = request.headers_mut();
        if !draft.is_external {
            client.introduce(headers, url.path());
        }
        if let Some(body) = &draft.body {
            headers.insert(header::CONTENT_TYPE, body.media_type.clone());
        }
        for (name, value) in &draft.headers {
            headers.insert(name, value.clone());
        }
        match accept {
            Some(accept) => _ = headers.insert(header::ACCEPT, HeaderValue::from_static(accept)),
            None => _ = headers.entry(header::ACCEPT).or_insert(JSON),
        }
        *request.body_mut() = draft.body.as_ref().map(|body| body.bytes.clone().into());
        Ok(request)
    }

    fn url(&self) -> Result<Url, Error> {
        let Self { draft, client } = self;
        let Address { mut url, is_own } =
            client.server().resolve(&draft.path, draft.endpoint.as_deref())?;
        if !is_own && !draft.is_external {
            return Err(Error::Invalid(format!(
                "{} is not below the client's base URL, and gets no key: say `external` to send the request without",
                url.origin().ascii_serialization(),
            )));
        }
        if !draft.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&draft.query);
        }
        Ok(url)
    }

    /// How long a stream may be silent.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.client.idle_timeout()
    }

    /// Where its answer may be remembered.
    pub(crate) fn cache(&self) -> Arc<AnswerCache> {
        Arc::clone(self.client.cache())
    }

    /// What tells its answer from those of others.
    pub(crate) fn name(&self, key: &str) -> Result<CacheKey, Error> {
        let draft = &self.draft;
        // Another service may say something else.
        let transport = draft.transport.as_ref().map(|service| Arc::as_ptr(service).addr());
        let mut name = format!(
            "{key}\n{} {}\n{} {transport:?}\n",
            draft.method(),
            self.url()?,
            draft.is_external,
        )
        .into_bytes();
        for (header, value) in &draft.headers {
            name.extend([header.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        Ok((name, draft.body.as_ref().map(|body| body.bytes.clone())))
    }

    fn span(&self) -> tracing::Span {
        let Draft { path, .. } = &self.draft;
        tracing::debug_span!(
            "keyfob.call",
            http.request.method = %self.draft.method(),
            url.template = path.shown(),
            http.response.status_code = Empty,
            http.request.resend_count = Empty,
            keyfob.request_id = Empty,
        )
    }
}

/// Notes how it ended.
fn conclude(span: &tracing::Span, resent: u32, error: Option<&Error>) {
    if resent > 0 {
        span.record("http.request.resend_count", resent);
    }
    let Some(error) = error else { return };
    if let Some(status) = error.status() {
        span.record("http.response.status_code", status.as_u16());
    }
    if let Some(id) = error.request_id() {
        span.record("keyfob.request_id", id);
    }
    span.in_scope(|| tracing::debug!(code = error.code(), "the call failed: {error}"));
}
