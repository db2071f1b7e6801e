//! A server of somebody else, of bare sockets: it does what no HTTP library would.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use url::Url;

use crate::{
    listening::within_patience,
    lossy::{End, cut},
};

/// What becomes of one request.
#[derive(Clone)]
pub(crate) enum Step {
    /// This is written, and the connection kept.
    Say(String),
    /// This is written, and the connection closed.
    SayAndClose(String),
    /// This is written, and nothing more; the connection is kept.
    SayAndHang(String),
    /// This is written, and then zeros for as long as they are taken.
    SayWithoutEnd(String),
    /// The connection ends without an answer.
    End(End),
}

/// An answer with this body, after which the connection may be used again.
pub(crate) fn ok(body: &str) -> Step {
    Step::Say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// Listens on a port of 127.0.0.1 and does step after step, on whatever connection a request comes.
pub(crate) struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

struct Shared {
    steps: Mutex<std::vec::IntoIter<Step>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// How many answers without end were broken off by the other side.
    broken_off: watch::Sender<usize>,
}

impl Endpoint {
    pub(crate) async fn start(steps: impl Into<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            steps: Mutex::new(steps.into().into_iter()),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            broken_off: watch::Sender::new(0),
        });
        let mut connections = JoinSet::new();
        let accepting = Arc::clone(&shared);
        connections.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&accepting);
                served.spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, shared, _connections: connections }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL of it, by its address.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// A URL of it, by a name.
    pub(crate) fn named(&self, scheme: &str, name: &str) -> Url {
        Url::parse(&format!("{scheme}://{name}:{}/", self.port())).unwrap()
    }

    /// Every request that came whole, as it came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ends when an answer without end was broken off.
    pub(crate) async fn until_broken_off(&self) {
        let mut broken_off = self.shared.broken_off.subscribe();
        within_patience(broken_off.wait_for(|count| *count == 1)).await.unwrap();
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) {
        let mut read = Vec::new();
        while let Some(request) = next_request(&mut stream, &mut read).await {
            self.requests.lock().unwrap().push(request);
            let step = self.steps.lock().unwrap().next().expect("no request is expected any more");
            let Some(kept) = self.act(step, stream).await else {
                return;
            };
            stream = kept;
        }
    }

    /// The connection, if it goes on.
    async fn act(&self, step: Step, mut stream: TcpStream) -> Option<TcpStream> {
        match step {
            Step::Say(text) => {
                stream.write_all(text.as_bytes()).await.ok()?;
                return Some(stream);
            }
            Step::SayAndClose(text) => stream.write_all(text.as_bytes()).await.ok()?,
            Step::SayAndHang(text) => {
                stream.write_all(text.as_bytes()).await.ok()?;
                std::future::pending::<()>().await;
            }
            Step::SayWithoutEnd(text) => {
                stream.write_all(text.as_bytes()).await.ok()?;
                while stream.write_all(b"400\r\n").await.is_ok()
                    && stream.write_all(&[b'0'; 0x400]).await.is_ok()
                    && stream.write_all(b"\r\n").await.is_ok()
                {}
                self.broken_off.send_modify(|count| *count += 1);
            }
            Step::End(end) => cut(stream, end),
        }
        None
    }
}

/// The next whole request; `None` when there are no more.
async fn next_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let end = head.len() + 4 + length;
                let request = text[..end].to_owned();
                read.drain(..end);
                return Some(request);
            }
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}
