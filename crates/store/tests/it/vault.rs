//! Table `vault`.

use keyfob_core::crypto::MasterKeyId;
use keyfob_store::{WriteTx, vault};

use crate::sample::at;

fn id(text: &str) -> MasterKeyId {
    MasterKeyId::from_stored(text.into())
}

on_both!(a_new_database_is_bound_to_no_master_key, async |bench| {
    assert_eq!(bench.look(vault::find).await, None);
});

on_both!(a_database_is_bound_once, async |bench| {
    let bind = |key: &'static str| bench.change(move |tx| vault::insert(tx, &id(key), at(1)));
    assert!(bind("first").await.unwrap());
    assert!(!bind("second").await.unwrap());
    assert_eq!(bench.look(vault::find).await, Some(id("first")));
});

on_both!(of_concurrent_bindings_one_wins, async |bench| {
    let bind = |n| move |tx: &mut WriteTx<'_>| vault::insert(tx, &id(&format!("key {n}")), at(1));
    let answers = bench.at_once(32, bind).await;
    let bound = answers.into_iter().filter(|bound| *bound.as_ref().unwrap());
    assert_eq!(bound.count(), 1);
});

on_both!(the_lock_changes_nothing, async |bench| {
    bench.change(vault::lock).await.unwrap();
    assert_eq!(bench.look(vault::find).await, None);
    let bind = |tx: &mut WriteTx<'_>| vault::insert(tx, &id("first"), at(1));
    bench.change(bind).await.unwrap();
    bench.change(vault::lock).await.unwrap();
    assert_eq!(bench.look(vault::find).await, Some(id("first")));
});

on_both!(a_probe_writes_and_tells_whether_the_database_is_bound, async |bench| {
    let probe = |millis| bench.change(move |tx| vault::probe(tx, at(millis)));
    assert!(!probe(1).await.unwrap());
    let key = MasterKeyId::from_stored("0123456789abcdef".into());
    bench.change(move |tx| vault::insert(tx, &key, at(2))).await.unwrap();
    assert!(probe(3).await.unwrap());
    let probed = bench.database.number("SELECT probed_at FROM vault");
    assert_eq!(probed, at(3).as_millis());
});
