//! A request: made of options, and then awaited, streamed, or walked through page by page.

use std::{future::IntoFuture, marker::PhantomData, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Method};
use serde::{Serialize, de::DeserializeOwned};
use tower::Service;

use crate::{
    Client, Error, File, FromAnswer, Opened, address::Path, body::Body, draft::Draft,
    error::BoxError, lines, query, retry::Replay, sending::Sending, stream::Items,
};

/// A request to one endpoint, whose answer is a `T`: JSON of any type, or an [`Answer`](crate::Answer) as it came.
///
/// Nothing is sent before it is awaited, or [streamed](Self::lines). Each method of the [`Client`] makes one, and each
/// option below can be given to each: what is said here counts more than what the client was built with.
///
/// ```
/// # use std::time::Duration;
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
/// # doc::example(async |client| {
/// let page = client.contacts().list().take(10).timeout(Duration::from_secs(5)).retries(0).await?;
/// for contact in page.items {
///     println!("{}", contact.name);
/// }
/// # Ok(()) });
/// ```
#[must_use = "a request is sent when it is awaited or streamed"]
pub struct Request<T> {
    client: Client,
    /// The first thing that was wrong with it, if anything was.
    pub(crate) draft: Result<Draft, Error>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Request<T> {
    pub(crate) fn new(client: &Client, path: Result<Path, Error>) -> Self {
        let draft = path.map(Draft::new);
        Self { client: client.clone(), draft, answer: PhantomData }
    }

    pub(crate) fn with(self, change: impl FnOnce(&mut Draft) -> Result<(), Error>) -> Self {
        let draft = self.draft.and_then(|mut draft| change(&mut draft).map(|()| draft));
        Self { draft, ..self }
    }

    /// The method; `POST` if it carries something and nothing is said here, and `GET` otherwise.
    pub fn method(self, method: Method) -> Self {
        self.with(|draft| {
            draft.method = Some(method);
            Ok(())
        })
    }

    /// Adds to the query what a struct or map holds. Of an object within it each value is added as `key.inner`, and
    /// what is null is left out.
    pub fn query(self, query: &impl Serialize) -> Self {
        self.with(|draft| query::append(&mut draft.query, query))
    }

    /// Carries `record` as JSON.
    pub fn record(self, record: &impl Serialize) -> Self {
        self.with(|draft| {
            draft.body = Some(Body::json(record)?);
            Ok(())
        })
    }

    /// Carries bytes as they are, as `application/octet-stream` unless a [header](Self::header) says otherwise.
    pub fn buffer(self, buffer: impl Into<bytes::Bytes>) -> Self {
        self.with(|draft| {
            draft.body = Some(Body::buffer(buffer.into()));
            Ok(())
        })
    }

    /// Carries a file, as `multipart/form-data`.
    pub fn file(self, file: &File) -> Self {
        self.with(|draft| {
            draft.body = Some(Body::file(file)?);
            Ok(())
        })
    }

    /// A header, in the place of what the client was built with.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|draft| {
            let (name, value) = header(name, value)?;
            draft.headers.insert(name, value);
            Ok(())
        })
    }

    /// What its endpoint is called by where [endpoints are replaced](crate::ClientBuilder::endpoint), if not by its
    /// path.
    pub fn endpoint(self, name: impl Into<String>) -> Self {
        self.with(|draft| {
            draft.endpoint = Some(name.into());
            Ok(())
        })
    }

    /// Goes to somebody else's server: without the key, and without whom it acts as.
    pub fn external(self) -> Self {
        self.with(|draft| {
            draft.is_external = true;
            Ok(())
        })
    }

    /// How long one attempt may take until its whole answer is there, or that of a stream begins; a minute if it is
    /// said nowhere.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|draft| {
            draft.timeout = Some(timeout);
            Ok(())
        })
    }

    /// How often it is sent again where that may help; 3 times if it is said nowhere, and 0 for never.
    pub fn retries(self, retries: u32) -> Self {
        self.with(|draft| {
            draft.retries = Some(retries);
            Ok(())
        })
    }

    /// What is waited before it is sent again for the first time, doubled each time up to 8 s, less up to a quarter
    /// at random; 250 ms if it is said nowhere. What the server says of when to come back counts more.
    pub fn retry_delay(self, delay: Duration) -> Self {
        self.with(|draft| {
            draft.retry_delay = Some(delay);
            Ok(())
        })
    }

    /// Whether it is sent again after an attempt has taken too long; it is, if it is said nowhere.
    pub fn retry_timeout(self, is_wanted: bool) -> Self {
        self.with(|draft| {
            draft.retry_timeout = Some(is_wanted);
            Ok(())
        })
    }

    /// Is sent by a service of your own: a `reqwest::Client`, or a tower service of its requests and answers. It should
    /// follow no redirects, as in [`http_client`](crate::ClientBuilder::http_client).
    pub fn fetch_with<S>(self, service: S) -> Self
    where
        S: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        self.with(|draft| {
            draft.transport = Some(Arc::new(service));
            Ok(())
        })
    }

    /// What the server knows it by again if it comes twice. Creates have one of their own, at random; give one
    /// that you store beforehand, where a create must not happen twice even if this program ends in between.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn idempotent(self) -> Self {
        self.idempotency_key(&uuid::Uuid::new_v4().to_string())
    }

    /// Sets a value of the query, in the place of the one that is there.
    pub(crate) fn set(self, name: &str, value: String) -> Self {
        self.with(|draft| {
            draft.set(name, value);
            Ok(())
        })
    }

    /// Is sent again only where the server did not take it.
    pub(crate) fn once(self) -> Self {
        self.with(|draft| {
            draft.replay = Replay::Once;
            Ok(())
        })
    }

    /// The same, whose answer is something else.
    pub(crate) fn answered_by<U>(self) -> Request<U> {
        Request { client: self.client, draft: self.draft, answer: PhantomData }
    }

    /// What is sent now, and the same again.
    pub(crate) fn again(self) -> Result<(Self, Sending), Error> {
        let draft = self.draft?;
        let sending = Sending::new(draft.clone(), self.client.clone());
        Ok((Self { draft: Ok(draft), ..self }, sending))
    }

    /// The answer as soon as it begins, whatever its status: its body comes piece by piece, as fast as it is taken, and
    /// for as long as it takes, with no silence longer than [`idle_timeout`](crate::ClientBuilder::idle_timeout).
    pub async fn open(self) -> Result<Opened, Error> {
        let sending = self.sending()?;
        let idle_timeout = sending.idle_timeout();
        Ok(Opened::new(sending.open_any().await?, idle_timeout))
    }

    /// The answer as JSON Lines (`Accept: application/jsonl`), each line as it is. Blank ones and those of type `nop`
    /// are left out, and one of type `error` ends it with [`Error::BrokenOff`].
    pub fn lines<L: DeserializeOwned + Send + 'static>(self) -> Items<L> {
        self.sending().map_or_else(failed, lines::all)
    }

    pub(crate) fn sending(self) -> Result<Sending, Error> {
        Ok(Sending::new(self.draft?, self.client))
    }
}

/// Nothing but an error.
pub(crate) fn failed<T: Send + 'static>(error: Error) -> Items<T> {
    Items::new(futures_util::stream::once(std::future::ready(Err(error))))
}

impl<T: FromAnswer + 'static> Request<T> {
    /// The answer that was remembered for the same request under this key; where there is none, the one that
    /// comes now, which is remembered for as long as the client lives. Callers who want the same at the same time wait
    /// for one request together, for as long as that takes; if it fails, the next of them sends one. Failures are not
    /// remembered.
    ///
    /// The client remembers a thousand answers at the most, and forgets those that nobody asks for.
    /// [`Client::forget_cached`] forgets them all.
    pub async fn cached(self, key: &str) -> Result<T, Error> {
        let sending = self.sending()?;
        let name = sending.name(key)?;
        let cache = sending.cache();
        T::from_answer(cache.get_or_insert_async(&name, sending.whole()).await?)
    }
}

impl<T: FromAnswer + 'static> IntoFuture for Request<T> {
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { T::from_answer(self.sending()?.whole().await?) })
    }
}

impl<T> std::fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Request");
        match &self.draft {
            Ok(draft) => {
                shown.field("method", draft.method()).field("endpoint", &draft.path.shown())
            }
            Err(error) => shown.field("error", error),
        };
        shown.finish_non_exhaustive()
    }
}

/// A header, if there can be such a one. Nobody is shown what it holds.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let wrong =
        || Error::Invalid(format!("the header {name:?} has characters that no header can have"));
    let name = HeaderName::try_from(name).map_err(|_| wrong())?;
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}
