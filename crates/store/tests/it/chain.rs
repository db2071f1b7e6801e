//! Hash chains over events: each writer's is whole, whatever becomes of its transactions.

use keyfob_core::audit::{Checkpoint, Hash, Head};
use keyfob_store::{Event, ReadTx, Store, StoreError, WriteTx, trail, vault};

use crate::{
    bench::{Bench, append, run, until},
    database::Database,
    sample::{self, at, store_account},
    wire::{Cut, Scissors, open},
};

/// Walks every chain from its birth to its end; how many events each has.
fn walk(tx: &mut ReadTx<'_>) -> Result<Vec<i64>, StoreError> {
    let (mut counts, mut chain) = (Vec::new(), None::<String>);
    while let Some(next) = trail::next_chain(tx, chain.as_deref())? {
        let birth = trail::find_birth(tx, &next)?.expect("a chain has a birth");
        let (mut follows, mut position) = (birth.hash(), 0);
        loop {
            let page = trail::walk(tx, &next, position + 1, 100)?;
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
        chain = Some(next);
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

/// A checkpoint with this number.
fn checkpoint(number: i64, heads: Vec<Head>) -> Checkpoint {
    Checkpoint {
        number,
        created_at: at(5),
        previous: Checkpoint::NOTHING,
        heads,
        key_id: "key".into(),
        signature: vec![1, 2, 3],
    }
}

on_both!(checkpoints_read_back_and_chains_say_how_far_they_are, async |bench| {
    commit(bench, sample::event(1, "first")).await;
    let head = bench.store.heads().remove(0);
    let edge_of = Some(Hash::new([7; 32]));
    let heads = vec![head.clone(), Head { edge_of, ..head.clone() }];
    let checkpoint = checkpoint(7, heads);
    let stored = checkpoint.clone();
    bench.change(move |tx| trail::insert(tx, &stored)).await.unwrap();
    for (from, count) in [(i64::MIN, 1), (7, 1), (8, 0)] {
        let list = bench.look(move |tx| trail::checkpoints(tx, from, 10)).await;
        let list: Vec<_> = list.into_iter().map(|(at, it)| (at, it.unwrap())).collect();
        assert_eq!(list, vec![(7, checkpoint.clone()); count]);
    }
    let ends = bench.look(|tx| trail::ends(tx, "", 10)).await;
    assert_eq!(ends, [(head.chain, head.position)]);
});

on_both!(a_chain_says_after_which_checkpoint_it_began, async |bench| {
    let newest = checkpoint(7, vec![]);
    let stored = newest.clone();
    bench.change(move |tx| trail::insert(tx, &stored)).await.unwrap();
    commit(bench, sample::event(1, "first")).await;
    let chain = bench.store.heads().remove(0).chain;
    let birth = bench.look(move |tx| trail::find_birth(tx, &chain)).await.unwrap();
    assert_eq!(birth.checkpoint, (7, newest.hash()));
    // What cannot be read keeps nobody from writing.
    bench.database.execute("UPDATE event_checkpoint SET heads = 'x'");
    let other = bench.database.open().unwrap();
    append(&other, sample::event(1, "second")).unwrap();
    tokio::task::block_in_place(|| other.close());
    let count = "SELECT count(*) FROM event_chain";
    until("it is stored", async || bench.database.number(count) == 2).await;
    assert_eq!(check(&bench.store).await, [1, 1]);
});

on_both!(an_event_is_walked_through_whatever_its_chain_is_called, async |bench| {
    let names = ["", "!", "chn_", "CHN_1", "chn-2", "zz", "\u{e4}", "\u{10ffff}"];
    for (number, name) in (0..).zip(names) {
        commit(bench, sample::event(1, &number.to_string())).await;
        bench.database.execute(&format!(
            "UPDATE event SET chain = '{name}', position = {} WHERE object_id = '{number}'",
            if number == 0 { i64::MIN + 1 } else { 5 }
        ));
    }
    bench.database.execute("DELETE FROM event_chain");
    let walked = bench.look(|tx| {
        let (mut walked, mut chain) = (Vec::new(), None::<String>);
        while let Some(next) = trail::next_chain(tx, chain.as_deref())? {
            assert_eq!(trail::walk(tx, &next, i64::MIN, 10)?.rows.len(), 1);
            walked.push(next.clone());
            chain = Some(next);
        }
        Ok(walked)
    });
    let mut names = names.map(str::to_owned);
    names.sort_unstable();
    assert_eq!(walked.await, names);
    assert_eq!(bench.look(trail::count).await, 8);
});

on_both!(a_part_that_cannot_be_read_does_not_end_a_walk, async |bench| {
    for number in 0..9 {
        commit(bench, sample::event(1, &number.to_string())).await;
    }
    bench.database.execute("UPDATE event SET chain = 'one', position = NULL");
    bench.database.execute(
        "UPDATE event SET position = (SELECT count(*) FROM event AS e WHERE e.id <= event.id)",
    );
    bench.database.execute("UPDATE event SET created_at = 999999999999999 WHERE position < 5");
    let seen = bench.look(|tx| {
        let (mut seen, mut from) = (vec![], i64::MIN);
        loop {
            let page = trail::walk(tx, "one", from, 2)?;
            seen.push((page.rows.len(), page.damaged.len()));
            match page.last {
                Some(last) => from = last + 1,
                None => return Ok(seen),
            }
        }
    });
    assert_eq!(seen.await, [(0, 2), (0, 2), (2, 0), (2, 0), (1, 0), (0, 0)]);
});

on_both!(an_event_with_a_position_and_no_chain_is_found, async |bench| {
    for number in 0..5 {
        commit(bench, sample::event(1, &number.to_string())).await;
    }
    let misplaced = async |from: i64| {
        let page = bench.look(move |tx| trail::misplaced(tx, from, 2)).await;
        (page.rows.iter().map(|it| it.object.1.clone()).collect::<Vec<_>>(), page.last)
    };
    assert_eq!(misplaced(i64::MIN).await, (vec![], None));
    let place = |number: u32, position: i64| {
        bench.database.execute(&format!(
            "UPDATE event SET chain = NULL, position = {position} WHERE object_id = '{number}'"
        ));
    };
    place(1, 70);
    place(3, 7);
    place(4, 700);
    assert_eq!(misplaced(i64::MIN).await, (vec!["3".to_owned(), "1".to_owned()], Some(70)));
    assert_eq!(misplaced(71).await, (vec!["4".to_owned()], Some(700)));
});

on_both!(
    rows_whose_keys_are_of_another_type_are_named_and_keep_nobody_from_the_others,
    async |bench| {
        for number in 0..5 {
            commit(bench, sample::event(1, &number.to_string())).await;
        }
        let mistyped = async || {
            let (damaged, events) = bench.look(|tx| trail::mistyped(tx, 10)).await;
            (damaged.iter().map(ToString::to_string).collect::<Vec<_>>(), events)
        };
        assert_eq!(mistyped().await, (vec![], 0));
        // PostgreSQL takes none.
        if !matches!(bench.database, Database::Sqlite(_)) {
            return;
        }
        bench.database.execute("UPDATE event SET position = 'x' WHERE object_id = '1'");
        bench.database.execute("UPDATE event SET chain = X'00' WHERE object_id = '2'");
        bench.database.execute(
        "INSERT INTO event_chain SELECT X'00', started_at, node, checkpoint, checkpoint_hash FROM event_chain;
         INSERT INTO event_checkpoint (number, created_at, previous, heads, key_id, signature)
         VALUES ('zz', 1, X'00', '', '', X'00')",
    );
        let (damaged, events) = mistyped().await;
        assert_eq!((damaged.len(), events), (4, 2), "{damaged:?}");
        assert!(damaged[3].starts_with("event_checkpoint row zz: column number"), "{damaged:?}");
        let chain = bench.store.heads().remove(0).chain;
        let first = bench.look(|tx| trail::next_chain(tx, None)).await;
        assert_eq!(first, Some(chain.clone()));
        let (of, after) = (chain.clone(), chain.clone());
        let page = bench.look(move |tx| trail::walk(tx, &of, 1, 10)).await;
        assert_eq!((page.rows.len(), page.damaged.len(), page.last), (3, 0, Some(5)));
        assert_eq!(bench.look(move |tx| trail::next_chain(tx, Some(&after))).await, None);
        assert_eq!(bench.look(|tx| trail::ends(tx, "", 10)).await, [(chain, 5)]);
        assert!(bench.look(|tx| trail::checkpoints(tx, i64::MIN, 10)).await.is_empty());
    }
);

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
    let (mut after, mut seen, mut last) = (None, vec![], None);
    for expected in [4, 3, 0] {
        let from = after.clone();
        let page = bench.look(move |tx| trail::unchained(tx, from.as_ref(), 4)).await;
        assert_eq!(page.rows.len(), expected);
        seen.extend(page.rows.iter().map(|event| event.created_at));
        last = last.or(page.last.clone());
        after = page.last.or(after);
    }
    assert!(seen.is_sorted(), "{seen:?}");
    let last = last.unwrap();
    for expected in [4, 0] {
        let last = last.clone();
        let removed = bench.change(move |tx| trail::expire_unchained(tx, &last)).await;
        assert_eq!(removed.unwrap(), expected);
    }
    let left = bench.look(|tx| trail::unchained(tx, None, 4)).await.rows;
    assert_eq!(left.iter().map(|event| event.created_at).collect::<Vec<_>>(), seen[4..]);
});
