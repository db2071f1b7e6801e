//! A whole list, sent page by page as fast as the caller takes it: whole lines only, in ASCII, so that
//! a client that decodes each piece by itself cannot break a character.

use std::{
    io,
    pin::{Pin, pin},
    time::Duration,
};

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use keyfob_api::list::Line;
use keyfob_store::Page;
use serde::Serialize;
use serde_json::{
    Value,
    ser::{CompactFormatter, Formatter, Serializer},
};

use super::list::{List, next};
use crate::{
    broker::{Caller, Slice},
    error::{Dialect, Error},
};

/// A stream that has found nothing for so long says that it goes on.
const QUIET: Duration = Duration::from_secs(15);
/// How it says so: before a line or after the last one a blank is nothing. A line of its own would be
/// an item to one published client, and an error to another.
const BLANK: &[u8] = b" ";

/// How rows become lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoder {
    /// JSON lines.
    Lines,
    /// Comma-separated values.
    Csv,
}

type Pending<L> =
    Pin<Box<dyn Future<Output = Result<Page<<L as List>::Row, <L as List>::Id>, Error>> + Send>>;

/// How far a list has been sent.
struct Sending<L: List> {
    list: L,
    slice: Slice<L::Id>,
    /// How many rows are still wanted; `None` is all.
    left: Option<u32>,
    next: Pending<L>,
    encoder: Encoder,
    /// How long it may find nothing before it says that it goes on.
    quiet: Duration,
    caller: Caller,
}

/// The most rows of one page.
const PAGE: u32 = 100;

/// Sends up to `total` rows. What fails before the first row is an answer of its own.
pub(super) async fn stream<L: List>(
    list: L,
    mut slice: Slice<L::Id>,
    total: Option<u32>,
    caller: &Caller,
    encoder: Encoder,
) -> Result<Response, Error> {
    slice.take = total.map_or(PAGE, |total| total.min(PAGE));
    let first = list.page(slice.clone()).await?;
    let next: Pending<L> = Box::pin(std::future::ready(Ok(first)));
    let caller = caller.clone();
    let sending = Sending { list, slice, left: total, next, encoder, quiet: QUIET, caller };
    let chunks = stream::unfold(Some(sending), async |sending| sending?.chunk().await);
    let head = stream::iter(encoder.head::<L>().map(Ok::<_, io::Error>));
    let body = Body::from_stream(futures_util::StreamExt::chain(head, chunks));
    Ok(([(header::CONTENT_TYPE, encoder.media_type())], body).into_response())
}

type Chunk<L> = Option<(Result<Vec<u8>, io::Error>, Option<Sending<L>>)>;

impl<L: List> Sending<L> {
    /// The next piece of the list, and what comes after it.
    async fn chunk(mut self) -> Chunk<L> {
        let mut quiet = pin!(tokio::time::sleep(self.quiet));
        loop {
            let found = tokio::select! {
                biased;
                found = &mut self.next => found,
                () = &mut quiet, if self.encoder == Encoder::Lines => {
                    return Some((Ok(BLANK.to_vec()), Some(self)));
                }
            };
            let page = match found {
                Ok(page) => page,
                Err(error) => {
                    error.log(self.caller.request_id());
                    return Some((self.encoder.error(&error), None));
                }
            };
            self.slice.after = Some(page.last?);
            let count = u32::try_from(page.rows.len()).unwrap_or(u32::MAX);
            let mut chunk = Vec::new();
            for row in page.rows {
                if let Err(error) = self.encoder.row::<L>(&mut chunk, row) {
                    return Some((Err(error), None));
                }
            }
            self.left = self.left.map(|left| left.saturating_sub(count));
            if self.left == Some(0) {
                return Some((Ok(chunk), None));
            }
            self.slice.take = self.left.map_or(PAGE, |left| left.min(PAGE));
            let (list, slice) = (self.list.clone(), self.slice.clone());
            self.next = Box::pin(async move { next(&list, slice).await });
            if !chunk.is_empty() {
                return Some((Ok(chunk), Some(self)));
            }
        }
    }
}

impl Encoder {
    fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    fn head<L: List>(self) -> Option<Vec<u8>> {
        (self == Self::Csv).then(|| format!("{}\n", L::COLUMNS.join(",")).into_bytes())
    }

    fn row<L: List>(self, into: &mut Vec<u8>, row: L::Row) -> io::Result<()> {
        let item = L::shape(row);
        match self {
            Self::Lines => into.extend(line(&Line::Item(item))?),
            Self::Csv => {
                let item = serde_json::to_value(&item)?;
                let cells: Vec<_> = L::COLUMNS.iter().map(|name| cell(&item[*name])).collect();
                into.extend_from_slice(cells.join(",").as_bytes());
                into.push(b'\n');
            }
        }
        Ok(())
    }

    /// What ends a list that broke off: the status says 200 already.
    fn error(self, error: &Error) -> io::Result<Vec<u8>> {
        let parts = error.parts(Dialect::V1);
        match self {
            Self::Lines => line(&Line::<()>::Error {
                code: parts.code.to_ascii_uppercase(),
                message: parts.message.into_owned(),
            }),
            // Nothing in the format could say so: the connection breaks off.
            Self::Csv => Err(io::Error::other(parts.code)),
        }
    }
}

/// A line of JSON in ASCII.
fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut line, Ascii))?;
    line.push(b'\n');
    Ok(line)
}

/// A value in double quotes; nothing, false and 0 are an empty one.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null | Value::Bool(false) => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_f64() == Some(0.0) => String::new(),
        other => other.to_string(),
    };
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Writes every character beyond ASCII as `\u` and its UTF-16 units (RFC 8259, section 7).
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for piece in fragment.split_inclusive(|c: char| !c.is_ascii()) {
            let at = piece.char_indices().next_back().filter(|(_, c)| !c.is_ascii());
            let (plain, last) = at.map_or((piece, None), |(at, c)| (&piece[..at], Some(c)));
            CompactFormatter.write_string_fragment(writer, plain)?;
            for unit in last.iter().flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering::Relaxed},
        },
        time::Duration,
    };

    use keyfob_core::{
        id::{AccountId, ContactId},
        policy::{Grant, Role},
    };
    use keyfob_store::Page;
    use serde_json::json;

    use super::{BLANK, Encoder, List, Sending, cell, line};
    use crate::{
        broker::{Caller, Slice},
        error::Error,
    };

    /// A list that never finds anything: it waits for ever, or it has looked through so many parts, each of
    /// which is there at once.
    #[derive(Clone)]
    struct Nothing(Option<Arc<AtomicU32>>);

    impl List for Nothing {
        type Row = ContactId;
        type Id = ContactId;
        type Item = String;

        async fn page(&self, _: Slice<ContactId>) -> Result<Page<ContactId, ContactId>, Error> {
            let Some(parts) = &self.0 else { return pending().await };
            let is_part = parts.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
            Ok(Page { rows: vec![], damaged: vec![], last: is_part.then(ContactId::never) })
        }

        fn id(row: &ContactId) -> ContactId {
            row.clone()
        }

        fn shape(row: ContactId) -> String {
            row.to_string()
        }
    }

    fn sending(list: Nothing) -> Sending<Nothing> {
        let account = AccountId::from_stored("acc_00000000000000000000000000");
        let slice = Slice { after: None, oldest_first: false, take: 1 };
        let (asked, part) = (list.clone(), slice.clone());
        Sending {
            list,
            slice,
            left: None,
            next: Box::pin(async move { asked.page(part).await }),
            encoder: Encoder::Lines,
            quiet: Duration::ZERO,
            caller: Caller::operator(Grant::new(account, Role::Owner), "a test's".into()),
        }
    }

    #[tokio::test]
    async fn a_list_that_finds_nothing_says_that_it_goes_on_with_what_no_client_reads() {
        let (said, sending) = sending(Nothing(None)).chunk().await.unwrap();
        let mut line = said.unwrap();
        assert!(!line.contains(&b'\n'), "a blank line would be refused");
        let (said, _) = sending.unwrap().chunk().await.unwrap();
        line.extend(said.unwrap());
        line.extend(super::line(&json!({"type": "item"})).unwrap());
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, json!({"type": "item"}));
    }

    #[tokio::test]
    async fn a_list_that_looks_through_many_parts_says_in_between_that_it_goes_on() {
        let parts = Arc::new(AtomicU32::new(100_000));
        let said = sending(Nothing(Some(parts.clone()))).chunk().await;
        let (said, _) = said.expect("it ended without a word");
        assert_eq!(said.unwrap(), BLANK);
        assert!(parts.load(Relaxed) > 0, "only when all was looked through");
    }

    #[test]
    fn a_line_is_ascii_and_reads_back_as_it_was() {
        let value = json!({"name": "Zoë 🔑 \"日本\"\n", "ключ": [1, "é"]});
        let line = line(&value).unwrap();
        assert!(line.is_ascii());
        assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_cell_is_quoted_and_nothing_is_an_empty_one() {
        assert_eq!(cell(&json!("a \"b\", c")), r#""a ""b"", c""#);
        for nothing in [json!(null), json!(""), json!(0), json!(false)] {
            assert_eq!(cell(&nothing), r#""""#);
        }
        assert_eq!(cell(&json!(12)), r#""12""#);
    }
}
