//! Lists of `/api/v1`: which part is asked for, as what, and how it is sent
//! (contract/contacts-and-secrets, sections 1.7 and 11).

use axum::{
    Json,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use keyfob_api::list as wire;
use keyfob_store::Page;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::stream::{Encoder, stream};
use crate::{
    broker::{Caller, MetaFilter, Slice},
    error::Error,
};

/// The most items of one page.
const MOST: u32 = 100;

/// The query of a list.
#[derive(Debug, Default)]
pub(crate) struct ListQuery {
    cursor: Option<String>,
    oldest_first: bool,
    take: Option<u32>,
    meta: MetaFilter,
    blueprint_id: Option<String>,
    status: Option<String>,
}

impl ListQuery {
    /// Reads a query. Of a key that is there twice the first counts; what it does not know it ignores.
    pub(crate) fn parse(query: &str) -> Self {
        let mut all = Self::default();
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&key) {
                continue;
            }
            let value = value.trim();
            match key.as_ref() {
                "cursor" if !value.is_empty() => all.cursor = Some(value.to_owned()),
                "order" => all.oldest_first = value == "asc",
                "take" => all.take = leading_number(value),
                "blueprintId" if !value.is_empty() => all.blueprint_id = Some(value.to_owned()),
                "status" if !value.is_empty() => all.status = Some(value.to_owned()),
                key => all.meta.0.extend(meta_filter(key, value)),
            }
            seen.push(key);
        }
        all
    }

    /// What the list is filtered by.
    pub(crate) fn meta(&self) -> MetaFilter {
        self.meta.clone()
    }

    /// The blueprint that the list is about, if it is about one.
    pub(crate) fn blueprint_id(&self) -> Option<String> {
        self.blueprint_id.clone()
    }

    /// What state the items shall be in, where a list tells them apart by that.
    pub(crate) fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// The first part that is asked for. `parse` reads a cursor.
    pub(crate) fn slice<Id, E>(
        &self,
        parse: impl FnOnce(&str) -> Result<Id, E>,
    ) -> Result<Slice<Id>, Error> {
        let text = "\"cursor\" is not one of a list";
        let wrong = |_| Error::invalid("bad_request", text);
        let after = self.cursor.as_deref().map(parse).transpose().map_err(wrong)?;
        let take = self.take.map_or(MOST, |take| take.min(MOST));
        Ok(Slice { after, oldest_first: self.oldest_first, take })
    }
}

/// The number that a text begins with; `None` if there is none, or it is 0.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    u32::try_from(number).ok().or(Some(u32::MAX)).filter(|number| *number > 0)
}

/// `meta.KEY=VALUE` or `meta[KEY]=VALUE`.
fn meta_filter(key: &str, value: &str) -> Option<(String, String)> {
    let bracketed = || key.strip_prefix("meta[")?.strip_suffix(']');
    let key = key.strip_prefix("meta.").or_else(bracketed)?;
    (!key.is_empty() && !value.is_empty()).then(|| (key.to_owned(), value.to_owned()))
}

/// As what a list is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One page.
    Json,
    /// All of it, a line for each item.
    Lines,
    /// All of it, a line for each item, for spreadsheets.
    Csv,
}

impl Format {
    /// What `Accept` asks for: its first media range counts.
    pub(crate) fn of(headers: &HeaderMap, has_csv: bool) -> Result<Self, Error> {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let first = accept.unwrap_or_default().split([',', ';']).next().unwrap_or_default();
        match first.trim().to_ascii_lowercase().as_str() {
            "" | "*/*" | "application/*" | "application/json" => Ok(Self::Json),
            "application/jsonl" => Ok(Self::Lines),
            "text/csv" if has_csv => Ok(Self::Csv),
            _ => Err(Error::invalid("bad_request", "Unsupported accept header")),
        }
    }
}

/// A list: how its pages are found, and what its rows look like from outside.
pub(crate) trait List: Clone + Send + Sync + 'static {
    /// A row.
    type Row: Send;
    /// What pages are found by.
    type Id: Clone + Send + Sync + std::fmt::Display;
    /// A row as it is sent.
    type Item: Serialize;
    /// The columns of a row as it is exported, in order.
    const COLUMNS: &'static [&'static str] = &[];
    /// A page ends after so many parts, with a cursor to go on, however few rows they had.
    const PARTS: u32 = u32::MAX;

    /// The rows of this part. There may be fewer than asked for, although more follow.
    fn page(
        &self,
        slice: Slice<Self::Id>,
    ) -> impl Future<Output = Result<Page<Self::Row, Self::Id>, Error>> + Send;

    /// What a row is found by.
    fn id(row: &Self::Row) -> Self::Id;

    /// A row as it is sent.
    fn shape(row: Self::Row) -> Self::Item;
}

/// Answers a list in the form that was asked for.
pub(crate) async fn answer<L: List>(
    list: L,
    slice: Slice<L::Id>,
    query: &ListQuery,
    format: Format,
    caller: &Caller,
) -> Result<Response, Error> {
    match format {
        Format::Json => page(&list, slice).await,
        Format::Lines => stream(list, slice, query.take, caller, Encoder::Lines).await,
        Format::Csv => stream(list, slice, query.take, caller, Encoder::Csv).await,
    }
}

/// One page, as many rows of it as were asked for.
async fn page<L: List>(list: &L, mut slice: Slice<L::Id>) -> Result<Response, Error> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    let (mut found, mut parts) = (list.page(slice.clone()).await?, 1);
    while let Some(last) = found.last {
        slice.after = Some(last);
        slice.take = slice.take.saturating_sub(u32::try_from(found.rows.len()).unwrap_or(u32::MAX));
        if let Some(last) = found.rows.last() {
            cursor = L::id(last).to_string();
        }
        for row in found.rows {
            // As text: a value of many small parts takes a multiple of it.
            items.push(to_raw_value(&L::shape(row)).map_err(Error::internal)?);
        }
        if slice.take == 0 {
            break;
        }
        if parts == L::PARTS {
            cursor = slice.after.map(|last| last.to_string()).unwrap_or_default();
            break;
        }
        parts += 1;
        found = next(list, slice.clone()).await?;
    }
    Ok(Json(wire::Page { items, cursor }).into_response())
}

/// A part after the first, when everybody else has had a turn.
///
/// On SQLite a part is there at once. A filter that finds nothing would keep its thread, and with it all
/// that this serves, until the list ends; and its own connection would not notice that the caller has
/// gone, which ends this future. Tokio's own budget does not help: it counts no reads.
pub(super) async fn next<L: List>(
    list: &L,
    slice: Slice<L::Id>,
) -> Result<Page<L::Row, L::Id>, Error> {
    tokio::task::yield_now().await;
    list.page(slice).await
}
