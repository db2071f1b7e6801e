//! Transactions as store functions see them.

use std::{
    ops::{ControlFlow, Deref, DerefMut},
    sync::Arc,
};

use crate::{
    conn::{Bind, Conn, Row, Sql},
    error::{Failure, Fault, StoreError},
    event::Event,
};

/// A page ends with the row that makes it hold so many bytes. Hundreds of rows as they usually are come to
/// less; of the largest, of some 200 KiB each, a page of a hundred would be 20 MB for each of its readers.
const PAGE_BYTES: usize = 256 * 1024;

/// Reads committed rows; each statement sees the newest.
///
/// On SQLite and PostgreSQL alike a unit of reads is *not* one snapshot: nothing here needs one,
/// and PostgreSQL would pay two more round trips for it.
pub struct ReadTx<'c> {
    pub(crate) conn: &'c mut Conn,
    /// The first failure of this unit, whatever the unit made of it.
    pub(crate) fault: Option<Fault>,
    /// What that failure was, for the log.
    pub(crate) cause: Option<String>,
}

impl<'c> ReadTx<'c> {
    pub(crate) const fn new(conn: &'c mut Conn) -> Self {
        Self { conn, fault: None, cause: None }
    }

    pub(crate) fn note<T>(&mut self, result: Result<T, Failure>) -> Result<T, StoreError> {
        result.map_err(|failure| {
            if self.fault.is_none() {
                self.fault = Some(failure.fault);
                self.cause = Some(failure.error.chain());
            }
            failure.error
        })
    }

    /// The only row of the answer, if there is one.
    pub(crate) fn one<T>(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.each(sql, params, |row| {
            found = Some(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Every row of the answer. The statement bounds how many there are.
    pub(crate) fn many<T>(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each(sql, params, |row| {
            found.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Every row of the answer that can be read, and what is wrong with the others. The statement
    /// bounds how many there are, and [`PAGE_BYTES`] ends them earlier, but not before the first; `id`
    /// is where the answer has their ids.
    pub(crate) fn page<T, Id>(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        (id, to_id): (usize, impl Fn(&str) -> Id),
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T, Id>, StoreError> {
        self.page_by(sql, params, |row| Ok(to_id(&row.get::<String>(id)?)), read)
    }

    /// The same of rows that are found by something else than their ids. One that cannot be found again is damaged
    /// like any other, and none that the next page goes on after.
    pub(crate) fn page_by<T, Id>(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        found_by: impl Fn(&Row<'_>) -> Result<Id, StoreError>,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T, Id>, StoreError> {
        let mut page = Page { rows: Vec::new(), damaged: Vec::new(), last: None };
        let mut left = PAGE_BYTES;
        self.each(sql, params, |row| {
            match found_by(row) {
                Ok(found_by) => page.last = Some(found_by),
                Err(damage) => {
                    page.damaged.push(damage);
                    return Ok(ControlFlow::Continue(()));
                }
            }
            match read(row) {
                Ok(read) => page.rows.push(read),
                Err(damage) => page.damaged.push(damage),
            }
            left = left.saturating_sub(row.size());
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(page)
    }

    /// Reads row after row of the answer while `each` wants more.
    pub(crate) fn each(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        mut each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        // A row that cannot be read is no fault of the statement: its transaction goes on.
        let mut unreadable = None;
        let result = self.conn.query(sql, params, &mut |row| match each(row) {
            Ok(flow) => flow,
            Err(error) => {
                unreadable = Some(error);
                ControlFlow::Break(())
            }
        });
        self.note(result)?;
        unreadable.map_or(Ok(()), Err)
    }
}

/// A part of a list, of fewer rows than were asked for where rows are large: `last` alone tells that there
/// are no more. One damaged row must not hide all the others.
#[derive(Debug)]
pub struct Page<T, Id> {
    /// The rows that can be read, in order.
    pub rows: Vec<T>,
    /// What is wrong with the others.
    pub damaged: Vec<StoreError>,
    /// The last row's id, readable or not; `None` if there was no row.
    pub last: Option<Id>,
}

/// Reads and writes, in a transaction that other units of work may share. It can be run again, so
/// a unit of work has no effect but through it.
pub struct WriteTx<'c> {
    read: ReadTx<'c>,
    savepoint: Savepoint,
    /// Events beside the one that ends the unit.
    pub(crate) also: Vec<Arc<Event>>,
}

/// Where this unit can be rolled back to without its neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Savepoint {
    /// To the start of the transaction: the unit is alone in it.
    Start,
    /// To a savepoint that is set before the unit's first write.
    Due,
    /// To the savepoint that is set.
    Set,
}

impl<'c> Deref for WriteTx<'c> {
    type Target = ReadTx<'c>;

    fn deref(&self) -> &ReadTx<'c> {
        &self.read
    }
}

impl<'c> DerefMut for WriteTx<'c> {
    fn deref_mut(&mut self) -> &mut ReadTx<'c> {
        &mut self.read
    }
}

impl<'c> WriteTx<'c> {
    pub(crate) fn new(conn: &'c mut Conn, savepoint: Savepoint) -> Self {
        Self { read: ReadTx::new(conn), savepoint, also: Vec::new() }
    }

    /// Runs a statement that changes rows; how many it changed.
    pub(crate) fn execute(&mut self, sql: Sql, params: &[&dyn Bind]) -> Result<u64, StoreError> {
        self.set_savepoint()?;
        let result = self.conn.execute(sql, params);
        self.note(result)
    }

    /// A statement that changes at most one row and answers it.
    pub(crate) fn change<T>(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.set_savepoint()?;
        self.one(sql, params, read)
    }

    /// A statement that changes rows and answers each of them. The statement bounds how many there are.
    pub(crate) fn change_many<T>(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.set_savepoint()?;
        self.many(sql, params, read)
    }

    fn set_savepoint(&mut self) -> Result<(), StoreError> {
        if self.savepoint == Savepoint::Due {
            let result = self.conn.control("SAVEPOINT unit");
            self.note(result)?;
            self.savepoint = Savepoint::Set;
        }
        Ok(())
    }

    /// Keeps the unit's writes for the transaction's commit.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        match self.savepoint {
            Savepoint::Set => self.conn.control("RELEASE SAVEPOINT unit"),
            Savepoint::Start | Savepoint::Due => Ok(()),
        }
    }

    /// Takes the unit's writes back. `Err` means that the whole transaction has to go.
    pub(crate) fn undo(&mut self) -> Result<(), Failure> {
        match self.savepoint {
            Savepoint::Set => {
                self.conn.control("ROLLBACK TO SAVEPOINT unit")?;
                self.conn.control("RELEASE SAVEPOINT unit")
            }
            Savepoint::Due if self.fault.is_none() => Ok(()),
            // A failed read, or no savepoint to go back to.
            Savepoint::Due | Savepoint::Start => Err(Failure {
                fault: self.fault.unwrap_or(Fault::Unit),
                error: StoreError::Stopped,
            }),
        }
    }

    /// Tells of one more thing that the unit does, committed with its writes.
    pub fn also(&mut self, event: Event) {
        self.also.push(event.into());
    }

    /// Ends the unit: `value` is its answer, and `event` its audit row, committed with its writes.
    /// Nothing is answered before both are on stable storage.
    pub fn commit<T>(&self, event: impl Into<Arc<Event>>, value: T) -> Commit<T> {
        Commit { value, event: Some(event.into()) }
    }

    /// Ends a unit that changes nothing a person could care about and releases nothing.
    pub fn commit_unaudited<T>(&self, value: T) -> Commit<T> {
        Commit { value, event: None }
    }
}

/// The end of a unit of work. Only a transaction makes one, and dropping it keeps nothing.
#[must_use]
pub struct Commit<T> {
    pub(crate) value: T,
    /// Shared, since a unit that is run again gives it once more.
    pub(crate) event: Option<Arc<Event>>,
}

impl<T> Commit<T> {
    /// The same end with another answer.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Commit<U> {
        Commit { value: change(self.value), event: self.event }
    }
}
