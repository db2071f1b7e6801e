//! Lists that may be long: page by page, or in one answer as lines.

use std::{marker::PhantomData, vec};

use bytes::BytesMut;
use keyfob_api::list::{Line, Page};
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;

use crate::{Client, Error, NO_BODY, accepted};

/// Which items of a list are wanted, and in which order; the default is all, newest first.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Those whose `meta` has these values at these keys; dots in a key walk into nested objects.
    pub meta: Vec<(String, String)>,
    /// Oldest first.
    pub oldest_first: bool,
}

impl ListQuery {
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let meta = self.meta.iter().map(|(key, value)| (format!("meta.{key}"), value.clone()));
        let order = self.oldest_first.then(|| ("order".into(), "asc".into()));
        order.into_iter().chain(meta).collect()
    }
}

/// A list that asks for its next page when it needs it.
pub struct List<T> {
    client: Client,
    path: Vec<String>,
    query: Vec<(String, String)>,
    page: vec::IntoIter<T>,
    /// Where the next page begins; `None` after the last one.
    cursor: Option<String>,
}

impl<T: DeserializeOwned> List<T> {
    pub(crate) fn new(client: &Client, path: &[&str], query: Vec<(String, String)>) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        let (client, page) = (client.clone(), Vec::new().into_iter());
        Self { client, path, query, page, cursor: Some(String::new()) }
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(item) = self.page.next() {
                return Ok(Some(item));
            }
            let Some(cursor) = self.cursor.take() else {
                return Ok(None);
            };
            let mut query = self.query.clone();
            query.push(("cursor".into(), cursor));
            let path: Vec<_> = self.path.iter().map(String::as_str).collect();
            let page: Page<T> = self.client.call(Method::GET, &path, &query, NO_BODY).await?;
            // Only a page with neither is the last one: a filter may find nothing in a part of a list.
            let is_last = page.items.is_empty() && page.cursor.is_empty();
            self.cursor = (!is_last).then_some(page.cursor);
            self.page = page.items.into_iter();
        }
    }

    /// The first items, `most` of them if there are so many.
    pub async fn take(mut self, most: usize) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while items.len() < most {
            match self.next().await? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(items)
    }
}

/// A list that comes in one answer, a line of JSON for each item.
pub struct Lines<T> {
    response: Response,
    /// What came of lines that have not been taken yet.
    buffer: BytesMut,
    /// How much of it is known to hold no line's end.
    searched: usize,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(crate) async fn open(
        client: &Client,
        path: &[&str],
        query: &[(String, String)],
    ) -> Result<Self, Error> {
        let request = client.request(Method::GET, path, &query, "application/jsonl")?;
        let response = accepted(request.send().await?).await?;
        Ok(Self { response, buffer: BytesMut::new(), searched: 0, item: PhantomData })
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        let Some(line) = self.line().await? else {
            return Ok(None);
        };
        let foreign = |_| Error::Foreign { status: self.response.status() };
        match serde_json::from_slice(&line).map_err(foreign)? {
            Line::Item(item) => Ok(Some(item)),
            Line::Error { message, .. } => Err(Error::BrokenOff(message)),
        }
    }

    async fn line(&mut self) -> Result<Option<BytesMut>, Error> {
        loop {
            let unseen = &self.buffer[self.searched..];
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            match self.response.chunk().await.map_err(|error| broken_off(&error))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                // Blanks are what a list says while it finds nothing.
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => return Err(Error::BrokenOff("its last line is not whole".into())),
            }
        }
    }
}

/// The cause that says what happened; those around it say what was being done.
fn broken_off(error: &reqwest::Error) -> Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::BrokenOff(cause.to_string())
}
