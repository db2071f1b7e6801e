//! Readers: a connection per thread on SQLite, a few threads with a connection each on PostgreSQL.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use crate::{
    conn::Conn,
    error::{Failure, Fault, StoreError},
    link::Link,
    queue::{Queue, now},
    target::Target,
    tx::ReadTx,
    writer::BEGIN_WITHIN,
};

thread_local! {
    /// This thread's connections, by the store they belong to. A store that is gone leaves its
    /// connection until the thread ends, which only tests do.
    static CONNECTIONS: RefCell<Vec<(u64, Conn)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` on this thread, on a connection of its own to the SQLite file.
///
/// A point read takes about ten microseconds, less than handing it to another thread would.
pub(crate) fn here<T, E: From<StoreError>>(
    store: u64,
    target: &Target,
    work: impl FnOnce(&mut ReadTx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let mut conn = match take(store) {
        Some(conn) => conn,
        None => target.connect_reader().map_err(|failure| failure.error)?,
    };
    let mut tx = ReadTx::new(&mut conn);
    // The panic hook has told the log. As in the other family, the caller is told too.
    let Ok(result) = catch_unwind(AssertUnwindSafe(|| work(&mut tx))) else {
        return Err(StoreError::Stopped.into());
    };
    if tx.fault.is_none() {
        CONNECTIONS.with_borrow_mut(|all| all.push((store, conn)));
    }
    result
}

fn take(store: u64) -> Option<Conn> {
    CONNECTIONS.with_borrow_mut(|all| {
        let at = all.iter().position(|(of, _)| *of == store)?;
        Some(all.swap_remove(at).1)
    })
}

/// A unit of reads in the queue of the PostgreSQL readers. It is given the connection, or the error
/// that there is none.
pub(crate) trait ReadJob: Send {
    /// Runs the reads; `Some` if they should run again on a new connection.
    fn run(&mut self, tx: &mut ReadTx<'_>) -> Option<Fault>;
    /// Sends the answer of the last run.
    fn answer(self: Box<Self>);
    /// Sends `error` instead.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// The [`ReadJob`] that runs a closure.
pub(crate) struct Reads<F, T, E> {
    pub(crate) work: F,
    pub(crate) answer: Option<Result<T, E>>,
    pub(crate) reply: tokio::sync::oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> ReadJob for Reads<F, T, E>
where
    F: FnMut(&mut ReadTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut ReadTx<'_>) -> Option<Fault> {
        let work = AssertUnwindSafe(|| (self.work)(tx));
        self.answer = catch_unwind(work).ok();
        tx.fault
    }

    fn answer(self: Box<Self>) {
        if let Some(answer) = self.answer {
            let _ = self.reply.send(answer);
        }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error.into()));
    }
}

/// A unit of reads in the queue.
pub(crate) struct ReadEntry {
    job: Box<dyn ReadJob>,
    deadline: Instant,
}

impl ReadEntry {
    pub(crate) fn new(job: Box<dyn ReadJob>) -> Self {
        Self { job, deadline: now() + BEGIN_WITHIN }
    }
}

/// Reads until the queue is closed and empty.
pub(crate) fn run(mut link: Link, queue: &Arc<Queue<ReadEntry>>) {
    while let Some(entries) = queue.take(0, 1, None) {
        for mut entry in entries {
            match read(&mut link, &mut entry) {
                Ok(()) => entry.job.answer(),
                Err(failure) => entry.job.refuse(failure.error),
            }
        }
    }
}

fn read(link: &mut Link, entry: &mut ReadEntry) -> Result<(), Failure> {
    loop {
        let fault = match link.conn() {
            Ok(conn) => entry.job.run(&mut ReadTx::new(conn)),
            Err(failure) if now() > entry.deadline => return Err(failure),
            Err(failure) => Some(failure.fault),
        };
        match fault {
            Some(fault @ (Fault::Lost | Fault::Again)) => {
                let error = StoreError::Unavailable("the connection was lost".into());
                link.rollback(&Failure { fault: Fault::Lost, error });
                if now() > entry.deadline {
                    let error = StoreError::Unavailable("the database is away".into());
                    return Err(Failure { fault, error });
                }
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
            _ => return Ok(()),
        }
    }
}
