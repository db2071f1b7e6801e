//! The layer that lets one store function run on both databases: one connection, one row, one
//! way to bind a value and one to read it.

use std::{cell::Cell, ops::ControlFlow};

use keyfob_core::time::Timestamp;
use rusqlite::types::ValueRef;
use tokio_postgres::types::ToSql;

use crate::{
    error::{Failure, StoreError},
    postgres::PostgresConn,
};

/// One statement in both spellings: SQLite numbers its parameters `?1`, PostgreSQL `$1`.
///
/// Made by [`sql!`] only, from a constant, so no statement is ever built at run time.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    /// The table it is about.
    pub(crate) table: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// `$1` becomes `?1`. The texts have the same length, so this can run at compile time.
pub(crate) const fn numbered<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        let byte = text.as_bytes()[at];
        bytes[at] = if byte == b'$' { b'?' } else { byte };
        at += 1;
    }
    bytes
}

/// The statement on this table with this text, written as PostgreSQL has it (`$1`).
macro_rules! sql {
    ($table:ident, $text:expr) => {{
        const TEXT: &str = $text;
        const NUMBERED: [u8; TEXT.len()] = $crate::conn::numbered(TEXT);
        const SQLITE: &str = match core::str::from_utf8(&NUMBERED) {
            Ok(text) => text,
            Err(_) => panic!("a statement is UTF-8"),
        };
        $crate::conn::Sql { table: stringify!($table), sqlite: SQLITE, postgres: TEXT }
    }};
}
pub(crate) use sql;

/// A value that both databases take as a parameter.
pub(crate) trait Bind: rusqlite::ToSql + ToSql + Sync {}
impl<T: rusqlite::ToSql + ToSql + Sync> Bind for T {}

/// A value that both databases give back.
pub(crate) trait Column:
    rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>
{
}
impl<T: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>> Column for T {}

/// One row of an answer.
pub(crate) struct Row<'a> {
    table: &'static str,
    values: Values<'a>,
    /// How many bytes were read of it, on SQLite: to ask again would cost as much as to read.
    read: Cell<usize>,
}

enum Values<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// 9999-12-31T23:59:59.999Z in unix milliseconds: no stored moment is later.
const LATEST: i64 = 253_402_300_799_999;

impl<'a> Row<'a> {
    const fn new(table: &'static str, values: Values<'a>) -> Self {
        Self { table, values, read: Cell::new(0) }
    }

    /// The column number `index`, from 0. A value of another type is damage.
    pub(crate) fn get<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        self.value(index).ok_or_else(|| self.damaged(self.column(index)))
    }

    /// The moment in column number `index`. One that no date has is damage.
    pub(crate) fn time(&self, index: usize) -> Result<Timestamp, StoreError> {
        let millis = self.get::<i64>(index)?;
        if (-LATEST..=LATEST).contains(&millis) {
            return Ok(Timestamp::from_millis(millis));
        }
        Err(self.damaged(self.column(index)))
    }

    /// The moment in column number `index`, if there is one.
    pub(crate) fn time_if_any(&self, index: usize) -> Result<Option<Timestamp>, StoreError> {
        self.get::<Option<i64>>(index)?.map(|_| self.time(index)).transpose()
    }

    /// How many bytes its values take that were read so far, on PostgreSQL all of them.
    pub(crate) fn size(&self) -> usize {
        match self.values {
            Values::Sqlite(_) => self.read.get(),
            Values::Postgres(row) => row.raw_size_bytes(),
        }
    }

    fn value<T: Column>(&self, index: usize) -> Option<T> {
        match self.values {
            Values::Sqlite(row) => {
                let value = row.get_ref(index).ok()?;
                self.read.set(self.read.get() + sqlite_size(value));
                T::column_result(value).ok()
            }
            Values::Postgres(row) => row.try_get(index).ok(),
        }
    }

    /// The error that this row's `column` does not hold what it must.
    pub(crate) fn damaged(&self, column: &str) -> StoreError {
        let column = column.to_owned();
        StoreError::Corrupt { table: self.table, row: self.id().unwrap_or_default(), column }
    }

    /// What the statement tells of which row this is: its id, or at least its account's.
    fn id(&self) -> Option<String> {
        let named = |name| (0..self.columns()).find(|at| self.column(*at) == name);
        let at = named("id").or_else(|| named("account_id"))?;
        self.value(at).or_else(|| Some(self.value::<i64>(at)?.to_string()))
    }

    fn columns(&self) -> usize {
        match self.values {
            Values::Sqlite(row) => row.as_ref().column_count(),
            Values::Postgres(row) => row.len(),
        }
    }

    fn column(&self, index: usize) -> &str {
        match self.values {
            Values::Sqlite(row) => row.as_ref().column_name(index).unwrap_or_default(),
            Values::Postgres(row) => row.columns().get(index).map_or("", |column| column.name()),
        }
    }
}

fn sqlite_size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => size_of::<i64>(),
    }
}

/// What a query does with each row, and whether it wants more.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&Row<'_>) -> ControlFlow<()>;

/// A connection to whichever database is open.
pub(crate) enum Conn {
    Sqlite(rusqlite::Connection),
    Postgres(Box<PostgresConn>),
}

impl Conn {
    /// Runs a statement that changes rows; how many it changed.
    pub(crate) fn execute(&mut self, sql: Sql, params: &[&dyn Bind]) -> Result<u64, Failure> {
        match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(sql.sqlite)?;
                bind(&mut statement, params)?;
                Ok(statement.raw_execute()? as u64)
            }
            Self::Postgres(conn) => conn.execute(sql, &postgres_params(params)),
        }
    }

    /// Runs a statement that answers rows, and hands them on one by one.
    pub(crate) fn query(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        each: Each<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(sql.sqlite)?;
                bind(&mut statement, params)?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next()? {
                    if each(&Row::new(sql.table, Values::Sqlite(row))).is_break() {
                        break;
                    }
                }
            }
            Self::Postgres(conn) => {
                conn.query(sql, &postgres_params(params), &mut |row| {
                    each(&Row::new(sql.table, Values::Postgres(row)))
                })?;
            }
        }
        Ok(())
    }

    /// Runs a statement without parameters and without an answer, such as `COMMIT`.
    pub(crate) fn control(&mut self, statement: &str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(conn) => {
                conn.prepare_cached(statement)?.raw_execute()?;
                Ok(())
            }
            Self::Postgres(conn) => conn.control(statement),
        }
    }
}

pub(crate) fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    params: &[&dyn Bind],
) -> rusqlite::Result<()> {
    for (index, param) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, *param as &dyn rusqlite::ToSql)?;
    }
    Ok(())
}

fn postgres_params<'a>(params: &[&'a dyn Bind]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect()
}
