//! A connection that is made anew when it is lost, and the transaction on it.

use std::{sync::Arc, time::Duration};

use crate::{
    conn::Conn,
    error::{Failure, Fault, StoreError},
    event,
    place::Place,
    postgres::Backend,
    queue::now,
    target::Target,
    writer::in_transaction,
};

/// How long a lost commit's server process may take to end before its outcome counts as unknown.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process that writes before the writer looks at its queue again:
/// who waits there gives up after a while.
const TURN: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(20);

/// The connection of one thread.
pub(crate) struct Link {
    target: Target,
    /// SQLite only: where its file is.
    place: Option<Arc<Place>>,
    conn: Option<Conn>,
}

impl Link {
    /// A link that connects when it is first used.
    pub(crate) const fn new(target: Target, place: Option<Arc<Place>>) -> Self {
        Self { target, place, conn: None }
    }

    /// The connection, made if there is none.
    pub(crate) fn conn(&mut self) -> Result<&mut Conn, Failure> {
        if self.conn.as_ref().is_some_and(is_closed) {
            self.conn = None;
        }
        if self.conn.is_none() {
            let conn = self.target.connect()?;
            if let Conn::Sqlite(conn) = &conn {
                conn.busy_timeout(TURN)?;
            }
            self.conn = Some(conn);
        }
        self.open_conn()
    }

    /// The connection, which a transaction is open on.
    pub(crate) fn open_conn(&mut self) -> Result<&mut Conn, Failure> {
        let lost = || Failure { fault: Fault::Lost, error: StoreError::Unavailable("lost".into()) };
        self.conn.as_mut().ok_or_else(lost)
    }

    /// Begins a transaction that may write.
    pub(crate) fn begin(&mut self) -> Result<&mut Conn, Failure> {
        if let Some(place) = &self.place {
            place.check().map_err(|error| Failure { fault: Fault::Unit, error })?;
        }
        let conn = self.conn()?;
        match conn {
            // The write lock first: a read that turns into a write fails at once when another
            // process wrote in between, and no busy time-out helps it.
            Conn::Sqlite(_) => conn.control("BEGIN IMMEDIATE")?,
            // Units of several nodes share transactions, so two of them can lock the same rows in
            // different orders. Giving up early and running alone beats waiting for the detector.
            Conn::Postgres(_) => conn.control("BEGIN; SET LOCAL lock_timeout = '50ms'")?,
        }
        Ok(conn)
    }

    /// Commits. `Fault::Unknown` if the connection was lost and nobody can say what became of it.
    pub(crate) fn commit(&mut self, witness: Option<&event::Row>) -> Result<(), Failure> {
        let Err(failure) = self.open_conn()?.control("COMMIT") else {
            let looked = self.place.as_ref().map_or(Ok(()), |place| place.look());
            return looked.map_err(|error| Failure { fault: Fault::Unit, error });
        };
        let (Fault::Lost, Some(Conn::Postgres(conn))) = (failure.fault, &self.conn) else {
            return Err(failure);
        };
        let backend = conn.backend;
        self.conn = None;
        match witness {
            Some(witness) if self.was_committed(backend, witness)? => Ok(()),
            // A unit without an event changes nothing that could not be done twice.
            _ => Err(failure),
        }
    }

    /// Empties SQLite's write-ahead log, in which what was deleted is still to be read. `false` if somebody
    /// who reads, or another process that writes, is in the way: it waits for nobody, as units wait for it.
    pub(crate) fn tidy(&mut self) -> bool {
        let Some(Conn::Sqlite(conn)) = &self.conn else { return true };
        let is_empty = empty_log(conn).unwrap_or_else(|error| {
            tracing::debug!(%error, "the write-ahead log could not be emptied");
            false
        });
        if conn.busy_timeout(TURN).is_err() {
            self.conn = None;
        }
        is_empty
    }

    /// Whether the lost transaction that held `witness` was committed. Its server process has to be
    /// gone before that can be said.
    fn was_committed(&mut self, backend: Backend, witness: &event::Row) -> Result<bool, Failure> {
        let until = now() + SETTLE_WITHIN;
        while now() < until {
            if let Ok(found) = self.look_for(backend, witness) {
                if let Some(found) = found {
                    return Ok(found);
                }
            } else {
                self.conn = None;
            }
            std::thread::park_timeout(PAUSE);
        }
        tracing::error!("the outcome of a commit is unknown: the database went away during it");
        let error = StoreError::Unavailable("the outcome of the commit is unknown".into());
        Err(Failure { fault: Fault::Unknown, error })
    }

    fn look_for(
        &mut self,
        backend: Backend,
        witness: &event::Row,
    ) -> Result<Option<bool>, Failure> {
        let conn = self.conn()?;
        if let Conn::Postgres(conn) = conn
            && conn.end(backend)?
        {
            return Ok(None);
        }
        event::exists(conn, witness).map(Some)
    }

    /// Ends a failed transaction; drops the connection if that cannot be done on it.
    pub(crate) fn rollback(&mut self, failure: &Failure) {
        let Some(conn) = &mut self.conn else { return };
        let lost = matches!(failure.fault, Fault::Lost | Fault::Unknown);
        if lost || (in_transaction(conn) && conn.control("ROLLBACK").is_err()) {
            self.conn = None;
        }
    }
}

/// Moves what the write-ahead log holds into the database and empties it. `false` if it still holds some.
fn empty_log(conn: &rusqlite::Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    // A log that could not be emptied is no error, but said in the answer's first column.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}

fn is_closed(conn: &Conn) -> bool {
    match conn {
        Conn::Sqlite(_) => false,
        Conn::Postgres(conn) => conn.is_lost(),
    }
}
