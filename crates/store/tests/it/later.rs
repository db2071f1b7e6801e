//! Units that nobody waits for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use keyfob_store::{
    StoreError, WriteTx,
    account::{self, Account},
};

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

/// Waits until the store has noticed that what was left to it is not stored.
async fn falls_behind(bench: &Bench) {
    within(Duration::from_secs(5), "the store notices", async || bench.store.is_behind()).await;
}

on_both!(what_the_database_refuses_is_kept_until_it_does_not, async |bench| {
    bench.database.execute("ALTER TABLE event RENAME TO event_away");
    for number in 1..=500 {
        leave(bench, number);
    }
    falls_behind(bench).await;
    // Nobody else suffers by it.
    bench.change(|tx| store_account(tx, 1000)).await.unwrap();
    bench.database.execute("ALTER TABLE event_away RENAME TO event");
    within(Duration::from_secs(30), "all is stored", async || {
        bench.database.number("SELECT count(*) FROM event") == 500
    })
    .await;
    assert_eq!(bench.database.number("SELECT count(*) FROM account"), 501);
    within(Duration::from_secs(5), "it has caught up", async || !bench.store.is_behind()).await;
});

on_both!(what_the_database_refused_is_tried_again_by_the_close, async |bench| {
    bench.database.execute("ALTER TABLE event RENAME TO event_away");
    leave(bench, 1);
    leave(bench, 2);
    falls_behind(bench).await;
    let store = bench.store.clone();
    let close = tokio::task::spawn_blocking(move || store.close());
    bench.database.execute("ALTER TABLE event_away RENAME TO event");
    close.await.unwrap();
    assert_eq!(bench.database.number("SELECT count(*) FROM event"), 2);
});

on_both!(one_that_the_database_never_takes_holds_up_no_other, async |bench| {
    let refused = |tx: &mut WriteTx<'_>| {
        // No such parent.
        let orphan = Account { parent: Some(account_id(77)), ..sample::account(9) };
        account::insert(tx, &orphan)?;
        Ok::<_, StoreError>(tx.commit_unaudited(()))
    };
    bench.store.write_later(refused).unwrap();
    falls_behind(bench).await;
    for number in [1, 2, 3] {
        leave(bench, number);
        bench.change(move |tx| store_account(tx, 100 + number)).await.unwrap();
    }
    within(Duration::from_secs(5), "the others are done", async || {
        bench.database.number("SELECT count(*) FROM event") == 3
    })
    .await;
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
