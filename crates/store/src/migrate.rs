//! Migrations: one folder for both databases.

use std::path::Path;

use crate::{
    conn::{Conn, PostgresConn},
    error::StoreError,
    target::{Target, lock_file},
};

mod embedded {
    #![expect(clippy::pedantic, reason = "the macro's code is not ours")]
    refinery::embed_migrations!("migrations");
}

/// An arbitrary number that every Keyfob takes the same lock with.
const ADVISORY_LOCK: i64 = 0x6b65_7966_6f62;

/// Brings the database to this version's schema; does nothing if it is there.
pub(crate) fn run(target: &Target) -> Result<(), StoreError> {
    let mut conn = target.connect().map_err(|failure| failure.error)?;
    match (&mut conn, target) {
        (Conn::Sqlite(conn), Target::Sqlite(path)) => sqlite(conn, path),
        (Conn::Postgres(conn), _) => postgres(conn),
        (Conn::Sqlite(_), Target::Postgres(_)) => Err(StoreError::Stopped),
    }
}

fn sqlite(conn: &mut rusqlite::Connection, path: &Path) -> Result<(), StoreError> {
    let _lock = lock_file(path)?;
    embedded::migrations::runner()
        .run(conn)
        .map(drop)
        .map_err(|error| explain(&error))
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
