//! A server that answers with what a test says, byte by byte, one request a connection.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use keyfob_client::{Client, ClientBuilder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// What a test says to one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// All of it, and then the end of the connection.
    Send(Vec<u8>),
    /// All of it, and then a reset.
    Reset(Vec<u8>),
    /// All of it, and then nothing, for as long as the client stays.
    Hold(Vec<u8>),
}

impl Reply {
    /// A whole answer.
    pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Self {
        Self::Send(answer(status, headers, body))
    }

    /// A whole answer in JSON.
    pub(crate) fn json(body: &str) -> Self {
        Self::answer(200, "content-type: application/json\r\n", body)
    }

    /// A whole answer in lines.
    pub(crate) fn lines(body: &str) -> Self {
        Self::answer(200, "content-type: application/jsonl\r\n", body)
    }
}

/// A whole answer, byte by byte.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Reason\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What a test says to each request; the number is that of the request, from 0.
type Script = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

/// The server, until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Server {
    /// One that says the same each time.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::scripted(move |_, _| reply.clone()).await
    }

    /// One that says one thing after the other, and the last one from then on.
    pub(crate) async fn says(replies: Vec<Reply>) -> Self {
        Self::scripted(move |number, _| replies[number.min(replies.len() - 1)].clone()).await
    }

    pub(crate) async fn scripted(
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (script, all): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&all)));
            }
        });
        Self { url, seen, task: task.abort_handle() }
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The one request that came.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// A builder of clients that do not wait for long.
    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder()
            .base_url(&self.url)
            .secret("kft_SECRET")
            .retry_delay(Duration::from_millis(1))
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, all: Arc<Mutex<Vec<Seen>>>) {
    let Some(seen) = read(&mut stream).await else { return };
    let number = {
        let mut all = all.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    match script(number, &seen) {
        Reply::Send(bytes) => {
            // Whoever goes away early has seen enough.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Reset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            stream.set_zero_linger().unwrap();
        }
        Reply::Hold(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
}

/// Reads one request.
async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut seen = Seen { method, target, headers, body: String::new() };
    let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    Some(seen)
}
