//! The writer: one thread that owns a connection and commits all waiting units in one transaction.
//!
//! A commit costs one wait for the disk however many units it holds, so the units that queue up
//! during one commit share the next. A unit that fails is undone alone, by a savepoint, and no
//! answer leaves before the commit is durable.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use keyfob_core::audit::Checkpoint;
use tokio::sync::oneshot;

use crate::{
    chain::Chain,
    conn::Conn,
    error::{Failure, Fault, StoreError},
    event::{self, Event},
    left::Left,
    link::Link,
    queue::{Queue, now},
    tidy::Tidy,
    trail,
    tx::{Commit, Savepoint, WriteTx},
};

/// A unit that has not begun this long after it was queued is refused: its caller has given up.
pub(crate) const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// The wait before a unit is run again that lost against a concurrent one, or whose database is away.
const PAUSE: Duration = Duration::from_millis(20);

/// So many units at once are a crowd, whose next units are worth a wait of [`GATHER`].
const CROWD: usize = 8;
const GATHER: Duration = Duration::from_micros(100);

/// A unit of work, with its answer's type hidden.
pub(crate) trait Job: Send {
    /// Runs the unit, once more if need be, and keeps what it answers.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> Ran;
    /// Sends the answer of the last run.
    fn answer(self: Box<Self>);
    /// Sends `error` instead.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// How a run of a unit ended.
pub(crate) enum Ran {
    /// To be committed, with this event.
    Keep(Option<Arc<Event>>),
    /// To be undone; the answer is the unit's own error.
    Undo,
}

/// The [`Job`] that runs a closure.
pub(crate) struct Unit<F, T, E> {
    pub(crate) work: F,
    pub(crate) answer: Option<Result<T, E>>,
    pub(crate) reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Unit<F, T, E>
where
    F: FnMut(&mut WriteTx<'_>) -> Result<Commit<T>, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> Ran {
        let work = AssertUnwindSafe(|| (self.work)(tx));
        let (answer, ran) = match catch_unwind(work) {
            Ok(Ok(Commit { value, event })) if tx.fault.is_none() => {
                (Some(Ok(value)), Ran::Keep(event))
            }
            // A unit that goes on after a failed statement does not know what it wrote.
            Ok(Ok(_)) => (Some(Err(StoreError::Stopped.into())), Ran::Undo),
            Ok(Err(error)) => (Some(Err(error)), Ran::Undo),
            // The panic hook has told the log; the dropped `reply` tells the caller.
            Err(_) => (None, Ran::Undo),
        };
        self.answer = answer;
        ran
    }

    fn answer(self: Box<Self>) {
        let Self { work, answer, reply } = *self;
        // What the unit holds ends before its caller goes on.
        drop(work);
        if let Some(answer) = answer {
            // The caller may have gone; the unit is committed all the same.
            let _ = reply.send(answer);
        }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error.into()));
    }
}

/// The [`Job`] that runs a closure whose answer nobody waits for.
pub(crate) struct LaterUnit<F>(pub(crate) F);

impl<F, E> Job for LaterUnit<F>
where
    F: FnMut(&mut WriteTx<'_>) -> Result<Commit<()>, E> + Send,
    E: std::fmt::Display,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> Ran {
        match catch_unwind(AssertUnwindSafe(|| (self.0)(tx))) {
            Ok(Ok(Commit { event, .. })) if tx.fault.is_none() => Ran::Keep(event),
            Ok(Err(error)) if tx.fault.is_none() => {
                tracing::error!(%error, "a unit of work that nobody waits for failed by itself");
                Ran::Undo
            }
            _ => Ran::Undo,
        }
    }

    fn answer(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _: StoreError) {}
}

/// A unit in the queue.
pub(crate) struct Entry {
    job: Box<dyn Job>,
    /// When whoever waits for it gives up; `None` if nobody does.
    deadline: Option<Instant>,
    /// Whether the last run's answer is final.
    settled: bool,
}

impl Entry {
    /// A unit that somebody waits for.
    pub(crate) fn new(job: Box<dyn Job>) -> Self {
        Self { job, deadline: Some(now() + BEGIN_WITHIN), settled: false }
    }

    /// A unit that nobody waits for.
    pub(crate) fn later(job: Box<dyn Job>) -> Self {
        Self { job, deadline: None, settled: false }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| now() > deadline)
    }

    /// Whether nobody waits for it.
    fn is_later(&self) -> bool {
        self.deadline.is_none()
    }
}

/// The writer's thread.
pub(crate) struct Writer {
    /// Tells it from the other writers of its store.
    pub(crate) number: u8,
    pub(crate) link: Link,
    pub(crate) queue: Arc<Queue<Entry>>,
    /// Held during a transaction of many units that nobody waits for: two of these at a time would
    /// wait long for each other's row locks.
    pub(crate) large: Arc<Mutex<()>>,
    pub(crate) chain: Chain,
    /// The most units in one transaction.
    pub(crate) batch: usize,
    /// Units that nobody waits for and that could not be done yet.
    pub(crate) left: Left,
    /// How many units came together last.
    pub(crate) crowd: usize,
    pub(crate) tidy: Tidy,
    /// Told how many units each commit held.
    pub(crate) observe: Arc<dyn Fn(usize) + Send + Sync>,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(mut entries) = self.queue.take(self.number, self.batch, self.patience()) {
            if entries.is_empty() && self.left.len() == 0 {
                self.tidy();
                self.queue.done(self.number);
                continue;
            }
            self.tidy.note_write();
            self.gather(&mut entries);
            let (late, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(Entry::is_late);
            for entry in late {
                entry.job.refuse(StoreError::Overloaded);
            }
            let before = self.left.len();
            self.settle(entries);
            self.try_again();
            self.queue.note_left(before, self.left.len());
            self.queue.done(self.number);
            if self.tidy.is_due() {
                self.tidy();
            }
        }
        let end = Left::end();
        while let Some(pause) = self.left.patience().filter(|_| now() < end) {
            std::thread::park_timeout(pause);
            self.try_again();
        }
        self.tidy();
        self.left.give_up();
    }

    /// How long it waits for work at the most.
    fn patience(&self) -> Option<Duration> {
        self.left.patience().or_else(|| self.tidy.patience())
    }

    fn tidy(&mut self) {
        if self.tidy.is_wanted() {
            let is_empty = self.link.tidy();
            self.tidy.note(is_empty);
        }
    }

    /// Tries those of the units that could not be done yet whose turn it is.
    fn try_again(&mut self) {
        let mut due = self.left.due();
        if due.is_empty() {
            return;
        }
        match self.together(&mut due) {
            Ok(()) => (self.observe)(due.len()),
            Err(failure) => {
                self.link.rollback(&failure);
                return self.left.failed(due);
            }
        }
        let (settled, unsettled): (Vec<_>, Vec<_>) = due.into_iter().partition(|e| e.settled);
        for entry in settled {
            entry.job.answer();
        }
        if unsettled.is_empty() { self.left.done() } else { self.left.failed(unsettled) }
    }

    /// Waits a moment for the rest of a crowd: when a commit answers many callers at once, the
    /// first of them is back before the others, and would have a commit for itself.
    fn gather(&mut self, entries: &mut Vec<Entry>) {
        let expected = std::mem::replace(&mut self.crowd, entries.len());
        if expected >= CROWD && entries.len() < expected / 2 {
            std::thread::park_timeout(GATHER);
            let more = self.queue.take(self.number, self.batch, Some(Duration::ZERO));
            entries.extend(more.into_iter().flatten());
            self.crowd = entries.len();
        }
    }

    /// Sees every entry to its answer, in one transaction if that goes well.
    fn settle(&mut self, mut entries: Vec<Entry>) {
        let mut why = refused_by_the_database();
        match self.together(&mut entries) {
            Ok(()) => (self.observe)(entries.len()),
            Err(failure) => {
                self.link.rollback(&failure);
                tracing::debug!(error = ?failure.error, "a shared transaction failed");
                if failure.fault == Fault::Unknown {
                    // Running them again could do them twice. Of those that nobody waits for it is
                    // better to have an event twice than not at all.
                    let (later, waited) = entries.into_iter().partition(Entry::is_later);
                    entries = later;
                    for entry in waited {
                        entry.job.refuse(unknown());
                    }
                }
                for entry in &mut entries {
                    entry.settled = false;
                }
                why = failure.error;
            }
        }
        // Those that are done first: the others may take long.
        let (settled, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| e.settled);
        for entry in settled {
            entry.job.answer();
        }
        let (later, waited): (Vec<_>, Vec<_>) = others.into_iter().partition(Entry::is_later);
        self.left.add(later, &why);
        for entry in waited {
            if entry.is_late() {
                let error = StoreError::Unavailable("no transaction could be had in time".into());
                entry.job.refuse(error);
            } else {
                self.alone(entry);
            }
        }
    }

    /// Runs the entries in one transaction.
    fn together(&mut self, entries: &mut [Entry]) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut events = Vec::with_capacity(entries.len());
        let large = Arc::clone(&self.large);
        let is_large = entries.iter().any(Entry::is_later);
        let _alone = is_large.then(|| large.lock().unwrap_or_else(PoisonError::into_inner));
        let conn = self.link.begin()?;
        for entry in entries {
            let mut tx = WriteTx::new(conn, Savepoint::Due);
            match entry.job.run(&mut tx) {
                Ran::Keep(event) => {
                    tx.keep()?;
                    events.append(&mut tx.also);
                    events.extend(event);
                    entry.settled = true;
                }
                Ran::Undo => {
                    entry.settled = match tx.fault {
                        None => true,
                        Some(Fault::Again | Fault::Lost) => false,
                        // The answer is the error; where nobody waits for it, the unit is kept.
                        Some(Fault::Unit | Fault::Unknown) => !entry.is_later(),
                    };
                    tx.undo()?;
                }
            }
        }
        self.finish(events)
    }

    /// Runs one entry in a transaction of its own, again until it is settled or too late.
    fn alone(&mut self, mut entry: Entry) {
        loop {
            let Err(failure) = self.once(&mut entry) else {
                return entry.job.answer();
            };
            self.link.rollback(&failure);
            if !matches!(failure.fault, Fault::Again | Fault::Lost) || entry.is_late() {
                return entry.job.refuse(failure.error);
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    fn once(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let conn = self.link.begin()?;
        let mut tx = WriteTx::new(conn, Savepoint::Start);
        let ran = entry.job.run(&mut tx);
        match (ran, tx.fault) {
            (_, Some(fault @ (Fault::Again | Fault::Lost))) => {
                let cause = tx.cause.take().unwrap_or_default();
                Err(Failure { fault, error: StoreError::Unavailable(cause.into()) })
            }
            (Ran::Undo, _) => {
                self.link.rollback(&Failure { fault: Fault::Unit, error: StoreError::Stopped });
                Ok(())
            }
            (Ran::Keep(event), _) => {
                let events: Vec<_> = tx.also.drain(..).chain(event).collect();
                self.finish(events)
            }
        }
    }

    /// Writes the units' events and commits.
    fn finish(&mut self, events: Vec<Arc<Event>>) -> Result<(), Failure> {
        let conn = self.link.open_conn()?;
        let begins = self.chain.is_unborn() && !events.is_empty();
        let newest = if begins { trail::newest(conn)? } else { (0, Checkpoint::NOTHING) };
        let batch = self.chain.link(events, newest);
        let written = event::insert(conn, &batch);
        if let Err(Failure { error: StoreError::Conflict, .. }) = &written {
            tracing::error!(
                chain = %batch.chain,
                "somebody else than Keyfob has written events into this chain: `keyfob event verify` says which. Another chain is begun",
            );
            self.chain.renew();
        }
        written?;
        let committed = self.link.commit(batch.rows.first());
        match &committed {
            Ok(()) => self.chain.keep(&batch),
            // It is known that nothing was committed.
            Err(Failure { fault: Fault::Again | Fault::Lost, .. }) => {}
            Err(_) => self.chain.renew(),
        }
        committed
    }
}

fn refused_by_the_database() -> StoreError {
    StoreError::Database("it refused a statement of one of them".into())
}

fn unknown() -> StoreError {
    StoreError::Unavailable("the outcome of the commit is unknown".into())
}

/// Whether the connection is still inside the transaction it began. SQLite ends it by itself after
/// some failures.
pub(crate) fn in_transaction(conn: &Conn) -> bool {
    match conn {
        Conn::Sqlite(conn) => !conn.is_autocommit(),
        Conn::Postgres(_) => true,
    }
}
