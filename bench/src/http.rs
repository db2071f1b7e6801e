//! A small HTTP/1.1 client on one kept-alive connection, and many of them at work together.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{interval, timeout},
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Header names and values.
pub(crate) type Headers = Vec<(String, String)>;

/// The bytes of a request.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &Headers,
    body: Option<&Value>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    let mut line = |name: &str, value: &str| {
        for part in [name, ": ", value, "\r\n"] {
            text.push_str(part);
        }
    };
    for (name, value) in headers {
        line(name, value);
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        line("content-type", "application/json");
        line("content-length", &body.len().to_string());
    }
    text.push_str("\r\n");
    text.push_str(&body);
    text.into_bytes()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body as JSON; an error if the status is not 2xx.
    pub(crate) fn json(&self) -> Result<Value> {
        self.check()?;
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }

    /// An error if the status is not 2xx.
    pub(crate) fn check(&self) -> Result<()> {
        if !(200..300).contains(&self.status) {
            let body = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
            bail!("answered {}: {body}", self.status);
        }
        Ok(())
    }
}

/// What the head of an answer says about its body.
#[derive(Debug, Eq, PartialEq)]
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
}

impl Head {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut head = Self { status, length: None, chunked: false };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.trim().parse().ok()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        Some(head)
    }
}

/// One kept-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` begins.
    start: usize,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = timeout(Duration::from_secs(20), TcpStream::connect(("127.0.0.1", port)))
            .await
            .context("no connection within 20 s")?
            .context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), start: 0 })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Response> {
        self.send(request).await?;
        timeout(PATIENCE, self.receive()).await.context("no answer in time")?
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await.context("the request could not be sent")
    }

    /// Reads an answer.
    pub(crate) async fn receive(&mut self) -> Result<Response> {
        let mut body = Vec::new();
        let status = self.receive_into(|bytes| body.extend_from_slice(bytes)).await?;
        Ok(Response { status, body })
    }

    /// Reads an answer of any size, handing its body on in pieces; returns the status.
    pub(crate) async fn receive_into(&mut self, mut sink: impl FnMut(&[u8])) -> Result<u16> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = Head::parse(&head).context("the answer's head cannot be read")?;
        if head.chunked {
            loop {
                let line = self.until(b"\r\n").await?;
                let size = chunk_size(&line).context("a chunk's size cannot be read")?;
                if size == 0 {
                    while !self.until(b"\r\n").await?.is_empty() {}
                    break;
                }
                self.pass(size, &mut sink).await?;
                self.until(b"\r\n").await?;
            }
        } else if let Some(length) = head.length {
            self.pass(length, &mut sink).await?;
        } else if head.status != 204 {
            bail!("an answer without a length");
        }
        Ok(head.status)
    }

    /// Hands `length` bytes on.
    async fn pass(&mut self, mut length: usize, sink: &mut impl FnMut(&[u8])) -> Result<()> {
        while length > 0 {
            if self.start == self.buffer.len() {
                self.fill().await?;
            }
            let end = self.buffer.len().min(self.start + length);
            sink(&self.buffer[self.start..end]);
            length -= end - self.start;
            self.start = end;
        }
        Ok(())
    }

    /// Everything before the next `mark`, which is skipped.
    async fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>> {
        loop {
            let unread = &self.buffer[self.start..];
            if let Some(at) = unread.windows(mark.len()).position(|window| window == mark) {
                let found = unread[..at].to_vec();
                self.start += at + mark.len();
                return Ok(found);
            }
            if unread.len() > 64 * 1024 {
                bail!("an endless line in an answer");
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(1024);
        match self.stream.read_buf(&mut self.buffer).await.context("the connection broke")? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()
}

/// Asks once on a connection of its own.
pub(crate) async fn ask(port: u16, request: &[u8]) -> Result<Response> {
    Connection::open(port).await?.exchange(request).await
}

/// Many requests over several connections.
#[derive(Debug)]
pub(crate) struct Job {
    /// What the progress lines call it.
    pub(crate) what: String,
    pub(crate) port: u16,
    pub(crate) connections: usize,
    pub(crate) count: usize,
}

impl Job {
    /// Sends request 0 to `count` - 1 and returns what `read` makes of each answer, in any order. The first error ends it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        make: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
        read: impl Fn(&Response) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let (port, count) = (self.port, self.count);
        let (make, read) = (Arc::new(make), Arc::new(read));
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..self.connections.min(count) {
            let (make, read, next) = (Arc::clone(&make), Arc::clone(&read), Arc::clone(&next));
            workers.spawn(async move {
                let mut connection = Connection::open(port).await?;
                let mut results = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok(results);
                    }
                    let answer = connection.exchange(&make(index)).await?;
                    results.push(read(&answer)?);
                }
            });
        }
        let gather = async {
            let mut results: Vec<T> = Vec::with_capacity(count);
            while let Some(worker) = workers.join_next().await {
                let worker: Result<Vec<T>> = worker?;
                results.append(&mut worker.with_context(|| self.what.clone())?);
            }
            Ok(results)
        };
        with_progress(gather, || {
            format!("{}: {} of {count}", self.what, next.load(Ordering::Relaxed).min(count))
        })
        .await
    }
}

/// Waits for something and prints a line every five seconds meanwhile.
pub(crate) async fn with_progress<T>(
    work: impl Future<Output = T>,
    line: impl Fn() -> String,
) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = interval(Duration::from_secs(5));
    ticks.tick().await;
    loop {
        tokio::select! {
            result = &mut work => return result,
            _ = ticks.tick() => eprintln!("  {}", line()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every connection with the same bytes, in pieces.
    async fn answering(answer: &'static str) -> Result<u16> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                for piece in answer.as_bytes().chunks(7) {
                    if stream.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        Ok(port)
    }

    #[tokio::test]
    async fn bodies_with_a_length_are_read() -> Result<()> {
        let port =
            answering("HTTP/1.1 200 OK\r\nContent-Length: 11\r\nx: y\r\n\r\n{\"ok\":true}").await?;
        let answer = ask(port, b"GET / HTTP/1.1\r\n\r\n").await?;
        assert_eq!(answer.json()?["ok"], true);
        Ok(())
    }

    #[tokio::test]
    async fn chunked_bodies_are_read() -> Result<()> {
        let port = answering(
            "HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n4\r\nnone\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        )
        .await?;
        let answer = ask(port, b"GET / HTTP/1.1\r\n\r\n").await?;
        assert_eq!((answer.status, answer.body.as_slice()), (404, b"none0123456789".as_slice()));
        assert!(answer.json().is_err());
        Ok(())
    }

    #[tokio::test]
    async fn a_broken_answer_is_an_error() -> Result<()> {
        let port = answering("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nshort").await?;
        assert!(ask(port, b"GET / HTTP/1.1\r\n\r\n").await.is_err());
        Ok(())
    }

    #[test]
    fn a_request_has_its_headers_and_body() {
        let headers = vec![("a".to_owned(), "b".to_owned())];
        let body = serde_json::json!({"c": 1});
        let bytes = request("POST", "/x", &headers, Some(&body));
        let expected = "POST /x HTTP/1.1\r\nhost: 127.0.0.1\r\na: b\r\ncontent-type: application/json\r\n\
            content-length: 7\r\n\r\n{\"c\":1}";
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }
}
