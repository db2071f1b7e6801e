//! Accepts connections, and fails where the script says so.

use std::{io, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, request::Parts},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

use crate::{broken, fault::Fault, ledger::Line, refusal::Note, seen::seen, state::Shared};

/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 1 << 20;

/// The connection is to break.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks here, as scripted")]
pub(crate) struct Broken;

/// Serves until it is dropped; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        // Accepting fails for the one connection that went away meanwhile.
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(connection(stream, shared.clone(), router.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, router: Router) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |request| answer(request, shared.clone(), router.clone()));
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    router: Router,
) -> Result<Response<Body>, Broken> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Broken)?.to_bytes();
    if parts.uri.path().starts_with("/control/") {
        return Ok(process(router, parts, body).await);
    }
    let visit = Visit::begin(shared, &parts, &body);
    // A provider goes on with what it has begun, also when the caller hangs up.
    tokio::spawn(visit.run(router, parts, body)).await.map_err(|_| Broken)?
}

async fn process(router: Router, parts: Parts, body: Bytes) -> Response<Body> {
    let request = Request::from_parts(parts, Body::from(body));
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A request on its way through the provider. In flight until it is dropped.
struct Visit {
    shared: Arc<Shared>,
    line: Line,
    fault: Fault,
    released: watch::Receiver<()>,
}

impl Visit {
    fn begin(shared: Arc<Shared>, parts: &Parts, body: &Bytes) -> Self {
        // Taken before the ledger shows the request, so that no release is missed.
        let released = shared.releases();
        let (line, fault) = shared.with(|state| {
            let mut request = seen(parts, body, state);
            request.fault = state.script.take(&request, &state.ledger);
            let fault = request.fault.clone().unwrap_or(Fault::Pass);
            (state.ledger.enter(request), fault)
        });
        Self { shared, line, fault, released }
    }

    async fn run(
        mut self,
        router: Router,
        parts: Parts,
        body: Bytes,
    ) -> Result<Response<Body>, Broken> {
        match self.fault {
            Fault::DelayBefore { duration } => tokio::time::sleep(duration).await,
            Fault::HoldBefore => self.released().await,
            _ => {}
        }
        let own = if self.fault.processes() {
            let own = process(router, parts, body).await;
            self.note(&own);
            own
        } else {
            Response::default()
        };
        match self.fault {
            Fault::DelayAfter { duration } => tokio::time::sleep(duration).await,
            Fault::HoldAfter => self.released().await,
            _ => {}
        }
        broken::answer(&self.fault, own).await
    }

    async fn released(&mut self) {
        // Without a sender the provider is gone, and nobody is left to be kept waiting.
        let _gone = self.released.changed().await;
    }

    fn note(&self, own: &Response<Body>) {
        let note = own.extensions().get::<Note>().cloned().unwrap_or_default();
        self.shared.with(|state| {
            let Some(request) = state.ledger.line(self.line) else { return };
            request.status = Some(own.status().as_u16());
            request.error = note.error;
            if let (None, Some((family, generation))) = (request.family, note.issued) {
                (request.family, request.generation) = (Some(family), Some(generation));
            }
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.shared.with(|state| state.ledger.leave(self.line));
    }
}
