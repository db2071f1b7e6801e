//! Another node that writes at the same moment: it has written already, and commits in a moment.

use std::{sync::mpsc, thread::JoinHandle, time::Duration};

use futures_util::FutureExt;
use keyfob_store::{StoreError, WriteTx};

use crate::{app::TestApp, database::Database};

/// A transaction past the service, which keeps what it has changed locked until it commits: on PostgreSQL the
/// rows, on SQLite, which has one writer at a time, everything.
pub(crate) struct Rival {
    commit: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Rival {
    /// Runs statements that both databases understand.
    pub(crate) async fn begin(app: &TestApp, sql: &str) -> Self {
        let (commit, may_commit) = mpsc::channel();
        let (written, has_written) = mpsc::channel();
        let (database, sql) = (app.database().clone(), sql.to_owned());
        let thread = std::thread::spawn(move || {
            database.transaction(&sql, move || {
                written.send(()).unwrap();
                may_commit.recv().unwrap();
            });
        });
        has_written.recv().unwrap();
        if let Database::Sqlite(_) = app.database() {
            occupy_writer(app).await;
        }
        Self { commit, thread }
    }

    /// Commits when a unit of the service's waits for it.
    pub(crate) async fn commit_when_in_the_way(self, app: &TestApp) {
        match app.database() {
            Database::Sqlite(_) => app.until_depth(1).await,
            Database::Postgres { .. } => until_locked(app).await,
        }
        self.commit.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// Gives the writer a unit that it cannot begin, so that the next one is seen in its queue.
async fn occupy_writer(app: &TestApp) {
    let unit = |tx: &mut WriteTx<'_>| Ok::<_, StoreError>(tx.commit_unaudited(()));
    assert!(app.store().write(unit).now_or_never().is_none(), "nobody is in the writer's way");
    app.until_depth(0).await;
}

async fn until_locked(app: &TestApp) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let locked = async {
        while app.database().number(waiting) == 0 {
            tokio::task::yield_now().await;
        }
    };
    let locked = tokio::time::timeout(Duration::from_secs(10), locked).await;
    assert!(locked.is_ok(), "nobody waits for what is locked");
}
