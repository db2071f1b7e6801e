//! Connections, and the tasks that run them.
//!
//! A connection over HTTP/1.1 has one request at a time. Whoever asked puts its sender back when the
//! answer begins; it returns to the pool when the answer has ended, which only the connection's own
//! task sees. So nobody waits for that, and no task is made for it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{body::StreamBody, origin::Origin, pool::Pool};

/// The largest headers of an answer, in bytes. Over HTTP/1.1 there may be 100 of them at the most.
const LARGEST_HEADERS: u32 = 64 * 1024;
/// So much of an answer that nobody reads is taken, in bytes.
const WINDOW: u32 = 512 * 1024;
/// Streams on one connection, at the most: with the largest that may be open for one of them, what
/// nobody reads of all others does not keep it from its own.
const MOST_STREAMS: usize = 100;
const CONNECTION_WINDOW: u32 = WINDOW * 100;
/// So much of a request is kept that the other side does not take, in bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// A connection with open streams is asked so often whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(15);

/// What a request is sent over.
pub(super) enum Connection {
    Own(Own),
    Shared(Shared),
}

/// A request that was not sent, with the reason; without the request if it may have been.
pub(super) type Unsent = TrySendError<Request<StreamBody>>;

/// A connection over HTTP/1.1, which is of one request alone.
pub(super) struct Own {
    sender: http1::SendRequest<StreamBody>,
    line: Arc<Line>,
}

/// What the two sides of a connection over HTTP/1.1 know of each other.
struct Line {
    origin: Arc<Origin>,
    pool: Weak<Pool>,
    /// The sender, from where the answer begins to where it ends.
    answering: Mutex<Option<http1::SendRequest<StreamBody>>>,
}

impl Line {
    fn answering(&self) -> MutexGuard<'_, Option<http1::SendRequest<StreamBody>>> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the connection back if its answer has ended. Called by both sides, each after what it
    /// does for that, so that the later one finds it.
    fn give_back(self: &Arc<Self>, answering: &mut Option<http1::SendRequest<StreamBody>>) {
        let Some(sender) = answering.take_if(|sender| sender.is_ready()) else {
            return;
        };
        if let Some(pool) = self.pool.upgrade() {
            pool.keep(Own { sender, line: Arc::clone(self) });
        }
    }
}

impl Own {
    /// Speaks HTTP/1.1 over `io`, in a task of its own, until either side ends it.
    pub(super) async fn start<T>(
        io: T,
        origin: Arc<Origin>,
        pool: &Arc<Pool>,
    ) -> hyper::Result<Self>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LARGEST_HEADERS as usize);
        let (mut sender, connection) = builder.handshake(io).await?;
        let pool = Arc::downgrade(pool);
        let line = Arc::new(Line { origin, pool, answering: Mutex::new(None) });
        let own = Arc::clone(&line);
        tokio::spawn(async move {
            let mut connection = connection.with_upgrades();
            let run = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                own.give_back(&mut own.answering());
                polled
            });
            ended(run.await, &own.origin, || drop(connection), &own.pool);
        });
        // Only then does it say rightly when it is ready again.
        sender.ready().await?;
        Ok(Self { sender, line })
    }

    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.line.origin
    }

    /// Whether it can take a request now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request. The connection is used again after its answer, if it `is_kept`.
    pub(super) async fn send(
        mut self,
        request: Request<StreamBody>,
        is_kept: bool,
    ) -> Result<Response<Incoming>, Unsent> {
        let response = self.sender.try_send_request(request).await?;
        if is_kept {
            let mut answering = self.line.answering();
            *answering = Some(self.sender);
            self.line.give_back(&mut answering);
        }
        Ok(response)
    }
}

/// A connection over HTTP/2, which any number of requests share.
#[derive(Clone)]
pub(super) struct Shared {
    sender: http2::SendRequest<StreamBody>,
    origin: Arc<Origin>,
    streams: Arc<Streams>,
}

/// How many requests there are on a connection, and may be.
#[derive(Debug)]
struct Streams {
    open: AtomicUsize,
    most: AtomicUsize,
}

/// The place of one request on a shared connection, until its answer has ended.
#[derive(Debug)]
pub(super) struct Stream(Arc<Streams>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Speaks HTTP/2 over `io`, in tasks of its own, until either side ends it.
    pub(super) async fn start<T>(
        io: T,
        origin: Arc<Origin>,
        pool: &Arc<Pool>,
    ) -> hyper::Result<Self>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(MOST_STREAMS)
            .max_header_list_size(LARGEST_HEADERS)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WITHIN);
        let (sender, connection) = builder.handshake(io).await?;
        let streams = Streams { open: AtomicUsize::new(0), most: AtomicUsize::new(MOST_STREAMS) };
        let shared = Self { sender, origin, streams: Arc::new(streams) };
        let (streams, origin) = (Arc::clone(&shared.streams), Arc::clone(&shared.origin));
        let pool = Arc::downgrade(pool);
        tokio::spawn(async move {
            let mut connection = connection;
            let run = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                let most = connection.current_max_send_streams().clamp(1, MOST_STREAMS);
                streams.most.store(most, Ordering::Relaxed);
                polled
            });
            ended(run.await, &origin, || drop(connection), &pool);
        });
        Ok(shared)
    }

    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    pub(super) fn has_ended(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether no request is on it.
    pub(super) fn is_unused(&self) -> bool {
        self.streams.open.load(Ordering::Relaxed) == 0
    }

    /// Whether it can take one more request now.
    pub(super) fn is_ready(&self) -> bool {
        let Streams { open, most } = &*self.streams;
        !self.has_ended() && open.load(Ordering::Relaxed) < most.load(Ordering::Relaxed)
    }

    /// A place for one request.
    pub(super) fn stream(&self) -> Stream {
        self.streams.open.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(&self.streams))
    }

    /// Sends a request.
    pub(super) async fn send(
        mut self,
        request: Request<StreamBody>,
    ) -> Result<Response<Incoming>, Unsent> {
        self.sender.try_send_request(request).await
    }
}

/// Tidies up after a connection that has ended. Only when it is dropped do its senders say so.
fn ended(result: hyper::Result<()>, origin: &Origin, drop: impl FnOnce(), pool: &Weak<Pool>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection out ended");
    }
    drop();
    if let Some(pool) = pool.upgrade() {
        pool.forget_ended(origin);
    }
}
