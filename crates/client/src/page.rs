//! Lists: one page, all pages, all items.

use std::collections::HashSet;

use futures_util::{TryStreamExt, stream};
use keyfob_api::list::Page;
use serde::de::DeserializeOwned;

use crate::{Error, Request, lines, request::failed, stream::Items};

/// In which order a list is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Desc,
    /// The oldest first.
    Asc,
}

/// Awaited, a list is its first page. There are three ways to have all of it: [`stream`](Request::stream), which is the
/// fastest, [`items`](Request::items) and [`pages`](Request::pages).
impl<T: DeserializeOwned + Send + 'static> Request<Page<T>> {
    /// How many items a page has at the most: 1 to 100, and 100 if it is not said. A stream ends with so many.
    pub fn take(self, most: u32) -> Self {
        self.set("take", most.to_string())
    }

    /// In which order they come.
    pub fn order(self, order: Order) -> Self {
        self.set("order", if order == Order::Asc { "asc" } else { "desc" }.into())
    }

    /// Where it begins: behind the item of this id, or where the page before it says.
    pub fn cursor(self, cursor: &str) -> Self {
        self.set("cursor", cursor.to_owned())
    }

    /// Only those whose `meta` has this value at this key. Dots in a key walk into objects; of several filters all must
    /// fit.
    pub fn meta(self, key: &str, value: &str) -> Self {
        self.set(&format!("meta.{key}"), value.to_owned())
    }

    /// All items in one answer, as JSON Lines: the server reads them as fast as they are taken. If it breaks off, that
    /// is an error, and not the end.
    pub fn stream(self) -> Items<T> {
        self.sending().map_or_else(failed, lines::items)
    }

    /// All pages, each of which is asked for when somebody waits for it.
    pub fn pages(self) -> Items<Page<T>> {
        let first = Some((self, HashSet::new()));
        Items::new(stream::try_unfold(first, async |next| {
            let Some((request, mut before)) = next else { return Ok(None) };
            let (page, request) = request.page().await?;
            // A filter may find nothing in a part of a list: only a page with neither is the last one.
            let is_last = page.cursor.is_empty();
            if !is_last && !before.insert(page.cursor.clone()) {
                let message = "the list goes on where it began".into();
                return Err(Error::BrokenOff { code: None, message });
            }
            let next = (!is_last).then(|| (request.cursor(&page.cursor), before));
            Ok((!is_last || !page.items.is_empty()).then_some((page, next)))
        }))
    }

    /// All items, page by page.
    pub fn items(self) -> Items<T> {
        let pages = self.pages();
        Items::new(pages.map_ok(|page| stream::iter(page.items.into_iter().map(Ok))).try_flatten())
    }

    /// The page, and the request that it came of.
    async fn page(self) -> Result<(Page<T>, Self), Error> {
        let (again, sending) = self.again()?;
        Ok((sending.whole().await?.json()?, again))
    }
}
