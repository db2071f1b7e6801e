//! A look at a database from outside, before anything of it is opened for work.

use std::{io::ErrorKind, path::Path};

use keyfob_core::crypto::MasterKeyId;
use rusqlite::{Connection, OpenFlags};

use crate::{
    Store, StoreError, Target,
    conn::{Conn, sql},
    error::Failure,
    target::{BUSY_TIMEOUT, check_is_database},
    tx::ReadTx,
    vault,
};

impl Store {
    /// The master key that the database was sealed with; `None` for a database that is new, or not
    /// there. Makes nothing and changes nothing, not even the schema of an older version. Blocks.
    pub fn bound_to(target: &Target) -> Result<Option<MasterKeyId>, StoreError> {
        // On a thread of its own: the PostgreSQL driver must not be started inside a runtime.
        let looked = std::thread::scope(|scope| scope.spawn(|| look(target)).join());
        looked.map_err(|_| StoreError::Stopped)?
    }
}

fn look(target: &Target) -> Result<Option<MasterKeyId>, StoreError> {
    let conn = match target {
        Target::Sqlite(path) => existing(path)?,
        Target::Postgres(_) => Some(target.connect().map_err(|failure| failure.error)?),
    };
    match conn {
        Some(mut conn) => find(&mut conn),
        None => Ok(None),
    }
}

/// A connection to the file as it is, if there is one. [`Target::connect`] would make it, and turn
/// on its write-ahead log.
fn existing(path: &Path) -> Result<Option<Conn>, StoreError> {
    match path.metadata() {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(StoreError::Open(format!("{} cannot be read: {error}", path.display())));
        }
    }
    let flags = OpenFlags::default().difference(OpenFlags::SQLITE_OPEN_CREATE);
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        check_is_database(&conn, path)?;
        Ok(Conn::Sqlite(conn))
    };
    open().map(Some).map_err(|failure: Failure| failure.error)
}

fn find(conn: &mut Conn) -> Result<Option<MasterKeyId>, StoreError> {
    let tables = match conn {
        Conn::Sqlite(_) => sql!(
            vault,
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'vault'"
        ),
        Conn::Postgres(_) => sql!(vault, "SELECT count(to_regclass('vault'))"),
    };
    let mut tx = ReadTx::new(conn);
    match tx.one(tables, &[], |row| row.get::<i64>(0))? {
        Some(1..) => vault::find(&mut tx),
        _ => Ok(None),
    }
}
