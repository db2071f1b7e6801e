//! Parts of lists.

use keyfob_store::Page;

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
