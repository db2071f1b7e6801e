//! Table `key_use`.

use futures_util::future::join_all;
use keyfob_core::policy::{Limits, Usage};
use keyfob_store::{StoreError, WriteTx, removal, usage};

use crate::{
    bench::Bench,
    sample::{account_id, at, key_id, store_account},
};

/// Counts a use of key 1 of an account; whether there was room for it.
async fn count(bench: &Bench, account: u32, limits: Limits, millis: i64) -> bool {
    let counted = bench.change(move |tx| {
        let (account, key) = (account_id(account), key_id(1));
        let mut uses = usage::hold(tx, &account, &key, at(millis))?;
        let counted = uses.count(&limits, at(millis)).is_ok();
        usage::update(tx, &account, &key, &uses)?;
        Ok(counted)
    });
    counted.await.unwrap()
}

async fn usage(bench: &Bench) -> Usage {
    let hold = |tx: &mut WriteTx<'_>| usage::hold(tx, &account_id(1), &key_id(1), at(0));
    bench.change(hold).await.unwrap()
}

on_both!(uses_read_back_as_they_were_counted, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    assert_eq!(usage(bench).await, Usage::default());
    let limits = || Limits { rate: Some(2), quota: Some(3), ..Limits::NONE };
    let mut expected = Usage::default();
    for millis in [0, 900, 1_000, 1_100, 61_000, 61_001, 61_002] {
        let room = expected.count(&limits(), at(millis)).is_ok();
        assert_eq!(count(bench, 1, limits(), millis).await, room, "{millis}");
        assert_eq!(usage(bench).await, expected);
    }
    assert!(expected.rate_told_at.is_some() && expected.quota_told_on.is_some());
});

on_both!(of_any_number_of_uses_at_once_each_counts_those_before_it, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    let limits = || Limits { rate: Some(40), quota: Some(1_000), ..Limits::NONE };
    let counts = join_all((0..100).map(|_| count(bench, 1, limits(), 5))).await;
    assert_eq!(counts.into_iter().filter(|counted| *counted).count(), 40);
    assert_eq!(usage(bench).await.today, 40);
});

on_both!(a_key_is_counted_in_its_own_account, async |bench| {
    for account in [1, 2] {
        bench.change(move |tx| store_account(tx, account)).await.unwrap();
    }
    let one = || Limits { rate: Some(1), ..Limits::NONE };
    assert!(count(bench, 1, one(), 0).await);
    assert!(!count(bench, 1, one(), 0).await);
    assert!(count(bench, 2, one(), 0).await);
});

on_both!(uses_are_forgotten_a_few_at_a_time_and_with_their_account, async |bench| {
    for account in [1, 2, 3] {
        bench.change(move |tx| store_account(tx, account)).await.unwrap();
        count(bench, account, Limits::NONE, i64::from(account)).await;
    }
    let forget = |millis, limit| bench.change(move |tx| usage::forget(tx, at(millis), limit));
    assert_eq!(forget(1, 9).await.unwrap(), 0);
    assert_eq!(forget(3, 1).await.unwrap(), 1);
    assert_eq!(forget(3, 9).await.unwrap(), 1);
    let remove = |tx: &mut WriteTx<'_>| removal::remove_some(tx, &account_id(3), 9);
    assert_eq!(bench.change(remove).await.unwrap(), 1);
});

on_both!(damaged_uses_are_an_error_that_names_the_column, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    count(bench, 1, Limits::NONE, 0).await;
    let minute = if bench.database.is_postgres() { "minute = '\\x00'" } else { "minute = X'00'" };
    for (damage, expected) in [("used_on_day = -1", "used_on_day"), (minute, "minute")] {
        bench.database.execute(&format!("UPDATE key_use SET {damage}"));
        let hold = |tx: &mut WriteTx<'_>| usage::hold(tx, &account_id(1), &key_id(1), at(0));
        let Err(StoreError::Corrupt { table, column, row }) = bench.change(hold).await else {
            panic!("damaged uses were read");
        };
        assert_eq!((table, &*column, &*row), ("key_use", expected, key_id(1).as_str()));
        bench.database.execute("UPDATE key_use SET used_on_day = 0");
    }
});
