//! The store: the only crate with SQL, on SQLite and PostgreSQL.
//!
//! A unit of work is a synchronous closure: [`Store::read`] and [`Store::write`]; there is no third
//! way, and no transaction can be held across a network call. A closure may be run again (after a
//! lost race or a lost connection), so it has no effect but through its transaction.
//!
//! One text for both databases:
//!
//! 1. Ids are TEXT, times BIGINT unix milliseconds from the caller's clock, bytes BYTEA, JSON TEXT.
//! 2. No `now()`, arrays, enums, triggers or vendor functions; defaults are set in Rust.
//! 3. Concurrency is a conditional `UPDATE … WHERE` and the count of changed rows, or a unique key;
//!    never a read followed by a write that trusts it. The isolation level is read committed.
//! 4. Migrations add: a table, a nullable column, an index.
//! 5. A statement for one database only stands in an explicit `match` in one store function.

mod chain;
mod conn;
mod error;
mod left;
mod link;
mod look;
mod migrate;
mod place;
mod postgres;
mod queue;
mod reader;
mod target;
mod tidy;
mod tx;
mod writer;

pub mod account;
pub mod authentication;
pub mod connection;
pub mod contact;
pub mod creation;
pub mod data_key;
pub mod deletion;
pub mod event;
pub mod key;
pub mod refresh;
pub mod registration;
pub mod removal;
pub mod revocation;
pub mod sealed;
pub mod secret;
pub mod totp;
pub mod trail;
pub mod usage;
pub mod vault;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use keyfob_core::audit::Head;
use tokio::sync::oneshot;

pub use crate::{
    chain::Notary,
    error::{Cause, StoreError},
    event::Event,
    target::{Server, Target},
    tx::{Commit, Page, ReadTx, WriteTx},
};
use crate::{
    chain::{Chain, Heads, Nobody, Seed},
    left::Left,
    link::Link,
    place::Place,
    queue::{Queue, Refused},
    reader::{ReadEntry, Reads},
    tidy::Tidy,
    writer::{Entry, LaterUnit, Unit, Writer},
};

/// More waiting units than this are refused: their callers would have given up before their turn.
const QUEUE: usize = 65_536;
/// A unit that was begun has this long to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Threads with a connection each, on PostgreSQL: one writer works while the other waits for an answer.
const POSTGRES_WRITERS: u8 = 2;
const POSTGRES_READERS: usize = 4;

/// What a store is opened with.
pub struct Options {
    /// Random bits that no other process shares; they make event ids and chains unique.
    pub process: [u8; 16],
    /// Which process it is, for people who read how a chain of events began.
    pub node: Arc<str>,
    /// What vouches for events as they are written.
    pub notary: Arc<dyn Notary>,
    /// Whether a database of an older version is brought to this one's schema, or refused.
    pub may_migrate: bool,
    /// Told how many units of work each commit held.
    pub observe: Arc<dyn Fn(usize) + Send + Sync>,
}

impl Options {
    /// Options that migrate, without an observer, and with nobody who vouches for events.
    #[must_use]
    pub fn new(process: [u8; 16]) -> Self {
        Self {
            process,
            node: "".into(),
            notary: Arc::new(Nobody),
            may_migrate: true,
            observe: Arc::new(|_| ()),
        }
    }
}

/// An open database. Cheap to clone; closed by [`Store::close`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// Tells the stores of one process apart.
    number: u64,
    target: Target,
    /// SQLite only: where its file is.
    place: Option<Arc<Place>>,
    writes: Arc<Queue<Entry>>,
    /// PostgreSQL only: SQLite reads on the caller's thread.
    reads: Option<Arc<Queue<ReadEntry>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    heads: Arc<Heads>,
}

impl Store {
    /// Opens the database and brings it to this version's schema. Blocks while it does.
    pub fn open(target: &Target, options: &Options) -> Result<Self, StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // On a thread of its own: the PostgreSQL driver must not be started inside a runtime.
        let prepare = if options.may_migrate { migrate::run } else { migrate::check };
        let migrated = std::thread::scope(|scope| scope.spawn(|| prepare(target)).join());
        migrated.map_err(|_| StoreError::Stopped)??;
        let is_postgres = matches!(target, Target::Postgres(_));
        let place = match target {
            Target::Sqlite(path) => Some(Arc::new(Place::of(path)?)),
            Target::Postgres(_) => None,
        };
        let inner = Inner {
            place,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            target: target.clone(),
            writes: Arc::new(Queue::new(QUEUE)),
            reads: is_postgres.then(|| Arc::new(Queue::new(QUEUE))),
            threads: Mutex::new(Vec::new()),
            heads: Arc::default(),
        };
        inner.start(options)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs a unit of reads.
    pub async fn read<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: FnMut(&mut ReadTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Some(reads) = &self.inner.reads else {
            if let Some(place) = &self.inner.place {
                place.check()?;
            }
            return reader::here(self.inner.number, &self.inner.target, |tx| work(tx));
        };
        let (reply, answer) = oneshot::channel();
        let job = ReadEntry::new(Box::new(Reads { work, answer: None, reply }));
        accepted(reads.push(job))?;
        answered(answer).await
    }

    /// Runs a unit that may write, and answers when it is on stable storage.
    ///
    /// Once queued it runs to its end, also if the caller goes away. A unit that cannot begin
    /// within five seconds is refused and has changed nothing.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut WriteTx<'_>) -> Result<Commit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let entry = Entry::new(Box::new(Unit { work, answer: None, reply }));
        accepted(self.inner.writes.push(entry))?;
        answered(answer).await
    }

    /// Leaves a unit to be run within a second, without waiting for it. It is run until the database
    /// takes it: if that is away or its disk is full, when it is back. Then, and only then, it may be
    /// done twice, if nobody can say what became of a commit. A unit that fails by itself is dropped.
    pub fn write_later<E, F>(&self, work: F) -> Result<(), StoreError>
    where
        F: FnMut(&mut WriteTx<'_>) -> Result<Commit<()>, E> + Send + 'static,
        E: std::fmt::Display + 'static,
    {
        accepted(self.inner.writes.push_later(Entry::later(Box::new(LaterUnit(work)))))
    }

    /// Whether the writer does not keep up with [`Store::write_later`], or the database does not take
    /// what was left to it: whoever has a choice should wait for its units now.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.inner.writes.is_behind()
    }

    /// How far this store's own chains of events are committed: as the writers know it, whatever the database
    /// says.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        let heads = self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.values().cloned().collect()
    }

    /// How many units that somebody waits for the writer has not taken yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.inner.writes.depth()
    }

    /// Takes no more units, finishes those it has, and waits for that. Blocks.
    pub fn close(&self) {
        self.inner.stop();
        let threads = std::mem::take(&mut *self.inner.threads());
        for thread in threads {
            // A thread that panicked has told the log.
            let _ = thread.join();
        }
    }
}

/// Waits for a unit's answer, but not for ever: a database that neither answers nor breaks the
/// connection must not keep callers. What became of the unit is then unknown.
async fn answered<T, E: From<StoreError>>(answer: oneshot::Receiver<Result<T, E>>) -> Result<T, E> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => answer.unwrap_or_else(|_| Err(StoreError::Stopped.into())),
        Err(_) => Err(StoreError::Unavailable("the database does not answer".into()).into()),
    }
}

fn accepted<J>(pushed: Result<(), Refused<J>>) -> Result<(), StoreError> {
    pushed.map_err(|refused| match refused {
        Refused::Full(_) => StoreError::Overloaded,
        Refused::Closed(_) => StoreError::Stopped,
    })
}

impl Inner {
    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, options: &Options) -> Result<(), StoreError> {
        // One transaction of SQLite holds more: it costs no round trips and blocks no other node.
        let (writers, batch) =
            if self.reads.is_some() { (POSTGRES_WRITERS, 256) } else { (1, 1024) };
        let large = Arc::new(Mutex::new(()));
        for number in 0..writers {
            let seed = Seed {
                process: options.process,
                writer: number,
                node: Arc::clone(&options.node),
                notary: Arc::clone(&options.notary),
                heads: Arc::clone(&self.heads),
            };
            let writer = Writer {
                number,
                link: Link::new(self.target.clone(), self.place.clone()),
                queue: Arc::clone(&self.writes),
                large: Arc::clone(&large),
                chain: Chain::new(seed),
                batch,
                left: Left::new(batch),
                crowd: 0,
                tidy: Tidy::default(),
                observe: Arc::clone(&options.observe),
            };
            self.spawn("writer", move || writer.run())?;
        }
        for queue in
            self.reads.iter().flat_map(|queue| std::iter::repeat_n(queue, POSTGRES_READERS))
        {
            let (link, queue) = (Link::new(self.target.clone(), None), Arc::clone(queue));
            self.spawn("reader", move || reader::run(link, &queue))?;
        }
        Ok(())
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(format!("store-{name}")).spawn(run);
        self.threads().push(thread.map_err(|error| StoreError::Database(error.into()))?);
        Ok(())
    }

    fn stop(&self) {
        self.writes.close();
        if let Some(reads) = &self.reads {
            reads.close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
