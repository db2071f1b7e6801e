//! Requests whose bodies, and those of their answers, pass as they come.
//!
//! Beside `reqwest`, whose answers are read whole: this is what every request through the proxy costs,
//! so nothing is made for a request that a connection, its pool and its guard do not need.

mod arriving;
mod body;
mod connect;
mod connection;
mod origin;
mod pool;
mod race;

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response, Uri, Version,
    body::Incoming,
    header::{AUTHORIZATION, EXPECT, HOST, UPGRADE},
};
use keyfob_core::id::AccountId;
use rustls::ClientConfig;
use tokio::time::timeout;

pub use self::{
    arriving::{Arriving, BrokenOff},
    body::{BodyError, StreamBody},
    pool::KEPT,
};
use self::{
    body::Progress,
    connect::Connector,
    connection::{Connection, Stream, Unsent},
    origin::{Key, Origin},
    pool::Pool,
};
use super::{
    Egress, SendError,
    error::{Reached, innermost},
    guard::Guard,
    mark,
};

/// How long the parts of an exchange may take. None of them bounds the whole of it.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// To look the name up, to connect and to agree on TLS.
    pub connect: Duration,
    /// Until the answer's headers come, from when the last part of the request's body was taken.
    pub headers: Duration,
    /// Between two parts of the answer's body.
    pub idle: Duration,
}

/// The client that streams.
pub(super) struct Client {
    connector: Connector,
    pool: Arc<Pool>,
}

impl Client {
    pub(super) fn new(guard: Guard, tls: &ClientConfig) -> Self {
        Self { connector: Connector::new(guard, tls), pool: Arc::default() }
    }
}

impl Egress {
    /// Sends a request once, and answers when the headers of its answer are there, whatever its status;
    /// the bodies pass as they come. Redirects are not followed. Over HTTP/2 where the server speaks it,
    /// and over HTTP/1.1 if there is an `Upgrade`, which [`hyper::upgrade::on`] goes on with.
    ///
    /// The URL must be whole; it decides `Host`. Headers of one connection only (RFC 9110 section
    /// 7.6.1) are the caller's to leave out, but for `Expect`: a body is sent at once. Trailers of the
    /// answer pass, and those of the request do not.
    pub async fn stream(
        &self,
        request: Request<StreamBody>,
        limits: StreamLimits,
    ) -> Result<Response<Arriving>, SendError> {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.inner.streaming.send(self.account.as_ref(), request, limits).await;
        }
        let begun = self.inner.clock.now();
        let method = request.method().clone();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let result = self.inner.streaming.send(self.account.as_ref(), request, limits).await;
        let took = self.inner.clock.now().since(begun);
        match &result {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(%method, host, status, ?took, "answered");
            }
            Err(error) => tracing::debug!(%method, host, %error, ?took, "not answered"),
        }
        result
    }
}

impl Client {
    async fn send(
        &self,
        account: Option<&AccountId>,
        mut request: Request<StreamBody>,
        limits: StreamLimits,
    ) -> Result<Response<Arriving>, SendError> {
        let key = Key::of(account, request.uri())?;
        let wants_own = request.headers().contains_key(UPGRADE);
        let progress = request.body().progress();
        request.headers_mut().remove(EXPECT);
        request.headers_mut().values_mut().for_each(mark);
        loop {
            let (connection, stream, is_new) = self.connection(&key, wants_own, limits).await?;
            let sending = pin!(send_over(connection, request));
            match await_headers(sending, progress.as_ref(), limits.headers).await? {
                Ok(response) => {
                    return Ok(response.map(|body| Arriving::new(body, limits.idle, stream)));
                }
                Err(mut unsent) => match unsent.take_message() {
                    // It had ended while it was unused, and has taken nothing of the request.
                    Some(returned) if !is_new => request = returned,
                    Some(_) => return Err(lost(unsent, Reached::Nobody)),
                    None => return Err(lost(unsent, Reached::Perhaps)),
                },
            }
        }
    }

    /// One of the pool, or else a new one, and whether it is that.
    async fn connection(
        &self,
        key: &Key,
        wants_own: bool,
        limits: StreamLimits,
    ) -> Result<(Connection, Option<Stream>, bool), SendError> {
        if let Some((connection, stream)) = self.pool.take(key, wants_own) {
            return Ok((connection, stream, false));
        }
        let origin = Arc::new(Origin::of(key.clone(), self.connector.guard())?);
        let connecting = timeout(limits.connect, self.connect(&origin, wants_own));
        connecting.await.unwrap_or_else(|_| Err(SendError::too_slow(Reached::Nobody)))
    }

    /// Of requests that come together to a place that may speak HTTP/2, one connects; the others see
    /// first whether they can share that connection.
    async fn connect(
        &self,
        origin: &Arc<Origin>,
        wants_own: bool,
    ) -> Result<(Connection, Option<Stream>, bool), SendError> {
        let is_shareable = origin.key.is_secure && !wants_own;
        let turn = is_shareable.then(|| self.pool.turn(&origin.key)).flatten();
        let mut held = None;
        if let Some(turn) = &turn {
            held = Some(turn.lock().await);
            if let Some((connection, stream)) = self.pool.take(&origin.key, wants_own) {
                return Ok((connection, stream, false));
            }
            if self.pool.turn(&origin.key).is_none() {
                held = None;
            }
        }
        let connected = self.connector.connect(origin, wants_own, &self.pool).await;
        drop(held);
        connected.map(|(connection, stream)| (connection, stream, true))
    }
}

/// Sends a request over a connection, in the form that its protocol has for it.
async fn send_over(
    connection: Connection,
    mut request: Request<StreamBody>,
) -> Result<Response<Incoming>, Unsent> {
    match connection {
        Connection::Own(own) => {
            *request.version_mut() = Version::HTTP_11;
            request.headers_mut().insert(HOST, own.origin().header.clone());
            let path = std::mem::take(request.uri_mut()).into_parts().path_and_query;
            *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
            let is_kept = !is_bound_to_connection(&request);
            own.send(request, is_kept).await
        }
        Connection::Shared(shared) => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(HOST);
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.scheme = Some(hyper::http::uri::Scheme::HTTPS);
            parts.authority = Some(shared.origin().authority.clone());
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            shared.send(request).await
        }
    }
}

/// Whether what a request says of its caller holds for all that follows on the connection (RFC 4559
/// section 6): nobody else may have it then.
fn is_bound_to_connection(request: &Request<StreamBody>) -> bool {
    let bound = |scheme: &str| {
        scheme.eq_ignore_ascii_case("negotiate") || scheme.eq_ignore_ascii_case("ntlm")
    };
    request.headers().get_all(AUTHORIZATION).iter().any(|value| {
        let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
        std::str::from_utf8(scheme).is_ok_and(bound)
    })
}

/// Waits for the headers of an answer. While the request's body still passes the other side is not
/// slow.
async fn await_headers<F: Future>(
    mut sending: std::pin::Pin<&mut F>,
    progress: Option<&Progress>,
    limit: Duration,
) -> Result<F::Output, SendError> {
    let parts = || progress.map_or(0, Progress::parts);
    let mut seen = parts();
    loop {
        if let Ok(result) = timeout(limit, &mut sending).await {
            return Ok(result);
        }
        if parts() == seen {
            return Err(SendError::too_slow(Reached::Perhaps));
        }
        seen = parts();
    }
}

/// What has become of a request that got no answer.
fn lost(unsent: Unsent, reached: Reached) -> SendError {
    let error = unsent.into_error();
    if error.is_user() {
        // What the caller's own body says is none of the server's doing, and may be anything.
        return SendError::lost("the request's body broke off".into(), reached);
    }
    let is_refused = super::error::causes(&error)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .any(|cause| cause.is_remote() && cause.reason() == Some(h2::Reason::REFUSED_STREAM));
    // It says that it has not looked at the request (RFC 9113 section 8.7).
    let reached = if is_refused { Reached::Nobody } else { reached };
    SendError::lost(innermost(&error), reached)
}
