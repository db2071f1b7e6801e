//! Parts of lists.

use keyfob_store::{Page, StoreError};

/// Which part of a list is asked for.
#[derive(Clone, Debug)]
pub struct Slice<Id> {
    /// The last item of the page before.
    pub after: Option<Id>,
    /// Oldest first rather than newest first.
    pub oldest_first: bool,
    /// How many items at the most.
    pub take: u32,
}

/// Rows that a filter looks at in one unit of work.
pub(super) const SCANNED: u32 = 500;

impl<Id: Clone + Ord> Slice<Id> {
    /// The page of a list that has only these few ids, which `find` looks up one by one: of a caller who may see
    /// no others, where looking through all would take as long as there are others.
    pub(super) fn of_few<T>(
        &self,
        ids: &[Id],
        mut find: impl FnMut(&Id) -> Result<Option<T>, StoreError>,
    ) -> Result<Page<T, Id>, StoreError> {
        let follows = |id: &&Id| match (&self.after, self.oldest_first) {
            (None, _) => true,
            (Some(after), true) => *id > after,
            (Some(after), false) => *id < after,
        };
        let mut ids: Vec<_> = ids.iter().filter(follows).collect();
        ids.sort();
        if !self.oldest_first {
            ids.reverse();
        }
        ids.truncate(self.take as usize);
        let last = ids.last().map(|id| (*id).clone());
        let mut page = Page { rows: Vec::new(), damaged: Vec::new(), last };
        for id in ids {
            match find(id) {
                Ok(row) => page.rows.extend(row),
                Err(error @ StoreError::Corrupt { .. }) => page.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}

impl<Id: Clone> Slice<Id> {
    /// Ends a page that a filter has looked through, so that it has no more rows than were asked for and
    /// the next one begins after the last of them.
    pub(super) fn end<T>(&self, page: &mut Page<T, Id>, id: impl Fn(&T) -> &Id) {
        if page.rows.len() > self.take as usize {
            page.rows.truncate(self.take as usize);
            page.last = page.rows.last().map(|row| id(row).clone());
        }
    }
}
