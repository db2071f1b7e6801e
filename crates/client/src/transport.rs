//! How a request is sent.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower::{Service, ServiceExt};

use crate::error::BoxError;

/// Sends one request and has the head of its answer. A `reqwest::Client` is one, and so is every tower service
/// of its requests and answers: what a program adds to its client (a limit, a recorder, a cache) goes there.
pub(crate) trait Transport: Send + Sync {
    fn send(
        &self,
        request: reqwest::Request,
    ) -> BoxFuture<'static, Result<reqwest::Response, BoxError>>;
}

impl<S> Transport for S
where
    S: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn send(
        &self,
        request: reqwest::Request,
    ) -> BoxFuture<'static, Result<reqwest::Response, BoxError>> {
        let sent = self.clone().oneshot(request);
        Box::pin(async { sent.await.map_err(Into::into) })
    }
}

pub(crate) type SharedTransport = Arc<dyn Transport>;
