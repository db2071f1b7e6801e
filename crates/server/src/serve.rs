//! Connections: accept, bound, serve, and end them in order.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use futures_util::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, Semaphore},
};
use tokio_io_timeout::TimeoutWriter;

use crate::{
    app::{App, Peer},
    delivery::{Delivery, Told},
    unread::ReadToEnd,
};

/// A request's headers, and the next request on an idle connection, must come within this.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// After so many bytes of a request line and headers hyper reads no further: far more than the
/// service takes, because hyper's own 431 has no body. Neither has that for more than 100 headers.
const LARGEST_READ: usize = 64 * 1024;
/// A caller who takes nothing of its answer for this long is given up.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);
/// What was accepted is finished within this after the signal to stop: callers wait 55 s at most.
const FINISH_WITHIN: Duration = Duration::from_mins(1);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// The pause after a failed accept: it fails when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many there are at a time; further ones wait to be accepted.
    pub connections: usize,
    /// A connection ends when there is something to write and no byte of it can be written for so
    /// long: who never reads its answers would keep its place, and hold up a stop.
    pub taken_within: Duration,
}

impl Bounds {
    /// So many connections, and 20 s for each to take something of its answer.
    #[must_use]
    pub fn of(connections: usize) -> Self {
        Self { connections, taken_within: TAKEN_WITHIN }
    }
}

/// Listens on `address`.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `app` until `stop` ends; then takes no more connections and finishes what it accepted.
pub async fn serve(
    listener: TcpListener,
    app: App,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let stopping = Arc::new(Notify::new());
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut stop => break,
        };
        let Some((stream, peer, place)) = accepted else {
            continue;
        };
        let (app, delivery) = (app.clone(), Delivery::default());
        let stream = Told::new(bounded(stream, bounds), delivery.clone(), place);
        let ip = peer.ip().to_string().into();
        let peer = Peer { ip, delivery: Some(delivery.clone()) };
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let request = ReadToEnd::of(request).map(Body::new);
            let answer = app.handle(request, Some(peer.clone()));
            let delivery = delivery.clone();
            answer.map(move |answer| Ok::<_, std::convert::Infallible>(delivery.follow(answer)))
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(LARGEST_READ)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut stopped = Some(Box::pin(Arc::clone(&stopping).notified_owned()));
        // What hyper-util has for this takes no connections that can speak another protocol. Not an `async` block,
        // which would have room for the connection twice.
        let served = poll_fn(move |cx| {
            if has_come(&mut stopped, cx) {
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_unpin(cx)
        });
        tokio::spawn(served.map(move |ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection");
            }
        }));
    }
    drop(listener);
    stopping.notify_waiters();
    let all = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    // Each connection has a place until it ends.
    if tokio::time::timeout(FINISH_WITHIN, places.acquire_many(all)).await.is_err() {
        tracing::warn!(
            "some requests were cut off: they took longer than {FINISH_WITHIN:?} to finish"
        );
    }
}

/// Whether what is waited for has come just now. It comes once.
fn has_come(wait: &mut Option<Pin<Box<impl Future<Output = ()>>>>, cx: &mut Context<'_>) -> bool {
    let has_come = wait.as_mut().is_some_and(|wait| wait.as_mut().poll(cx) == Poll::Ready(()));
    if has_come {
        *wait = None;
    }
    has_come
}

/// The connection with its bound on writes. In a box, because the timer in it must not move.
fn bounded(stream: TcpStream, bounds: Bounds) -> Pin<Box<TimeoutWriter<TcpStream>>> {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(bounds.taken_within));
    Box::pin(stream)
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and written at once: waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
