//! A unit of work by itself.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use keyfob_store::{ReadTx, StoreError, WriteTx, account, key};

use crate::{
    bench::{change, until},
    sample::{self, account_id, store_account},
};

/// An operation's own error, as the broker has one.
#[derive(Debug)]
enum Refused {
    Domain,
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

on_both!(a_units_writes_and_its_event_are_both_there, async |bench| {
    let unit = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        Ok::<_, Refused>(tx.commit(sample::event(1, "stored"), "answer"))
    };
    assert_eq!(bench.store.write(unit).await.unwrap(), "answer");
    let database = &bench.database;
    assert_eq!(database.number("SELECT count(*) FROM account"), 1);
    assert_eq!(database.column("SELECT object_id FROM event"), ["stored"]);
});

on_both!(of_a_unit_that_fails_neither_writes_nor_event_are_there, async |bench| {
    let unit = |tx: &mut WriteTx<'_>| -> Result<_, Refused> {
        store_account(tx, 1)?;
        let commit = tx.commit(sample::event(1, "stored"), ());
        if account::add_totp(tx, &account_id(1), 0)? {
            return Ok(commit);
        }
        Err(Refused::Domain)
    };
    let answer = bench.store.write(unit).await;
    assert!(matches!(answer, Err(Refused::Domain)));
    let database = &bench.database;
    assert_eq!(database.number("SELECT count(*) FROM account"), 0);
    assert_eq!(database.number("SELECT count(*) FROM event"), 0);
});

on_both!(a_stores_error_arrives_as_the_operations_own, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    let unit = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        Ok::<_, Refused>(tx.commit_unaudited(()))
    };
    let answer = bench.store.write(unit).await;
    assert!(matches!(answer, Err(Refused::Store(StoreError::Conflict))));
    let read = |_: &mut ReadTx<'_>| Err::<(), _>(Refused::Domain);
    let answer = bench.store.read(read).await;
    assert!(matches!(answer, Err(Refused::Domain)));
});

on_both!(a_panic_in_a_read_is_an_error_and_the_store_goes_on, async |bench| {
    let read = |_: &mut ReadTx<'_>| -> Result<(), StoreError> { panic!("on purpose") };
    for _ in 0..8 {
        let answer = bench.store.read(read).await;
        assert!(matches!(answer, Err(StoreError::Stopped)));
    }
    assert_eq!(bench.look(account::find_first).await, None);
});

on_both!(a_unit_that_goes_on_after_a_failed_statement_is_undone, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    let unit = |tx: &mut WriteTx<'_>| {
        store_account(tx, 2)?;
        let _ignored = store_account(tx, 1);
        Ok(())
    };
    let answer = bench.change(unit).await;
    assert!(matches!(answer, Err(StoreError::Stopped)));
    let accounts = bench.database.number("SELECT count(*) FROM account");
    assert_eq!(accounts, 1);
});

on_both!(a_unit_sees_its_own_writes_and_others_do_not_before_its_commit, async |bench| {
    let reader = bench.store.clone();
    let (look, looks) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let unit = move |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        begun.send(()).unwrap();
        looks.recv().unwrap();
        account::find(tx, &account_id(1))
    };
    let unit = tokio::spawn(change(bench.store.clone(), unit));
    tokio::task::block_in_place(|| has_begun.recv()).unwrap();
    let find = |tx: &mut ReadTx<'_>| account::find(tx, &account_id(1));
    assert_eq!(reader.read(find).await.unwrap(), None);
    look.send(()).unwrap();
    assert_eq!(unit.await.unwrap().unwrap(), Some(sample::account(1)));
    assert_eq!(reader.read(find).await.unwrap(), Some(sample::account(1)));
});

on_both!(an_answer_arrives_after_the_commit, async |bench| {
    for number in 0..20 {
        let write = bench.change(move |tx| store_account(tx, number));
        write.await.unwrap();
        let seen = bench.database.number("SELECT count(*) FROM account");
        assert_eq!(seen, i64::from(number) + 1);
    }
});

on_both!(a_panic_in_a_unit_undoes_it_and_the_store_goes_on, async |bench| {
    let unit = |tx: &mut WriteTx<'_>| -> Result<(), _> {
        store_account(tx, 1)?;
        panic!("on purpose");
    };
    let answer = bench.change(unit).await;
    assert!(matches!(answer, Err(StoreError::Stopped)));
    bench.change(|tx| store_account(tx, 2)).await.unwrap();
    let ids = bench.database.column("SELECT id FROM account");
    assert_eq!(ids, [account_id(2).as_str()]);
});

on_both!(a_unit_runs_to_its_end_when_its_caller_goes_away, async |bench| {
    let occupied = bench.occupy().await;
    let unit = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        Ok(tx.commit(sample::event(1, "stored"), ()))
    };
    bench.queue(unit).await;
    assert_eq!(bench.store.depth(), 1);
    occupied.release();
    until("the unit is committed", async || {
        bench.database.number("SELECT count(*) FROM account") == 1
            && bench.database.number("SELECT count(*) FROM event") == 1
    })
    .await;
});

on_both!(a_failed_read_spoils_no_later_one, async |bench| {
    let store = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        key::insert(tx, &sample::key(1, 1))
    };
    bench.change(store).await.unwrap();
    let rename = "ALTER TABLE key RENAME COLUMN role TO part";
    bench.database.execute(rename);
    let find = |tx: &mut ReadTx<'_>| key::find_any(tx, &sample::key_id(1));
    for _ in 0..8 {
        let found = bench.store.read(find).await;
        assert!(matches!(found, Err(StoreError::Database(_))));
    }
    let rename = "ALTER TABLE key RENAME COLUMN part TO role";
    bench.database.execute(rename);
    for _ in 0..8 {
        assert!(bench.look(find).await.is_some());
    }
});

on_both!(reads_run_at_the_same_time_as_a_write, async |bench| {
    let occupied = bench.occupy().await;
    let count = Arc::new(AtomicU32::new(0));
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, count) = (bench.store.clone(), Arc::clone(&count));
        reads.spawn(async move {
            let first = store.read(account::find_first).await;
            assert_eq!(first.unwrap(), None);
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    reads.join_all().await;
    assert_eq!(count.load(Ordering::Relaxed), 32);
    occupied.release();
});
