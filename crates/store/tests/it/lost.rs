//! Connections that are lost, PostgreSQL only.

use std::{collections::BTreeSet, sync::mpsc, time::Duration};

use keyfob_store::{ReadTx, StoreError, WriteTx, account};
use tokio::task::JoinSet;

use crate::{
    bench::{change, run, within},
    database::{Database, connect},
    sample::{self, account_id, store_account},
};

const TASKS: u32 = 32;
const UNITS: u32 = 200;
/// The store's connections are ended each time so many more units were answered.
const ANSWERS: u32 = 300;

const END_CONNECTIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'keyfob' AND datname = current_database()";

/// Ends the store's connections each time it has heard of so many answers; how often it did.
fn ender(url: String) -> (mpsc::Sender<()>, std::thread::JoinHandle<u32>) {
    let (answered, answers) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut client = connect(&url);
        let mut ended = 0;
        let mut heard = 0;
        while answers.recv().is_ok() {
            heard += 1;
            if heard % ANSWERS == 0 {
                ended += u32::try_from(client.query(END_CONNECTIONS, &[]).unwrap().len()).unwrap();
            }
        }
        ended
    });
    (answered, thread)
}

#[test]
fn what_was_answered_is_there_once_although_connections_were_lost() {
    run(Database::postgres(), async |bench| {
        let (answered, ender) = ender(bench.database.url());
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (store, answered) = (bench.store.clone(), answered.clone());
            tasks.spawn(async move {
                let (mut done, mut failed) = (Vec::new(), Vec::new());
                for number in task * UNITS..(task + 1) * UNITS {
                    let unit = move |tx: &mut WriteTx<'_>| {
                        store_account(tx, number)?;
                        let event = sample::event(1, account_id(number).as_str());
                        Ok::<_, StoreError>(tx.commit(event, ()))
                    };
                    match store.write(unit).await {
                        Ok(()) => done.push(account_id(number).to_string()),
                        Err(error) => failed.push((account_id(number).to_string(), error)),
                    }
                    answered.send(()).unwrap();
                }
                (done, failed)
            });
        }
        drop(answered);
        let (mut done, mut failed) = (BTreeSet::new(), BTreeSet::new());
        for (its_done, its_failed) in tasks.join_all().await {
            done.extend(its_done);
            for (id, error) in its_failed {
                // Its own account: only a unit that ran twice can meet it.
                assert!(!matches!(error, StoreError::Conflict), "{id} ran twice");
                failed.insert(id);
            }
        }
        let times = tokio::task::spawn_blocking(|| ender.join()).await.unwrap();
        assert!(times.unwrap() >= TASKS * UNITS / ANSWERS);
        // The store has recovered.
        let last = bench.change(|tx| store_account(tx, TASKS * UNITS));
        last.await.unwrap();

        let accounts = bench.database.column("SELECT id FROM account");
        let mut accounts: BTreeSet<_> = accounts.into_iter().collect();
        assert!(accounts.remove(account_id(TASKS * UNITS).as_str()));
        let events = bench.database.column("SELECT object_id FROM event");
        let once: BTreeSet<_> = events.iter().cloned().collect();
        assert_eq!(once.len(), events.len(), "an event is there twice");
        assert_eq!(once, accounts, "writes and events differ");
        assert!(once.is_superset(&done), "an answered unit is missing");
        let unanswered: BTreeSet<_> = once.difference(&done).cloned().collect();
        assert!(unanswered.is_subset(&failed));
        // A lost connection is mended, not told to the caller.
        assert!(failed.is_empty(), "{} units failed", failed.len());
    });
}

#[test]
fn reads_go_on_after_every_connection_was_lost() {
    run(Database::postgres(), async |bench| {
        bench.change(|tx| store_account(tx, 1)).await.unwrap();
        for _ in 0..5 {
            let mut reads = JoinSet::new();
            for _ in 0..16 {
                let store = bench.store.clone();
                reads.spawn(async move {
                    let find = |tx: &mut ReadTx<'_>| account::find(tx, &account_id(1));
                    store.read(find).await.unwrap()
                });
            }
            for found in reads.join_all().await {
                assert!(found.is_some());
            }
            bench.database.execute(END_CONNECTIONS);
        }
    });
}

#[test]
fn an_appended_event_is_written_although_the_connection_was_lost() {
    run(Database::postgres(), async |bench| {
        // Both writers have a connection.
        bench.occupy().await.release();
        bench.database.execute(END_CONNECTIONS);
        bench.append(sample::event(1, "appended")).unwrap();
        within(Duration::from_secs(2), "the event is stored", async || {
            bench.database.number("SELECT count(*) FROM event") == 1
        })
        .await;
    });
}

#[test]
fn what_was_appended_is_written_by_the_close_although_the_connection_was_lost() {
    run(Database::postgres(), async |bench| {
        bench.occupy().await.release();
        bench.database.execute(END_CONNECTIONS);
        bench.append(sample::event(1, "appended")).unwrap();
        bench.store.close();
        assert_eq!(bench.database.number("SELECT count(*) FROM event"), 1);
    });
}

#[test]
fn an_appended_event_that_the_database_refuses_holds_up_no_other() {
    run(Database::postgres(), async |bench| {
        bench.append(sample::event(1, "\0")).unwrap();
        bench.append(sample::event(1, "fine")).unwrap();
        within(Duration::from_secs(2), "the event is stored", async || {
            bench.database.column("SELECT object_id FROM event") == ["fine"]
        })
        .await;
    });
}

#[test]
fn a_database_that_is_away_for_a_moment_only_delays() {
    run(Database::postgres(), async |bench| {
        bench.occupy().await.release();
        bench.database.lets_in(false);
        let (writer, reader) = (bench.store.clone(), bench.store.clone());
        let write = change(writer, |tx| store_account(tx, 1));
        let work = tokio::spawn(async move {
            let read = reader.read(account::find_first);
            tokio::join!(write, read)
        });
        bench.append(sample::event(1, "appended")).unwrap();
        tokio::pin!(work);
        // Long enough for several attempts of each.
        let wait = tokio::time::timeout(Duration::from_millis(300), work.as_mut());
        assert!(wait.await.is_err(), "answered without a database");
        bench.database.lets_in(true);
        let (write, read) = work.await.unwrap();
        write.unwrap();
        read.unwrap();
        within(Duration::from_secs(2), "the event is stored", async || {
            bench.database.number("SELECT count(*) FROM event") == 1
        })
        .await;
    });
}
