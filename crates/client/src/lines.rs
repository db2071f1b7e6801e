//! JSON Lines: an answer that is read line by line (contract/contacts-and-secrets, section 1.7).

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use bytes::BytesMut;
use futures_util::{TryStreamExt, stream};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use crate::{Error, answer::media_type, sending::Sending, stream::Items};

/// A longer line is none of this API's.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// What a line is that ends with the answer, before it makes sense.
const CUT: &str = "its last line is not whole";

/// What every line says of itself.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// `null` is something.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The data of a line that ends a list before its end.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Broken {
    code: Option<String>,
    message: Option<String>,
}

/// The data of all lines of type `item`.
pub(crate) fn items<T: DeserializeOwned + Send + 'static>(sending: Sending) -> Items<T> {
    read(sending, |_, head| match (&*head.kind, head.data) {
        ("item", Some(data)) => serde_json::from_str(data.get()).map(Some),
        ("item", None) => Err(serde_json::Error::missing_field("data")),
        _ => Ok(None),
    })
}

/// All lines as they are, but those that say that there is nothing to say.
pub(crate) fn all<T: DeserializeOwned + Send + 'static>(sending: Sending) -> Items<T> {
    read(sending, |line, _| serde_json::from_slice(line).map(Some))
}

fn read<T, P>(sending: Sending, parse: P) -> Items<T>
where
    T: Send + 'static,
    P: Fn(&[u8], &Head<'_>) -> Result<Option<T>, serde_json::Error> + Copy + Send + 'static,
{
    let opened = stream::once(open(sending));
    let lines = move |lines| stream::try_unfold(lines, move |lines| next(lines, parse));
    Items::new(opened.map_ok(lines).try_flatten())
}

async fn open(sending: Sending) -> Result<Lines, Error> {
    let idle_timeout = sending.idle_timeout();
    let response = sending.open("application/jsonl").await?;
    let lines =
        Lines { response, idle_timeout, buffer: BytesMut::new(), searched: 0, is_over: false };
    match media_type(lines.response.headers()).as_str() {
        "application/jsonl" | "application/x-ndjson" => Ok(lines),
        _ => Err(lines.foreign()),
    }
}

async fn next<T, P>(mut lines: Lines, parse: P) -> Result<Option<(T, Lines)>, Error>
where
    P: Fn(&[u8], &Head<'_>) -> Result<Option<T>, serde_json::Error>,
{
    while let Some(line) = lines.next().await? {
        if let Some(item) = one(&line, &lines, &parse)? {
            return Ok(Some((item, lines)));
        }
    }
    Ok(None)
}

fn one<T, P>(line: &[u8], lines: &Lines, parse: &P) -> Result<Option<T>, Error>
where
    P: Fn(&[u8], &Head<'_>) -> Result<Option<T>, serde_json::Error>,
{
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let is_whole = line.ends_with(b"\n");
    let foreign = |_| if is_whole { lines.foreign() } else { broken_off(CUT.into()) };
    let head: Head<'_> = serde_json::from_slice(line).map_err(foreign)?;
    match &*head.kind {
        "nop" => Ok(None),
        "error" => Err(broken(head.data)),
        _ => parse(line, &head).map_err(foreign),
    }
}

fn broken(data: Option<&RawValue>) -> Error {
    let said = data.and_then(|data| serde_json::from_str(data.get()).ok());
    let Broken { code, message } = said.unwrap_or_default();
    Error::BrokenOff {
        code,
        message: message.unwrap_or_else(|| "the server did not say why".into()),
    }
}

/// An answer, line by line. Lines are put together of bytes, so that a character may come in two pieces.
struct Lines {
    response: reqwest::Response,
    /// A server that is silent for longer is gone.
    idle_timeout: Duration,
    /// What came of lines that have not been taken yet.
    buffer: BytesMut,
    /// How much of it is known to hold no line's end.
    searched: usize,
    is_over: bool,
}

impl Lines {
    /// The next line, with its end; the last one may have none.
    async fn next(&mut self) -> Result<Option<BytesMut>, Error> {
        loop {
            let unseen = &self.buffer[self.searched..];
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > LONGEST_LINE {
                return Err(broken_off("a line is longer than 16 MiB".into()));
            }
            if self.is_over {
                self.searched = 0;
                let last = self.buffer.split();
                return Ok((!last.is_empty()).then_some(last));
            }
            match self.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => self.is_over = true,
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let limit = self.idle_timeout;
        let silent = |_| broken_off(format!("nothing came for {} s", limit.as_secs_f64()));
        let chunk = tokio::time::timeout(limit, self.response.chunk());
        chunk.await.map_err(silent)?.map_err(|error| broken_off(cause(&error)))
    }

    fn foreign(&self) -> Error {
        let media_type = media_type(self.response.headers());
        let what =
            if media_type == "application/jsonl" { "other lines".into() } else { media_type };
        Error::Foreign { status: self.response.status(), what }
    }
}

fn broken_off(message: String) -> Error {
    Error::BrokenOff { code: None, message }
}

/// The cause that says what happened; those around it say what was being done.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
