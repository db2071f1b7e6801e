//! What can go wrong in the store. That a row is not there is no error: it is `None`.

use std::error::Error;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or is busy for longer than a caller should wait.
    #[error("the database is away or busy")]
    Unavailable(#[source] Cause),
    /// More units of work wait than the store takes on.
    #[error("too many units of work are waiting")]
    Overloaded,
    /// A row with the same unique key is there already. The operation knows what that means.
    #[error("a row with this key exists")]
    Conflict,
    /// A stored row does not hold what it must.
    #[error(
        "{table} row {row}: column {column} is damaged. Restore the row from a backup, or delete it and store it again"
    )]
    Corrupt {
        /// The row's table.
        table: &'static str,
        /// The column that is damaged.
        column: String,
        /// The row's id.
        row: String,
    },
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] Cause),
    /// The database cannot be opened as configured; the text says what to do.
    #[error("{0}")]
    Open(String),
    /// The store was closed, or a unit of work panicked.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// The error and all that caused it, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// The driver's own error.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What a driver's error means for the unit of work it came up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Run the unit again: it lost against a concurrent one.
    Again,
    /// The connection is gone; run the unit again on a new one.
    Lost,
    /// The unit itself failed.
    Unit,
    /// The connection was lost during a commit and nobody can say what became of it.
    Unknown,
}

/// A driver's error with its meaning.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    pub(crate) error: StoreError,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{ErrorCode, ffi};
        let (fault, wrap): (_, fn(Cause) -> StoreError) = match error.sqlite_error() {
            Some(ffi::Error {
                code: ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, ..
            }) => (Fault::Again, StoreError::Unavailable),
            Some(ffi::Error { extended_code, .. })
                if [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY]
                    .contains(extended_code) =>
            {
                (Fault::Unit, |_| StoreError::Conflict)
            }
            Some(ffi::Error {
                code: ErrorCode::CannotOpen | ErrorCode::DiskFull | ErrorCode::SystemIoFailure,
                ..
            }) => (Fault::Unit, StoreError::Unavailable),
            _ => (Fault::Unit, StoreError::Database),
        };
        Self { fault, error: wrap(error.into()) }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let code = error.code().map(tokio_postgres::error::SqlState::code);
        let (fault, wrap): (_, fn(Cause) -> StoreError) = match code {
            // unique_violation
            Some("23505") => (Fault::Unit, |_| StoreError::Conflict),
            // serialization_failure, deadlock_detected, lock_not_available
            Some("40001" | "40P01" | "55P03") => (Fault::Again, StoreError::Unavailable),
            // query_canceled, by `statement_timeout`
            Some("57014") => (Fault::Unit, StoreError::Unavailable),
            // read_only_sql_transaction (after a fail-over), idle_in_transaction_session_timeout,
            // feature_not_supported (a statement prepared before a migration), connection
            // exceptions, operator intervention
            Some("25006" | "25P03" | "0A000") => (Fault::Lost, StoreError::Unavailable),
            Some(code) if code.starts_with("08") || code.starts_with("57P") => {
                (Fault::Lost, StoreError::Unavailable)
            }
            // insufficient_resources
            Some(code) if code.starts_with("53") => (Fault::Unit, StoreError::Unavailable),
            // Not the server's word but the connection's, unless a value did not convert.
            None if error.is_closed() || is_io(&error) => (Fault::Lost, StoreError::Unavailable),
            _ => (Fault::Unit, StoreError::Database),
        };
        Self { fault, error: wrap(error.into()) }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(<dyn Error>::is::<std::io::Error>)
}
