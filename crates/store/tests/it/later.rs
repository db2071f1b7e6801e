//! Units that nobody waits for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use keyfob_store::{StoreError, WriteTx};

use crate::{
    bench::{Bench, within},
    sample::{self, account_id, store_account},
};

/// Leaves a unit that stores an account, with an event of its own.
fn leave(bench: &Bench, number: u32) {
    let unit = move |tx: &mut WriteTx<'_>| {
        store_account(tx, number)?;
        Ok::<_, StoreError>(tx.commit(sample::event(number, "left"), ()))
    };
    bench.store.write_later(unit).unwrap();
}

async fn accounts_are_stored(bench: &Bench, numbers: &[u32]) {
    let ids: Vec<_> = numbers.iter().map(|n| account_id(*n).to_string()).collect();
    within(Duration::from_secs(1), "the units are done", async || {
        bench.database.column("SELECT id FROM account ORDER BY id") == ids
    })
    .await;
    let events = "SELECT account_id FROM event ORDER BY account_id";
    assert_eq!(bench.database.column(events), ids);
}

on_both!(a_unit_that_nobody_waits_for_is_done_within_a_second, async |bench| {
    leave(bench, 1);
    accounts_are_stored(bench, &[1]).await;
});

on_both!(of_units_that_nobody_waits_for_one_that_fails_harms_no_other, async |bench| {
    leave(bench, 1);
    let refused = |tx: &mut WriteTx<'_>| {
        store_account(tx, 9)?;
        Err(StoreError::Overloaded)
    };
    bench.store.write_later(refused).unwrap();
    leave(bench, 2);
    // It is there already.
    leave(bench, 1);
    let panics = |tx: &mut WriteTx<'_>| -> Result<_, StoreError> {
        store_account(tx, 9)?;
        panic!("on purpose");
    };
    bench.store.write_later(panics).unwrap();
    leave(bench, 3);
    accounts_are_stored(bench, &[1, 2, 3]).await;
});

on_both!(a_unit_that_nobody_waits_for_and_that_fails_by_itself_is_not_run_again, async |bench| {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let refused = move |_: &mut WriteTx<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::Overloaded)
    };
    bench.store.write_later(refused).unwrap();
    leave(bench, 1);
    accounts_are_stored(bench, &[1]).await;
    leave(bench, 2);
    accounts_are_stored(bench, &[1, 2]).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
});

on_both!(a_unit_that_nobody_waits_for_goes_with_one_that_somebody_does, async |bench| {
    let occupied = bench.occupy().await;
    leave(bench, 1);
    let waited = tokio::spawn(crate::bench::change(bench.store.clone(), |tx| store_account(tx, 2)));
    bench.queued(1).await;
    occupied.release_one(waited).await.unwrap().unwrap();
    assert!(bench.batches().contains(&2), "{:?}", bench.batches());
    let accounts = bench.database.number("SELECT count(*) FROM account");
    assert_eq!(accounts, 2);
});
