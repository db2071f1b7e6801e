//! Hash chains over events: each writer's is whole, whatever becomes of its transactions.

use keyfob_core::audit::{Checkpoint, Head};
use keyfob_store::{Event, ReadTx, Store, StoreError, WriteTx, trail, vault};

use crate::{
    bench::{Bench, append, run, until},
    database::Database,
    sample::{self, at, store_account},
    wire::{Cut, Scissors, open},
};

/// Walks every chain from its birth to its end; how many events each has.
fn walk(tx: &mut ReadTx<'_>) -> Result<Vec<i64>, StoreError> {
    let (mut counts, mut chain) = (Vec::new(), String::new());
    while let Some(next) = trail::next_chain(tx, &chain)? {
        let birth = trail::find_birth(tx, &next)?.expect("a chain has a birth");
        let (mut follows, mut position) = (birth.hash(), 0);
        loop {
            let page = trail::walk(tx, &next, position, 100)?;
            assert!(page.damaged.is_empty());
            if page.rows.is_empty() {
                break;
            }
            for stored in &page.rows {
                let event = stored.linked().unwrap();
                position += 1;
                let hash = stored.record().hash(&next, position, &follows);
                assert_eq!(event.hash, Some(hash));
                assert_eq!((event.position, event.previous), (position, Some(follows)));
                assert!(event.is_whole(), "{event:?}");
                follows = event.hash.unwrap();
            }
        }
        counts.push(position);
        chain = next;
    }
    Ok(counts)
}

/// Checks that all events are in whole chains; how many events each chain has.
pub(crate) async fn check(store: &Store) -> Vec<i64> {
    let (counts, unchained) = store
        .read(|tx| Ok::<_, StoreError>((walk(tx)?, trail::unchained(tx, None, 1)?)))
        .await
        .unwrap();
    assert!(unchained.rows.is_empty());
    counts
}

async fn commit(bench: &Bench, event: Event) {
    let written = bench.store.write(move |tx| Ok::<_, StoreError>(tx.commit(event.clone(), ())));
    written.await.unwrap();
}

on_both!(every_event_has_a_place_in_the_chain_of_its_writer, async |bench| {
    for number in 0..40 {
        commit(bench, sample::event(1, &format!("waited for {number}"))).await;
        bench.append(sample::event(2, &format!("left {number}"))).unwrap();
    }
    let count = "SELECT count(*) FROM event";
    until("all are stored", async || bench.database.number(count) == 80).await;
    let counts = check(&bench.store).await;
    assert_eq!(counts.iter().sum::<i64>(), 80);
    assert!(counts.len() <= if bench.database.is_postgres() { 2 } else { 1 }, "{counts:?}");
    let heads: i64 = bench.store.heads().iter().map(|head| head.position).sum();
    assert_eq!(heads, 80);
});

on_both!(a_store_that_writes_no_event_begins_no_chain, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    assert_eq!(bench.database.number("SELECT count(*) FROM event_chain"), 0);
    assert_eq!(bench.store.heads(), []);
});

on_both!(every_store_has_chains_of_its_own, async |bench| {
    commit(bench, sample::event(1, "first")).await;
    let other = bench.database.open().unwrap();
    for number in 0..20 {
        append(&bench.store, sample::event(1, &format!("one's {number}"))).unwrap();
        append(&other, sample::event(1, &format!("other's {number}"))).unwrap();
    }
    tokio::task::block_in_place(|| other.close());
    let count = "SELECT count(*) FROM event";
    until("all are stored", async || bench.database.number(count) == 41).await;
    assert!(check(&bench.store).await.len() >= 2);
});

on_both!(a_batch_that_is_rolled_back_uses_no_position, async |bench| {
    bench.database.execute("ALTER TABLE vault RENAME TO safe");
    commit(bench, sample::event(1, "first")).await;
    let occupied = bench.occupy().await;
    for number in 0..10 {
        let unit = move |tx: &mut WriteTx<'_>| {
            if number == 5 {
                // What fails before it has a savepoint takes its neighbours along.
                vault::find(tx)?;
            }
            store_account(tx, number)?;
            tx.also(sample::event(1, "told on the way"));
            Ok(tx.commit(sample::event(1, "done"), ()))
        };
        bench.queue(unit).await;
    }
    bench.queued(10).await;
    let done = "SELECT count(*) FROM event WHERE object_id = 'done'";
    occupied
        .release_one(until("the others are done", async || bench.database.number(done) == 9))
        .await;
    assert!(!bench.batches().contains(&10), "nothing was rolled back: {:?}", bench.batches());
    let counts = check(&bench.store).await;
    assert_eq!(counts.iter().sum::<i64>(), 19);
    assert!(counts.len() <= if bench.database.is_postgres() { 2 } else { 1 }, "{counts:?}");
});

on_both!(where_somebody_else_took_the_next_position_another_chain_is_begun, async |bench| {
    for number in 0..4 {
        commit(bench, sample::event(1, &format!("before {number}"))).await;
    }
    // At the end of each chain.
    bench.database.execute(
        "INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, result, request_id, chain, position)
         SELECT 'evt_x' || chain, account_id, created_at, actor_type, actor_id, actor_name, action,
                object_type, 'forged', result, request_id, chain, position + 1
         FROM event AS last WHERE position =
             (SELECT max(position) FROM event WHERE event.chain = last.chain)",
    );
    for number in 0..4 {
        commit(bench, sample::event(1, &format!("after {number}"))).await;
    }
    assert!(bench.database.number("SELECT count(*) FROM event_chain") >= 2);
    bench.database.execute("DELETE FROM event WHERE object_id = 'forged'");
    assert_eq!(check(&bench.store).await.iter().sum::<i64>(), 8);
});

#[test]
fn a_commit_whose_connection_is_cut_uses_each_position_once() {
    for cut in [Cut::Before, Cut::After] {
        run(Database::postgres(), async move |bench| {
            let scissors = Scissors::default();
            let store = open(bench, &scissors).await;
            for number in 0..20 {
                let unit = move |tx: &mut WriteTx<'_>| {
                    store_account(tx, number)?;
                    Ok::<_, StoreError>(tx.commit(sample::event(number, "stored"), ()))
                };
                scissors.set(cut);
                store.write(unit).await.unwrap();
            }
            let counts = check(&bench.store).await;
            assert_eq!(counts.iter().sum::<i64>(), 20);
            assert!(counts.len() <= 2, "{counts:?}");
            tokio::task::block_in_place(|| store.close());
        });
    }
}

on_both!(checkpoints_read_back_and_cover_their_chains, async |bench| {
    commit(bench, sample::event(1, "first")).await;
    let head = bench.store.heads().remove(0);
    let checkpoint = Checkpoint {
        number: 7,
        created_at: at(5),
        previous: Checkpoint::NOTHING,
        heads: vec![head.clone(), Head { is_edge: true, ..head.clone() }],
        key_id: "key".into(),
        signature: vec![1, 2, 3],
    };
    let stale = |tx: &mut ReadTx<'_>| trail::stale(tx, at(1_000_000), "", 10);
    assert_eq!(bench.look(stale).await.len(), 1);
    let stored = checkpoint.clone();
    bench.change(move |tx| trail::insert(tx, &stored)).await.unwrap();
    assert_eq!(bench.look(trail::newest).await, Some(checkpoint.clone()));
    let list = bench.look(|tx| trail::checkpoints(tx, 0, 10)).await;
    assert_eq!(list.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [checkpoint]);
    assert_eq!(bench.look(stale).await, []);
    let covered = bench.database.number("SELECT covered FROM event_chain");
    assert_eq!(covered, head.position);
});

on_both!(the_beginning_of_a_chain_is_removed_part_by_part, async |bench| {
    let occupied = bench.occupy().await;
    for number in 0..20 {
        bench.queue(move |tx| Ok(tx.commit(sample::event(1, &number.to_string()), ()))).await;
    }
    bench.queued(20).await;
    occupied
        .release_one(until("all are stored", async || {
            bench.database.number("SELECT count(*) FROM event") == 20
        }))
        .await;
    let chain = bench.store.heads().remove(0).chain;
    let ages = bench.look({
        let chain = chain.clone();
        move |tx| trail::ages(tx, &chain, 17, 10)
    });
    assert_eq!(ages.await, [(18, at(0)), (19, at(0)), (20, at(0))]);
    for left in [15, 10, 8, 8] {
        let chain = chain.clone();
        bench.change(move |tx| trail::expire(tx, &chain, 12, 5)).await.unwrap();
        assert_eq!(bench.database.number("SELECT count(*) FROM event"), left);
    }
    assert_eq!(bench.database.number("SELECT min(position) FROM event"), 13);
});

on_both!(events_from_before_there_were_chains_are_found_and_removed_by_age, async |bench| {
    for number in 0..6 {
        let event = Event { created_at: at(number), ..sample::event(1, &number.to_string()) };
        commit(bench, event).await;
    }
    commit(bench, sample::event(2, "another account's")).await;
    bench.database.execute("UPDATE event SET chain = NULL, position = NULL, hash = NULL");
    let accounts = bench.look(|tx| {
        let first = trail::next_unchained(tx, "")?.unwrap();
        let second = trail::next_unchained(tx, &first)?.unwrap();
        Ok([first.clone(), second.clone(), trail::next_unchained(tx, &second)?.unwrap_or_default()])
    });
    let [first, second, none] = accounts.await;
    assert!(first < second && none.is_empty());
    let mut after = None;
    for expected in [4, 3, 0] {
        let from = after.clone();
        let page = bench.look(move |tx| {
            let from: Option<&(_, _)> = from.as_ref();
            trail::unchained(tx, from.map(|(account, id)| (account, id)), 4)
        });
        let rows = page.await.rows;
        assert_eq!(rows.len(), expected);
        after = rows.last().map(|event| (event.account.clone(), event.id.clone())).or(after);
    }
    let removed = bench.change(move |tx| trail::expire_unchained(tx, &first, at(3), 2)).await;
    assert_eq!(removed.unwrap(), 2);
    assert_eq!(bench.database.number("SELECT count(*) FROM event"), 5);
});
