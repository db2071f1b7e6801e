//! Units that meet others on the same rows, PostgreSQL only: on SQLite there is one writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use keyfob_store::{StoreError, WriteTx, account, creation};
use tokio::task::JoinSet;

use crate::{
    bench::{change, run},
    database::{Database, connect, outside},
    sample::{self, account_id, at, store_account},
};

fn add(tx: &mut WriteTx<'_>, number: u32) -> Result<bool, StoreError> {
    account::add_totp(tx, &account_id(number), i64::MAX)
}

fn two_accounts(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    store_account(tx, 1)?;
    store_account(tx, 2)
}

#[test]
fn two_nodes_that_lock_the_same_rows_in_opposite_order_both_get_done() {
    run(Database::postgres(), async |bench| {
        bench.change(two_accounts).await.unwrap();
        let other = bench.database.open().unwrap();
        let mut units = JoinSet::new();
        for _ in 0..50 {
            for (store, first, second) in [(&bench.store, 1, 2), (&other, 2, 1)] {
                let unit = move |tx: &mut WriteTx<'_>| Ok((add(tx, first)?, add(tx, second)?));
                units.spawn(change(store.clone(), unit));
            }
        }
        for answer in units.join_all().await {
            assert_eq!(answer.unwrap(), (true, true));
        }
        let counts = "SELECT totp_count FROM account";
        assert_eq!(bench.database.column(counts), ["100", "100"]);
        other.close();
    });
}

#[test]
fn two_nodes_that_make_the_same_thing_make_it_once() {
    run(Database::postgres(), async |bench| {
        bench.change(two_accounts).await.unwrap();
        let other = bench.database.open().unwrap();
        let mut units = JoinSet::new();
        for object in 0..32 {
            let store = if object % 2 == 0 { &bench.store } else { &other };
            let creation = sample::creation(1, object, 1_000);
            let unit =
                move |tx: &mut WriteTx<'_>| creation::claim(tx, &account_id(1), &creation, at(500));
            units.spawn(change(store.clone(), unit));
        }
        let answers = units.join_all().await;
        let won = answers.iter().filter(|answer| matches!(answer, Ok(None)));
        assert_eq!(won.count(), 1);
        assert!(answers.iter().all(Result::is_ok));
        other.close();
    });
}

#[test]
fn a_unit_that_waits_for_a_locked_row_holds_up_no_neighbours_answer() {
    run(Database::postgres(), async |bench| {
        bench.change(two_accounts).await.unwrap();
        let url = bench.database.url();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (locked, is_locked) = tokio::sync::oneshot::channel();
        let holder = std::thread::spawn(move || {
            let mut client = connect(&url);
            let mut tx = client.transaction().unwrap();
            let lock = "SELECT 1 FROM account WHERE id = $1 FOR UPDATE";
            tx.query(lock, &[&account_id(1).as_str()]).unwrap();
            locked.send(()).unwrap();
            let _ = released.recv();
        });
        is_locked.await.unwrap();
        let occupied = bench.occupy().await;
        let waiting = tokio::spawn(change(bench.store.clone(), |tx| add(tx, 1)));
        bench.queued(1).await;
        let neighbour = tokio::spawn(change(bench.store.clone(), |tx| add(tx, 2)));
        bench.queued(2).await;
        // The other writer stays occupied, so one writer has both.
        let answer = async {
            let answer = tokio::time::timeout(Duration::from_secs(3), neighbour).await;
            assert!(!waiting.is_finished());
            release.send(()).unwrap();
            (answer, waiting.await)
        };
        let (answer, waited) = occupied.release_one(answer).await;
        let answer = answer.expect("the neighbour's answer waits for the locked row");
        assert!(answer.unwrap().unwrap());
        assert!(waited.unwrap().unwrap());
        outside(|| holder.join()).unwrap();
    });
}

/// Makes the database raise `code` the first time an account is stored.
fn trip_once(database: &Database, code: &str, trigger: &str) {
    database.execute(&format!(
        "CREATE SEQUENCE trips;
         CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('trips') = 1 THEN
                 RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}';
             END IF;
             RETURN NEW;
         END $$;
         {trigger} EXECUTE FUNCTION trip();"
    ));
}

fn a_unit_that_trips_is_run_again(code: &'static str, trigger: &'static str) {
    run(Database::postgres(), async move |bench| {
        trip_once(&bench.database, code, trigger);
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let unit = move |tx: &mut WriteTx<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
            store_account(tx, 1)?;
            Ok::<_, StoreError>(tx.commit(sample::event(1, "stored"), ()))
        };
        bench.store.write(unit).await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        let database = &bench.database;
        assert_eq!(database.number("SELECT count(*) FROM account"), 1);
        assert_eq!(database.number("SELECT count(*) FROM event"), 1);
    });
}

const AT_ONCE: &str = "CREATE TRIGGER trip BEFORE INSERT ON account FOR EACH ROW";
const AT_COMMIT: &str = "CREATE CONSTRAINT TRIGGER trip AFTER INSERT ON account
                         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW";

#[test]
fn a_unit_is_run_again_after_a_serialisation_failure() {
    a_unit_that_trips_is_run_again("40001", AT_ONCE);
}

#[test]
fn a_unit_is_run_again_after_a_deadlock() {
    a_unit_that_trips_is_run_again("40P01", AT_ONCE);
}

#[test]
fn a_unit_is_run_again_after_a_lock_that_was_not_available() {
    a_unit_that_trips_is_run_again("55P03", AT_ONCE);
}

#[test]
fn a_unit_is_run_again_after_a_serialisation_failure_at_the_commit() {
    a_unit_that_trips_is_run_again("40001", AT_COMMIT);
}

#[test]
fn a_unit_is_run_again_after_a_fail_over_made_the_server_read_only() {
    a_unit_that_trips_is_run_again("25006", AT_ONCE);
}
