//! SQLite's write-ahead log does not keep what was deleted: the database overwrites it, the log would not.

use std::{path::PathBuf, time::Duration};

use keyfob_core::crypto::Sealed;
use keyfob_store::{
    WriteTx,
    connection::{self, Connection},
};

use crate::{
    bench::{Bench, run, until, within},
    database::{self, Database},
    sample::{
        account_id, connection as sample, contact_id, secret_id, store_account, store_people,
    },
};

/// Bytes that are nowhere else.
const SEALED: &[u8] = b"sealed bytes of a connection that is deleted";
/// The time between the small units of a server that is never idle.
const PACE: Duration = Duration::from_millis(100);

/// In that time a writer finds that it has nothing to do, and looks after the log.
const LULL: Duration = Duration::from_millis(1500);

fn log(bench: &Bench) -> PathBuf {
    let Database::Sqlite(dir) = &bench.database else { unreachable!("a test of SQLite") };
    database::file(dir.path()).with_extension("db-wal")
}

fn is_empty(bench: &Bench) -> bool {
    std::fs::metadata(log(bench)).unwrap().len() == 0
}

fn holds_it(bench: &Bench) -> bool {
    let log = std::fs::read(log(bench)).unwrap();
    log.windows(SEALED.len()).any(|bytes| bytes == SEALED)
}

async fn connect_and_delete(bench: &Bench) {
    let connect = |tx: &mut WriteTx<'_>| {
        store_people(tx, 1, 1)?;
        let value = Sealed::from_stored(SEALED.to_vec());
        connection::upsert(tx, &Connection { value, ..sample(1, 1) })
    };
    bench.change(connect).await.unwrap();
    let delete = |tx: &mut WriteTx<'_>| {
        connection::delete(tx, &account_id(1), &contact_id(1), &secret_id(1))
    };
    assert!(bench.change(delete).await.unwrap());
    assert!(holds_it(bench));
}

#[test]
fn the_write_ahead_log_is_emptied_when_there_is_nothing_to_do() {
    run(Database::sqlite(), async |bench| {
        bench.change(|tx| store_account(tx, 1)).await.unwrap();
        assert!(!is_empty(bench));
        until("the log is empty", async || is_empty(bench)).await;
        bench.change(|tx| store_account(tx, 2)).await.unwrap();
        assert!(!is_empty(bench));
    });
}

/// A server that is in use has never nothing to do.
#[test]
fn the_write_ahead_log_of_a_busy_server_does_not_keep_what_was_deleted() {
    run(Database::sqlite(), async |bench| {
        connect_and_delete(bench).await;
        let (mut pace, mut number) = (tokio::time::interval(PACE), 2);
        within(Duration::from_secs(10), "what was deleted is not in the log", async || {
            pace.tick().await;
            number += 1;
            let unit = bench.change(move |tx| store_account(tx, number));
            unit.await.unwrap();
            !holds_it(bench)
        })
        .await;
    });
}

/// Whoever reads keeps the log as it is.
#[test]
fn a_log_that_somebody_reads_is_emptied_when_they_are_done() {
    run(Database::sqlite(), async |bench| {
        let Database::Sqlite(dir) = &bench.database else { unreachable!("a test of SQLite") };
        connect_and_delete(bench).await;
        let reader = database::sqlite(dir.path());
        reader.execute_batch("BEGIN; SELECT count(*) FROM account").unwrap();
        let mut pace = tokio::time::interval(LULL);
        for number in 3..5 {
            pace.tick().await;
            bench.change(move |tx| store_account(tx, number)).await.unwrap();
        }
        pace.tick().await;
        assert!(!is_empty(bench), "a reader has to find what it reads");
        reader.execute_batch("COMMIT").unwrap();
        until("the log is empty", async || is_empty(bench)).await;
    });
}
