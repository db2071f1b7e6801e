//! What only SQLite has: files, and other processes on them.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use keyfob_store::{StoreError, WriteTx};

use crate::{
    bench::{Bench, change, run, until},
    database::{self, Database},
    sample::store_account,
};

fn dir(bench: &Bench) -> &std::path::Path {
    match &bench.database {
        Database::Sqlite(dir) => dir.path(),
        Database::Postgres { .. } => unreachable!("a test of SQLite"),
    }
}

#[test]
fn every_file_is_its_owners_only() {
    run(Database::sqlite(), async |bench| {
        bench.change(|tx| store_account(tx, 1)).await.unwrap();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir(bench)).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        let expected = ["keyfob.db", "keyfob.db-shm", "keyfob.db-wal", "keyfob.db.lock"];
        assert_eq!(names, expected);
    });
}

#[test]
fn another_process_that_writes_only_delays() {
    run(Database::sqlite(), async |bench| {
        bench.change(|tx| store_account(tx, 1)).await.unwrap();
        let other = database::sqlite(dir(bench));
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begun = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&begun);
        let unit = move |tx: &mut WriteTx<'_>| {
            seen.store(true, Ordering::Relaxed);
            store_account(tx, 2)
        };
        let unit = tokio::spawn(change(bench.store.clone(), unit));
        // Reads do not wait.
        let find = bench.look(keyfob_store::account::find_first);
        assert!(find.await.is_some());
        bench.append(crate::sample::event(1, "appended")).unwrap();
        until("the writer has taken the unit", async || bench.store.depth() == 0).await;
        assert!(!begun.load(Ordering::Relaxed));
        other.execute_batch("DELETE FROM account; COMMIT").unwrap();
        unit.await.unwrap().unwrap();
        let ids = bench.database.column("SELECT id FROM account");
        assert_eq!(ids, [crate::sample::account_id(2).as_str()]);
        bench.store.close();
        assert_eq!(bench.database.number("SELECT count(*) FROM event"), 1);
    });
}

/// The locks that this process holds on the database's file, as Linux tells them.
#[cfg(target_os = "linux")]
fn locks(bench: &Bench) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(database::file(dir(bench))).unwrap().ino();
    let (process, inode) = (format!(" {} ", std::process::id()), format!(":{inode} "));
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let ours = locks.lines().filter(|lock| lock.contains(&process) && lock.contains(&inode));
    ours.count()
}

/// Closing any descriptor of a file gives up all POSIX locks that the process holds on it. Another
/// process would then take itself for the last user and delete the write-ahead log.
#[test]
#[cfg(target_os = "linux")]
fn a_new_connection_gives_up_no_lock_of_those_before() {
    run(Database::sqlite(), async |bench| {
        bench.change(|tx| store_account(tx, 1)).await.unwrap();
        // The writer has a connection, and so has this thread now.
        bench.look(keyfob_store::account::find_first).await;
        // The list of locks is not read in one piece: under load it may leave some out.
        until("SQLite holds a shared lock while a file is open", async || locks(bench) > 0).await;
        let before = locks(bench);
        let store = bench.store.clone();
        let runtime = tokio::runtime::Handle::current();
        let read = move || runtime.block_on(store.read(keyfob_store::account::find_first));
        let held = std::thread::spawn(read);
        assert!(held.join().unwrap().unwrap().is_some());
        // One that was given up would not come back.
        until("no lock is given up", async || locks(bench) >= before).await;
    });
}

#[test]
fn a_commit_is_synced_and_the_log_is_written_ahead() {
    run(Database::sqlite(), async |bench| {
        let mode = bench.database.column("PRAGMA journal_mode");
        assert_eq!(mode, ["wal"]);
    });
}

#[test]
fn a_directory_that_is_not_there_is_refused_in_words() {
    let target = "sqlite:/nowhere/at/all/keyfob.db".parse().unwrap();
    let options = keyfob_store::Options::new([0; 16]);
    let Err(StoreError::Open(text)) = keyfob_store::Store::open(&target, &options) else {
        panic!("a file in a directory that is not there was opened");
    };
    assert!(text.contains("/nowhere/at/all/keyfob"), "{text}");
}

/// A restore under a running server, or a careless clean-up.
#[test]
fn a_file_that_is_removed_or_replaced_is_not_written_to_and_not_made_anew() {
    for replaced in [false, true] {
        run(Database::sqlite(), async |bench| {
            bench.change(|tx| store_account(tx, 1)).await.unwrap();
            let (file, aside) = (database::file(dir(bench)), dir(bench).join("aside"));
            std::fs::rename(&file, &aside).unwrap();
            if replaced {
                std::fs::copy(&aside, &file).unwrap();
            }
            let write = bench.change(|tx| store_account(tx, 2)).await;
            assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
            until("reads are refused too", async || {
                bench.store.read(keyfob_store::account::find_first).await.is_err()
            })
            .await;
            assert_eq!(file.exists(), replaced);
            // Neither comes back by itself: what is put in its place may hold anything.
            if !replaced {
                std::fs::rename(&aside, &file).unwrap();
            }
            bench.change(|tx| store_account(tx, 3)).await.unwrap_err();
        });
    }
}
