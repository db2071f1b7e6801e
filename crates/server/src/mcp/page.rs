//! Lists for a model: a few rows at a time.

use std::fmt::Display;

use keyfob_store::Page;

use crate::{broker::Slice, error::Error};

/// Rows of an answer, unless it is said.
const FEW: u32 = 20;
/// The most rows of an answer.
pub(super) const MOST: u32 = 100;
/// An answer ends after so many parts, with a cursor to go on, however few rows they had.
const PARTS: usize = 20;

/// The part of a list that is asked for, oldest first.
pub(super) fn slice<Id, E>(
    limit: Option<u32>,
    cursor: Option<&str>,
    parse: impl FnOnce(&str) -> Result<Id, E>,
) -> Result<Slice<Id>, Error> {
    let take = limit.unwrap_or(FEW);
    let wrong = |_| Error::invalid("bad_request", "\"cursor\" is not one of this list");
    let after = cursor.map(parse).transpose().map_err(wrong)?;
    Ok(Slice { after, oldest_first: true, take })
}

/// The rows of that part which are wanted, and the cursor of the next if there is one.
pub(super) async fn gather<Row, Id: Clone + Display, Found>(
    mut slice: Slice<Id>,
    page: impl Fn(Slice<Id>) -> Found,
    is_wanted: impl Fn(&Row) -> bool,
    id: impl Fn(&Row) -> Id,
) -> Result<(Vec<Row>, Option<String>), Error>
where
    Found: Future<Output = Result<Page<Row, Id>, Error>>,
{
    let most = slice.take as usize;
    let mut rows = Vec::new();
    for _ in 0..PARTS {
        let found = page(slice.clone()).await?;
        let Some(last) = found.last else { return Ok((rows, None)) };
        for row in found.rows.into_iter().filter(&is_wanted) {
            if rows.len() == most {
                return Ok((rows, last_of(&slice)));
            }
            slice.after = Some(id(&row));
            rows.push(row);
        }
        slice.after = Some(last);
        // Everybody else has a turn.
        tokio::task::yield_now().await;
    }
    Ok((rows, last_of(&slice)))
}

fn last_of<Id: Display>(slice: &Slice<Id>) -> Option<String> {
    slice.after.as_ref().map(ToString::to_string)
}
