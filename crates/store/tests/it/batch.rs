//! Units that share a transaction.

use keyfob_store::{StoreError, WriteTx};
use tokio::task::JoinSet;

use crate::{
    bench::{Bench, change},
    sample::{self, account_id, store_account},
};

/// Queues `spoiler` in the middle of 20 units that store accounts 0 to 19, lets them all run in
/// one transaction, and gives the spoiler's answer once the others have theirs.
async fn among_neighbours<W>(bench: &Bench, spoiler: W) -> Result<(), StoreError>
where
    W: FnMut(&mut WriteTx<'_>) -> Result<(), StoreError> + Send + 'static,
{
    let occupied = bench.occupy().await;
    let mut neighbours = JoinSet::new();
    let neighbour = |number| {
        let write = move |tx: &mut WriteTx<'_>| {
            store_account(tx, number)?;
            let object = format!("account {number}");
            Ok::<_, StoreError>(tx.commit(sample::event(number, &object), ()))
        };
        let store = bench.store.clone();
        async move { store.write(write).await }
    };
    for number in 0..10 {
        neighbours.spawn(neighbour(number));
    }
    bench.queued(10).await;
    let spoiler = tokio::spawn(change(bench.store.clone(), spoiler));
    bench.queued(11).await;
    for number in 10..20 {
        neighbours.spawn(neighbour(number));
    }
    bench.queued(21).await;
    let answers = async {
        for answer in neighbours.join_all().await {
            answer.unwrap();
        }
        spoiler.await.unwrap()
    };
    let answer = occupied.release_one(answers).await;
    let ids: Vec<_> = (0..20).map(|n| account_id(n).to_string()).collect();
    let database = &bench.database;
    assert_eq!(database.column("SELECT id FROM account ORDER BY id"), ids);
    assert_eq!(database.number("SELECT count(*) FROM event"), 20);
    answer
}

fn shared_one_transaction(bench: &Bench) -> bool {
    bench.batches().contains(&21)
}

on_both!(units_that_wait_share_one_transaction, async |bench| {
    let answer = among_neighbours(bench, |_| Ok(())).await;
    answer.unwrap();
    assert!(shared_one_transaction(bench), "{:?}", bench.batches());
});

on_both!(a_units_own_error_after_a_write_harms_no_neighbour, async |bench| {
    let spoiler = |tx: &mut WriteTx<'_>| {
        store_account(tx, 99)?;
        Err(StoreError::Overloaded)
    };
    let answer = among_neighbours(bench, spoiler).await;
    assert!(matches!(answer, Err(StoreError::Overloaded)));
    assert!(shared_one_transaction(bench), "{:?}", bench.batches());
});

on_both!(a_units_own_error_before_a_write_harms_no_neighbour, async |bench| {
    let answer = among_neighbours(bench, |_| Err(StoreError::Overloaded)).await;
    assert!(matches!(answer, Err(StoreError::Overloaded)));
    assert!(shared_one_transaction(bench), "{:?}", bench.batches());
});

on_both!(a_conflict_harms_no_neighbour, async |bench| {
    let spoiler = |tx: &mut WriteTx<'_>| {
        store_account(tx, 99)?;
        store_account(tx, 5)
    };
    let answer = among_neighbours(bench, spoiler).await;
    assert!(matches!(answer, Err(StoreError::Conflict)));
    assert!(shared_one_transaction(bench), "{:?}", bench.batches());
});

on_both!(a_conflict_that_a_unit_ignores_harms_no_neighbour, async |bench| {
    let spoiler = |tx: &mut WriteTx<'_>| {
        store_account(tx, 99)?;
        let _ignored = store_account(tx, 5);
        Ok(())
    };
    let answer = among_neighbours(bench, spoiler).await;
    assert!(matches!(answer, Err(StoreError::Stopped)));
});

on_both!(a_panic_harms_no_neighbour, async |bench| {
    let spoiler = |tx: &mut WriteTx<'_>| {
        store_account(tx, 99)?;
        panic!("on purpose");
    };
    let answer = among_neighbours(bench, spoiler).await;
    assert!(matches!(answer, Err(StoreError::Stopped)));
    assert!(shared_one_transaction(bench), "{:?}", bench.batches());
});

on_both!(a_failed_read_harms_no_neighbour, async |bench| {
    let damage = "INSERT INTO vault VALUES (1, 'key', 0, 0); ALTER TABLE vault RENAME TO safe";
    bench.database.execute(damage);
    let spoiler = |tx: &mut WriteTx<'_>| keyfob_store::vault::find(tx).map(drop);
    let answer = among_neighbours(bench, spoiler).await;
    assert!(matches!(answer, Err(StoreError::Database(_))));
});

#[test]
fn an_event_that_postgres_refuses_fails_its_own_unit_only() {
    // PostgreSQL stores no NUL in a text.
    crate::bench::run(crate::database::Database::postgres(), async |bench| {
        let occupied = bench.occupy().await;
        let mut units = JoinSet::new();
        for number in 0..3 {
            let object = if number == 1 { "\0" } else { "fine" };
            let write = move |tx: &mut WriteTx<'_>| {
                store_account(tx, number)?;
                Ok::<_, StoreError>(tx.commit(sample::event(number, object), number))
            };
            let store = bench.store.clone();
            units.spawn(async move { store.write(write).await });
        }
        bench.queued(3).await;
        let answers = occupied.release_one(units.join_all()).await;
        let mut done: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
        done.sort_unstable();
        assert_eq!(done, [0, 2]);
        let database = &bench.database;
        assert_eq!(database.number("SELECT count(*) FROM account"), 2);
        assert_eq!(database.number("SELECT count(*) FROM event"), 2);
    });
}
