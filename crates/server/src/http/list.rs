//! Lists of `/api/v1`: which part is asked for, and as what.

use serde::Deserialize;

use crate::error::Error;

/// The most items of one page.
const MOST: u32 = 100;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListQuery {
    cursor: Option<String>,
    order: Option<String>,
    take: Option<String>,
}

impl ListQuery {
    /// The last item of the page before, if there was one.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|cursor| !cursor.is_empty())
    }

    /// Whether the oldest come first; newest first is the default.
    pub(crate) fn oldest_first(&self) -> Result<bool, Error> {
        match self.order.as_deref() {
            Some("asc") => Ok(true),
            None | Some("" | "desc") => Ok(false),
            Some(_) => Err(Error::invalid("bad_request", "\"order\" must be one of [asc, desc]")),
        }
    }

    /// How many items: 1 to 100, and 100 if nothing is said. More than 100 is 100.
    pub(crate) fn take(&self) -> Result<u32, Error> {
        let Some(take) = self.take.as_deref().filter(|take| !take.is_empty()) else {
            return Ok(MOST);
        };
        let number = take.parse().ok().filter(|number| *number >= 1);
        let text = "\"take\" must be a whole number from 1";
        number.map(|number: u32| number.min(MOST)).ok_or(Error::invalid("bad_request", text))
    }
}
