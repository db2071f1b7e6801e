//! What a test works on: a store on a fresh database, and the means to see when things happen.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use keyfob_store::{Commit, Event, Options, ReadTx, Store, StoreError, WriteTx};
use tokio::sync::oneshot;

use crate::database::Database;

/// Far more than anything takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A store on a fresh database.
pub(crate) struct Bench {
    pub(crate) database: Database,
    pub(crate) store: Store,
    batches: Arc<Mutex<Vec<usize>>>,
}

/// Opens a store, runs the case, closes the store.
pub(crate) fn run(database: Database, case: impl AsyncFnOnce(&Bench)) {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&batches);
    let options = Options {
        observe: Arc::new(move |size| seen.lock().unwrap().push(size)),
        ..Options::new([0; 16])
    };
    let store = Store::open(&database.target(), &options).unwrap();
    let bench = Bench { database, store, batches };
    runtime().block_on(async {
        let case = tokio::time::timeout(PATIENCE, case(&bench));
        case.await.expect("the test hangs");
    });
    bench.store.close();
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

/// Leaves an event to be written within a second.
pub(crate) fn append(store: &Store, event: Event) -> Result<(), StoreError> {
    store.write_later(move |tx| Ok::<_, StoreError>(tx.commit(event.clone(), ())))
}

impl Bench {
    /// Leaves an event to be written within a second.
    pub(crate) fn append(&self, event: Event) -> Result<(), StoreError> {
        append(&self.store, event)
    }

    /// Runs a unit without an event.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        change(self.store.clone(), work).await
    }

    /// Runs reads that succeed.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut ReadTx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.read(work).await.unwrap()
    }

    /// Runs `count` units at once, made by `unit`, and gives their answers.
    pub(crate) async fn at_once<T, W>(
        &self,
        count: u32,
        unit: impl Fn(u32) -> W,
    ) -> Vec<Result<T, StoreError>>
    where
        T: Send + 'static,
        W: FnMut(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let mut units = tokio::task::JoinSet::new();
        for number in 0..count {
            units.spawn(change(self.store.clone(), unit(number)));
        }
        units.join_all().await
    }

    /// Keeps every writer busy until the answer is released, so that what is queued from now on
    /// shares one transaction.
    pub(crate) async fn occupy(&self) -> Occupied {
        let writers = if self.database.is_postgres() { 2 } else { 1 };
        let mut releases = Vec::new();
        for _ in 0..writers {
            let (release, may_end) = mpsc::channel::<()>();
            let (begun, has_begun) = oneshot::channel();
            let mut begun = Some(begun);
            self.queue(move |tx| {
                if let Some(begun) = begun.take() {
                    begun.send(()).unwrap();
                }
                // Also ends when the test gives up, which drops the sender.
                let _ = may_end.recv();
                Ok(tx.commit_unaudited(()))
            })
            .await;
            has_begun.await.unwrap();
            releases.push(release);
        }
        Occupied { releases }
    }

    /// Queues a unit and goes away at once.
    pub(crate) async fn queue<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<Commit<T>, StoreError> + Send + 'static,
    ) {
        tokio::select! {
            biased;
            _ = self.store.write(work) => {}
            () = std::future::ready(()) => {}
        }
    }

    /// Waits until so many units wait for the writer.
    pub(crate) async fn queued(&self, units: usize) {
        until("units are queued", async || self.store.depth() == units).await;
    }

    /// How many units and events each committed transaction held so far.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }
}

/// Writers that wait to be released.
pub(crate) struct Occupied {
    releases: Vec<mpsc::Sender<()>>,
}

impl Occupied {
    /// Lets one writer go on, which takes all that is queued; the others follow when `wait` ends.
    pub(crate) async fn release_one<T>(mut self, wait: impl Future<Output = T>) -> T {
        self.releases.pop().unwrap().send(()).unwrap();
        wait.await
    }

    /// Lets every writer go on.
    pub(crate) fn release(self) {
        drop(self);
    }
}

/// Runs a unit without an event, as a task of its own can.
pub(crate) async fn change<T: Send + 'static>(
    store: Store,
    mut work: impl FnMut(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let unit = move |tx: &mut WriteTx<'_>| {
        let value = work(tx)?;
        Ok(tx.commit_unaudited(value))
    };
    store.write(unit).await
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(20), what, async || is_so().await).await;
}

/// Waits for a condition that has to come true in that time.
pub(crate) async fn within(time: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !is_so().await {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(time, wait).await;
    assert!(waited.is_ok(), "not within {time:?}: {what}");
}
