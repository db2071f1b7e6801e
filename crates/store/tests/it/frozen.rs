//! A server that neither answers nor breaks its connections, PostgreSQL only.

use keyfob_store::{StoreError, account};

use crate::{
    bench::{change, run, until},
    database::Database,
    sample::{self, account_id, store_account},
    wire::{Scissors, open},
};

#[test]
fn callers_are_told_and_served_again_when_the_server_is_back() {
    run(Database::postgres(), async |bench| {
        let scissors = Scissors::default();
        let store = open(bench, &scissors).await;
        change(store.clone(), |tx| store_account(tx, 1)).await.unwrap();
        scissors.freeze(true);
        let write = change(store.clone(), |tx| store_account(tx, 2));
        let read = store.read(|tx| account::find(tx, &account_id(1)));
        let (write, read) = tokio::join!(write, read);
        assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        scissors.freeze(false);
        change(store.clone(), |tx| store_account(tx, 3)).await.unwrap();
        let read = store.read(|tx| account::find(tx, &account_id(3))).await;
        assert!(read.unwrap().is_some());
        // Nothing was committed for the caller who was told that it was not done.
        let second = store.read(|tx| account::find(tx, &account_id(2))).await;
        assert_eq!(second.unwrap(), None);
        tokio::task::block_in_place(|| store.close());
    });
}

#[test]
fn the_store_can_be_closed() {
    run(Database::postgres(), async |bench| {
        let scissors = Scissors::default();
        let store = open(bench, &scissors).await;
        change(store.clone(), |tx| store_account(tx, 1)).await.unwrap();
        scissors.freeze(true);
        let read = store.read(|tx| account::find(tx, &account_id(1)));
        let write = change(store.clone(), |tx| store_account(tx, 2));
        let close = async {
            let store = store.clone();
            tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        };
        let (read, write, ()) = tokio::join!(read, write, close);
        assert!(read.is_err() && write.is_err());
        scissors.freeze(false);
    });
}

#[test]
fn what_was_left_for_later_is_known_to_be_behind_long_before_anything_times_out() {
    run(Database::postgres(), async |bench| {
        let scissors = Scissors::default();
        let store = open(bench, &scissors).await;
        change(store.clone(), |tx| store_account(tx, 1)).await.unwrap();
        assert!(!store.is_behind());
        scissors.freeze(true);
        crate::bench::append(&store, sample::event(1, "appended")).unwrap();
        until("the store notices", async || store.is_behind()).await;
        assert_eq!(bench.database.number("SELECT count(*) FROM event"), 0);
        scissors.freeze(false);
        until("it has caught up", async || !store.is_behind()).await;
        assert_eq!(bench.database.number("SELECT count(*) FROM event"), 1);
        tokio::task::block_in_place(|| store.close());
    });
}
