//! The layer that lets one store function run on both databases: one connection, one row, one
//! way to bind a value and one to read it.

use std::collections::HashMap;

use crate::error::{Failure, StoreError};

/// One statement in both spellings: SQLite numbers its parameters `?1`, PostgreSQL `$1`.
///
/// Made by [`sql!`] only, from a constant, so no statement is ever built at run time.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
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

/// The statement with this text, written as PostgreSQL has it (`$1`).
macro_rules! sql {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const NUMBERED: [u8; TEXT.len()] = $crate::conn::numbered(TEXT);
        const SQLITE: &str = match core::str::from_utf8(&NUMBERED) {
            Ok(text) => text,
            Err(_) => panic!("a statement is UTF-8"),
        };
        $crate::conn::Sql { sqlite: SQLITE, postgres: TEXT }
    }};
}
pub(crate) use sql;

/// A value that both databases take as a parameter.
pub(crate) trait Bind: rusqlite::ToSql + postgres::types::ToSql + Sync {}
impl<T: rusqlite::ToSql + postgres::types::ToSql + Sync> Bind for T {}

/// A value that both databases give back.
pub(crate) trait Column:
    rusqlite::types::FromSql + for<'a> postgres::types::FromSql<'a>
{
}
impl<T: rusqlite::types::FromSql + for<'a> postgres::types::FromSql<'a>> Column for T {}

/// One row of an answer.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    /// The column number `index`, from 0. A value of another type is damage, and an error.
    pub(crate) fn get<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(row) => row.get(index).map_err(|e| StoreError::Database(e.into())),
            Self::Postgres(row) => row.try_get(index).map_err(|e| StoreError::Database(e.into())),
        }
    }
}

/// What a query does with each row.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>;

/// A connection to whichever database is open.
pub(crate) enum Conn {
    Sqlite(rusqlite::Connection),
    Postgres(Box<PostgresConn>),
}

/// A connection to PostgreSQL with the statements it has prepared, by the address of their text.
pub(crate) struct PostgresConn {
    pub(crate) client: postgres::Client,
    pub(crate) statements: HashMap<usize, postgres::Statement>,
    /// The server process behind this connection.
    pub(crate) backend: i32,
}

impl PostgresConn {
    pub(crate) fn prepared(&mut self, sql: Sql) -> Result<postgres::Statement, postgres::Error> {
        let address = sql.postgres.as_ptr().addr();
        if let Some(statement) = self.statements.get(&address) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql.postgres)?;
        self.statements.insert(address, statement.clone());
        Ok(statement)
    }
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
            Self::Postgres(conn) => {
                let statement = conn.prepared(sql)?;
                let params: Vec<_> = params.iter().map(|p| postgres_param(*p)).collect();
                Ok(conn.client.execute(&statement, &params)?)
            }
        }
    }

    /// Runs a statement that answers rows, and hands them on one by one.
    pub(crate) fn query(
        &mut self,
        sql: Sql,
        params: &[&dyn Bind],
        each: Each<'_>,
    ) -> Result<(), Failure> {
        let unit = |error| Failure { fault: crate::error::Fault::Unit, error };
        match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(sql.sqlite)?;
                bind(&mut statement, params)?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next()? {
                    each(&Row::Sqlite(row)).map_err(unit)?;
                }
            }
            Self::Postgres(conn) => {
                let statement = conn.prepared(sql)?;
                let params = params.iter().map(|p| postgres_param(*p));
                let mut rows = conn.client.query_raw(&statement, params)?;
                while let Some(row) =
                    postgres::fallible_iterator::FallibleIterator::next(&mut rows)?
                {
                    each(&Row::Postgres(&row)).map_err(unit)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a statement without parameters and without an answer, such as `COMMIT`.
    pub(crate) fn control(&mut self, statement: &str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(conn) => {
                conn.prepare_cached(statement)?.raw_execute()?;
            }
            Self::Postgres(conn) => conn.client.batch_execute(statement)?,
        }
        Ok(())
    }
}

fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    params: &[&dyn Bind],
) -> rusqlite::Result<()> {
    for (index, param) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, *param as &dyn rusqlite::ToSql)?;
    }
    Ok(())
}

fn postgres_param(param: &dyn Bind) -> &(dyn postgres::types::ToSql + Sync) {
    param
}
