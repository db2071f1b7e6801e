//! The queue in front of the writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use keyfob_store::{StoreError, WriteTx};
use tokio::task::JoinSet;

use crate::{
    bench::{change, until},
    sample::{self, store_account},
};

on_both!(units_run_in_the_order_they_were_queued_in, async |bench| {
    let occupied = bench.occupy().await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    for number in 0..50 {
        let order = Arc::clone(&order);
        let unit = move |tx: &mut WriteTx<'_>| {
            order.lock().unwrap().push(number);
            Ok(tx.commit_unaudited(()))
        };
        bench.queue(unit).await;
    }
    assert_eq!(bench.store.depth(), 50);
    let done = until("all ran", async || order.lock().unwrap().len() == 50);
    occupied.release_one(done).await;
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    assert_eq!(bench.store.depth(), 0);
});

on_both!(a_unit_that_could_not_begin_in_five_seconds_is_refused, async |bench| {
    let occupied = bench.occupy().await;
    let runs = Arc::new(AtomicU32::new(0));
    let mut late = JoinSet::new();
    for number in 0..3 {
        let runs = Arc::clone(&runs);
        let unit = move |tx: &mut WriteTx<'_>| {
            runs.fetch_add(1, Ordering::Relaxed);
            store_account(tx, number)
        };
        late.spawn(change(bench.store.clone(), unit));
    }
    bench.queued(3).await;
    let wait = tokio::time::timeout(Duration::from_millis(5_050), late.join_next());
    assert!(wait.await.is_err(), "answered although no writer was free");
    occupied.release();
    while let Some(answer) = late.join_next().await {
        assert!(matches!(answer.unwrap(), Err(StoreError::Overloaded)));
    }
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    bench.change(|tx| store_account(tx, 9)).await.unwrap();
    let accounts = bench.database.number("SELECT count(*) FROM account");
    assert_eq!(accounts, 1);
});

on_both!(more_units_than_the_store_takes_on_are_refused, async |bench| {
    let occupied = bench.occupy().await;
    let runs = Arc::new(AtomicU32::new(0));
    let unit = || {
        let runs = Arc::clone(&runs);
        move |tx: &mut WriteTx<'_>| {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(tx.commit_unaudited(()))
        }
    };
    for _ in 0..65_536 {
        bench.queue(unit()).await;
    }
    let refused = bench.store.write(unit()).await;
    assert!(matches!(refused, Err(StoreError::Overloaded)));
    occupied.release();
    until("the others ran", async || runs.load(Ordering::Relaxed) == 65_536).await;
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
});

on_both!(more_events_than_the_store_takes_on_are_refused, async |bench| {
    let occupied = bench.occupy().await;
    for _ in 0..65_536 {
        bench.append(sample::event(1, "appended")).unwrap();
    }
    let refused = bench.append(sample::event(1, "refused"));
    assert!(matches!(refused, Err(StoreError::Overloaded)));
    occupied.release();
    bench.store.close();
    let events = bench.database.number("SELECT count(*) FROM event");
    assert_eq!(events, 65_536);
});

on_both!(closing_finishes_what_is_queued_and_takes_no_more, async |bench| {
    let occupied = bench.occupy().await;
    let mut units = JoinSet::new();
    for number in 0..5 {
        let unit = move |tx: &mut WriteTx<'_>| store_account(tx, number);
        units.spawn(change(bench.store.clone(), unit));
    }
    bench.queued(5).await;
    let store = bench.store.clone();
    let close = tokio::task::spawn_blocking(move || store.close());
    until("the store takes no more", async || {
        let event = bench.append(sample::event(1, "appended"));
        matches!(event, Err(StoreError::Stopped))
    })
    .await;
    let refused = bench.change(|tx| store_account(tx, 9)).await;
    assert!(matches!(refused, Err(StoreError::Stopped)));
    assert!(!close.is_finished());
    occupied.release();
    close.await.unwrap();
    let accounts = bench.database.number("SELECT count(*) FROM account");
    assert_eq!(accounts, 5);
    for answer in units.join_all().await {
        answer.unwrap();
    }
    // Once more is no harm.
    bench.store.close();
});

on_both!(dropping_every_clone_ends_the_store_after_what_is_queued, async |bench| {
    let store = bench.database.open().unwrap();
    let clone = store.clone();
    drop(store);
    let write = change(clone, |tx| store_account(tx, 1));
    write.await.unwrap();
    let seen = bench.look(|tx| keyfob_store::account::find(tx, &sample::account_id(1)));
    assert!(seen.await.is_some());
});
