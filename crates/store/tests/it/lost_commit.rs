//! A connection that is lost during a commit, PostgreSQL only: was it done or not?

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use keyfob_store::{StoreError, WriteTx};

use crate::{
    bench::run,
    database::Database,
    sample::{self, store_account},
    wire::{Cut, Scissors, open},
};

/// Cuts the commits of 20 units, one after the other; how often the units ran.
fn commits_that_are_cut(cut: Cut) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    run(Database::postgres(), async move |bench| {
        let scissors = Scissors::default();
        let store = open(bench, &scissors).await;
        for number in 0..20 {
            let counted = Arc::clone(&counted);
            let unit = move |tx: &mut WriteTx<'_>| {
                counted.fetch_add(1, Ordering::Relaxed);
                store_account(tx, number)?;
                Ok::<_, StoreError>(tx.commit(sample::event(number, "stored"), ()))
            };
            scissors.set(cut);
            store.write(unit).await.unwrap();
            assert!(scissors.take() == Cut::Nowhere, "no commit was cut");
        }
        let database = &bench.database;
        assert_eq!(database.number("SELECT count(*) FROM account"), 20);
        assert_eq!(database.number("SELECT count(*) FROM event"), 20);
        tokio::task::block_in_place(|| store.close());
    });
    runs.load(Ordering::Relaxed)
}

#[test]
fn a_commit_that_was_done_but_not_answered_is_not_done_again() {
    assert_eq!(commits_that_are_cut(Cut::After), 20);
}

#[test]
fn a_commit_that_never_arrived_is_done_again() {
    assert_eq!(commits_that_are_cut(Cut::Before), 40);
}
