//! Migrations: one folder for both databases.

use refinery::{Migration, Runner};

use crate::{
    conn::Conn,
    error::{Failure, StoreError},
    postgres::PostgresConn,
    target::{Target, lock_file, make_file},
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
        Target::Sqlite(path) => {
            let lock = lock_file(path)?;
            make_file(path)?;
            Some(lock)
        }
        Target::Postgres(_) => None,
    };
    match &mut target.connect().map_err(|failure| failure.error)? {
        Conn::Sqlite(conn) => sqlite(conn),
        Conn::Postgres(conn) => postgres(conn),
    }
}

/// Refuses a database that [`run`] would change.
pub(crate) fn check(target: &Target) -> Result<(), StoreError> {
    if let Target::Sqlite(path) = target
        && !path.exists()
    {
        let text = format!("there is no database {}: `keyfob serve` makes one", path.display());
        return Err(StoreError::Open(text));
    }
    let runner = embedded::migrations::runner();
    let applied = match &mut target.connect().map_err(|failure| failure.error)? {
        Conn::Sqlite(conn) => runner.get_last_applied_migration(conn),
        Conn::Postgres(conn) => conn
            .drive(async |client| runner.get_last_applied_migration_async(client).await)
            .map_err(|failure| failure.error)?,
    };
    let newest = runner.get_migrations().iter().map(Migration::version).max();
    // An error here is that of a database without a table of migrations.
    match applied.ok().flatten() {
        Some(applied) if Some(applied.version()) == newest => Ok(()),
        Some(_) => Err(StoreError::Open(
            "the database was made by another version of Keyfob: `keyfob serve` of a newer one upgrades it".into(),
        )),
        None => Err(StoreError::Open("the database is empty: `keyfob serve` sets it up".into())),
    }
}

fn sqlite(conn: &mut rusqlite::Connection) -> Result<(), StoreError> {
    let embedded = embedded::migrations::runner();
    let migrations = embedded.get_migrations().iter().map(for_sqlite);
    let migrations: Result<Vec<_>, _> = migrations.collect();
    let result = migrations.and_then(|migrations| Runner::new(&migrations).run(conn));
    result.map(drop).map_err(|error| explain(&error))
}

/// The migration with what only SQLite reads.
fn for_sqlite(migration: &Migration) -> Result<Migration, refinery::Error> {
    let name = format!("V{}__{}", migration.version(), migration.name());
    let sql = migration.sql().unwrap_or_default();
    Migration::unapplied(&name, &sql.replace("/*sqlite", "").replace("sqlite*/", ""))
}

fn postgres(conn: &mut PostgresConn) -> Result<(), StoreError> {
    let failed = |failure: Failure| failure.error;
    conn.without_limits().map_err(failed)?;
    conn.control(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})")).map_err(failed)?;
    let run = async |client: &mut _| embedded::migrations::runner().run_async(client).await;
    let result = conn.drive(run).map_err(failed)?;
    conn.control(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})")).map_err(failed)?;
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
