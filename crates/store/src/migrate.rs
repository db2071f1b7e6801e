//! Migrations: one folder for both databases.

use crate::{
    conn::{Conn, PostgresConn},
    error::StoreError,
    target::{Target, lock_file},
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// An arbitrary number that every Keyfob takes the same lock with.
const ADVISORY_LOCK: i64 = 0x6b65_7966_6f62;

/// Brings the database to this version's schema; does nothing if it is there.
pub(crate) fn run(target: &Target) -> Result<(), StoreError> {
    // Before the first connection: two cannot turn on the write-ahead log of a new file at once.
    let _lock = match target {
        Target::Sqlite(path) => Some(lock_file(path)?),
        Target::Postgres(_) => None,
    };
    match &mut target.connect().map_err(|failure| failure.error)? {
        Conn::Sqlite(conn) => sqlite(conn),
        Conn::Postgres(conn) => postgres(conn),
    }
}

fn sqlite(conn: &mut rusqlite::Connection) -> Result<(), StoreError> {
    embedded::migrations::runner().run(conn).map(drop).map_err(|error| explain(&error))
}

fn postgres(conn: &mut PostgresConn) -> Result<(), StoreError> {
    let lock = format!("SELECT pg_advisory_lock({ADVISORY_LOCK})");
    let database = |error: postgres::Error| StoreError::Database(error.into());
    conn.client.batch_execute(&lock).map_err(database)?;
    let result = embedded::migrations::runner().run(&mut conn.client);
    let unlock = format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})");
    conn.client.batch_execute(&unlock).map_err(database)?;
    result.map(drop).map_err(|error| explain(&error))
}

fn explain(error: &refinery::Error) -> StoreError {
    use refinery::error::Kind;
    match error.kind() {
        Kind::DivergentVersion(..) | Kind::MissingVersion(..) => StoreError::Open(format!(
            "the database was made by another version of Keyfob ({error}); use that version or a newer one"
        )),
        _ => StoreError::Open(format!("the database cannot be migrated: {error}")),
    }
}
