//! What comes one after the other.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};

use crate::Error;

/// Items that come one after the other, as fast as they are taken: nothing is asked for before somebody waits for
/// it, and whoever drops this ends the request. It ends after the first error.
///
/// It is a [`Stream`], and has the two methods that are wanted most.
///
/// ```
/// # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
/// # doc::example(async |client| {
/// let mut contacts = client.contacts().list().stream();
/// while let Some(contact) = contacts.try_next().await? {
///     println!("{} {}", contact.id, contact.name);
/// }
/// # Ok(()) });
/// ```
#[must_use = "nothing is asked for before it is polled"]
pub struct Items<T>(BoxStream<'static, Result<T, Error>>);

impl<T> Items<T> {
    pub(crate) fn new(stream: impl Stream<Item = Result<T, Error>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// The next item; `None` at the end.
    pub async fn try_next(&mut self) -> Result<Option<T>, Error> {
        TryStreamExt::try_next(&mut self.0).await
    }

    /// The first items, `most` of them if there are so many.
    pub async fn try_take(mut self, most: usize) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while items.len() < most {
            match self.try_next().await? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(items)
    }
}

impl<T> Stream for Items<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl<T> std::fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}
