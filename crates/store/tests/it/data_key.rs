//! Table `data_key`.

use keyfob_store::{StoreError, data_key};

use crate::sample::{account_id, at, sealed, store_account};

on_both!(the_newest_data_key_is_the_one_with_the_highest_number, async |bench| {
    for account in [1, 2] {
        let stored = bench.change(move |tx| store_account(tx, account)).await;
        stored.unwrap();
    }
    let newest = |n| bench.look(move |tx| data_key::find_newest(tx, &account_id(n)));
    assert_eq!(newest(1).await, None);
    // As numbers, not as text: 10 is newer than 9. The largest number fits.
    for id in [9, 10, u32::MAX] {
        let sealed = sealed(u8::try_from(id % 250).unwrap());
        let wrapped = sealed.clone();
        let insert =
            bench.change(move |tx| data_key::insert(tx, &account_id(1), id, &wrapped, at(1)));
        insert.await.unwrap();
        assert_eq!(newest(1).await, Some((id, sealed)));
    }
    assert_eq!(newest(2).await, None);
});

on_both!(a_data_key_is_found_by_account_and_number_only, async |bench| {
    for account in [1, 2] {
        let stored = bench.change(move |tx| store_account(tx, account)).await;
        stored.unwrap();
    }
    let insert = bench.change(|tx| data_key::insert(tx, &account_id(1), 7, &sealed(7), at(1)));
    insert.await.unwrap();
    let find = |n, id| bench.look(move |tx| data_key::find(tx, &account_id(n), id));
    assert_eq!(find(1, 7).await, Some(sealed(7)));
    assert_eq!(find(1, 8).await, None);
    assert_eq!(find(2, 7).await, None);
});

on_both!(a_number_is_given_once_in_an_account, async |bench| {
    for account in [1, 2] {
        let stored = bench.change(move |tx| store_account(tx, account)).await;
        stored.unwrap();
    }
    let insert = |n, byte| {
        bench.change(move |tx| data_key::insert(tx, &account_id(n), 1, &sealed(byte), at(1)))
    };
    insert(1, 1).await.unwrap();
    assert!(matches!(insert(1, 2).await, Err(StoreError::Conflict)));
    insert(2, 3).await.unwrap();
    let find = bench.look(|tx| data_key::find(tx, &account_id(1), 1));
    assert_eq!(find.await, Some(sealed(1)));
    // No account, no key.
    assert!(matches!(insert(9, 1).await, Err(StoreError::Database(_))));
});

on_both!(all_data_keys_are_listed_and_one_is_wrapped_anew, async |bench| {
    let stored =
        |n, id, byte| data_key::Stored { account: account_id(n), id, wrapped: sealed(byte) };
    for account in [1, 2] {
        let store = bench.change(move |tx| store_account(tx, account));
        store.await.unwrap();
        for id in [1, 10, 9] {
            let byte = u8::try_from(account * 20 + id).unwrap();
            let insert = bench.change(move |tx| {
                data_key::insert(tx, &account_id(account), id, &sealed(byte), at(1))
            });
            insert.await.unwrap();
        }
    }
    let all = async || {
        let (mut all, mut after) = (vec![], None);
        loop {
            let page = bench.look(move |tx| data_key::list(tx, after.as_ref(), 2)).await;
            all.extend(page.rows);
            after = page.last;
            if after.is_none() {
                return all;
            }
        }
    };
    let mut expected = vec![];
    for n in [1, 2] {
        expected.extend([1, 9, 10].map(|id| stored(n, id, u8::try_from(n * 20 + id).unwrap())));
    }
    assert_eq!(all().await, expected);
    expected[4] = stored(2, 9, 99);
    bench.change(move |tx| data_key::replace(tx, &stored(2, 9, 99))).await.unwrap();
    assert_eq!(all().await, expected);
});
