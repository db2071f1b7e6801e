//! Table `key`.

use std::sync::Arc;

use keyfob_core::{
    id::KeyId,
    policy::{Limits, Role},
    token::KeyHash,
};
use keyfob_store::{
    StoreError, WriteTx,
    key::{self, Key},
};

use crate::{
    bench::Bench,
    sample::{self, account_id, at, key_id, store_account},
};

/// Accounts 1 and 2, and keys 1 to 4 of account 1.
async fn some_keys(bench: &Bench) {
    let store = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        store_account(tx, 2)?;
        (1..=4).try_for_each(|n| key::insert(tx, &sample::key(1, n)))
    };
    bench.change(store).await.unwrap();
}

async fn find(bench: &Bench, account: u32, number: u32) -> Option<Key> {
    let find = bench.look(move |tx| key::find(tx, &account_id(account), &key_id(number)));
    find.await
}

on_both!(a_key_reads_back_as_it_was_stored, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    for (number, role) in (1..).zip(Role::ALL) {
        let stored = Key {
            name: "Schlüssel".into(),
            role,
            limits: Arc::new(Limits { rate: (role == Role::Agent).then_some(7), ..Limits::NONE }),
            hash: KeyHash::from_stored(&[0x80; 32]).unwrap(),
            expires_at: (role == Role::Agent).then(|| at(99)),
            ..sample::key(1, number)
        };
        let key = stored.clone();
        let insert = bench.change(move |tx| key::insert(tx, &key));
        insert.await.unwrap();
        let found = find(bench, 1, number).await.unwrap();
        assert_eq!(found.account, stored.account);
        assert_eq!(found.id, stored.id);
        assert_eq!(found.name, stored.name);
        assert_eq!(found.role, stored.role);
        assert_eq!(found.limits, stored.limits);
        assert_eq!(found.hash.as_bytes(), stored.hash.as_bytes());
        assert_eq!(found.created_at, stored.created_at);
        assert_eq!(found.expires_at, stored.expires_at);
        assert_eq!(found.revoked_at, None);
    }
});

on_both!(a_key_is_found_in_its_account_only_but_recognised_without, async |bench| {
    some_keys(bench).await;
    assert!(find(bench, 1, 2).await.is_some());
    assert!(find(bench, 2, 2).await.is_none());
    let find_any = |n| bench.look(move |tx| key::find_any(tx, &key_id(n)));
    assert_eq!(find_any(2).await.unwrap().account, account_id(1));
    assert!(find_any(5).await.is_none());
});

on_both!(a_keys_id_is_taken_in_every_account, async |bench| {
    some_keys(bench).await;
    for account in [1, 2] {
        let again = bench.change(move |tx| key::insert(tx, &sample::key(account, 1)));
        assert!(matches!(again.await, Err(StoreError::Conflict)));
    }
});

on_both!(keys_are_listed_by_id_page_by_page, async |bench| {
    some_keys(bench).await;
    let page = async |account: u32, after: Option<KeyId>| -> Vec<_> {
        let list = bench.look(move |tx| key::list(tx, &account_id(account), after.as_ref(), 3));
        list.await.rows.into_iter().map(|key| key.id).collect()
    };
    assert_eq!(page(1, None).await, [1, 2, 3].map(key_id));
    assert_eq!(page(1, Some(key_id(3))).await, [key_id(4)]);
    assert_eq!(page(1, Some(key_id(4))).await, []);
    assert_eq!(page(2, None).await, []);
});

on_both!(keys_are_listed_newest_first_page_by_page, async |bench| {
    some_keys(bench).await;
    let page = async |account: u32, before: Option<KeyId>| -> Vec<_> {
        let list =
            bench.look(move |tx| key::list_newest(tx, &account_id(account), before.as_ref(), 3));
        list.await.rows.into_iter().map(|key| key.id).collect()
    };
    assert_eq!(page(1, None).await, [4, 3, 2].map(key_id));
    assert_eq!(page(1, Some(key_id(2))).await, [key_id(1)]);
    assert_eq!(page(1, Some(key_id(1))).await, []);
    assert_eq!(page(2, None).await, []);
});

/// Changes a key; whether there is one.
async fn change(bench: &Bench, account: u32, number: u32, change: fn(&mut Key)) -> bool {
    let change = bench.change(move |tx| {
        let Some(mut key) = key::touch(tx, &account_id(account), &key_id(number))? else {
            return Ok(false);
        };
        change(&mut key);
        key::update(tx, &key)?;
        Ok(true)
    });
    change.await.unwrap()
}

on_both!(name_end_and_limits_of_a_key_are_changed_in_its_account_only, async |bench| {
    some_keys(bench).await;
    let new = |key: &mut Key| {
        key.name = "New name".into();
        key.expires_at = Some(at(5));
        key.limits = Arc::new(Limits { quota: Some(9), ..Limits::NONE });
        // What does not change.
        (key.role, key.created_at, key.revoked_at) = (Role::Owner, at(0), Some(at(0)));
    };
    assert!(change(bench, 1, 2, new).await);
    assert!(!change(bench, 2, 3, new).await);
    assert!(!change(bench, 1, 9, new).await);
    let changed = find(bench, 1, 2).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.expires_at), ("New name", Some(at(5))));
    assert_eq!(changed.limits.quota, Some(9));
    assert_eq!((changed.role, changed.created_at), (Role::Backend, at(2)));
    assert_eq!(changed.revoked_at, None);
    assert_eq!(find(bench, 1, 3).await.unwrap().name, "Key 3");
    assert!(change(bench, 1, 2, |key| key.limits = Arc::default()).await);
    assert_eq!(*find(bench, 1, 2).await.unwrap().limits, Limits::NONE);
});

on_both!(of_two_changes_of_a_key_at_once_neither_undoes_the_other, async |bench| {
    some_keys(bench).await;
    for _ in 0..20 {
        assert!(
            change(bench, 1, 1, |key| (key.expires_at, key.name) = (None, String::new())).await
        );
        let rename = change(bench, 1, 1, |key| key.name = "New".into());
        let end = change(bench, 1, 1, |key| key.expires_at = Some(at(5)));
        assert_eq!(tokio::join!(rename, end), (true, true));
        let after = find(bench, 1, 1).await.unwrap();
        assert_eq!((after.name.as_str(), after.expires_at), ("New", Some(at(5))));
    }
});

on_both!(a_key_is_revoked_once_and_still_listed, async |bench| {
    some_keys(bench).await;
    let revoke = |account, number, millis| {
        bench.change(move |tx| key::revoke(tx, &account_id(account), &key_id(number), at(millis)))
    };
    assert!(revoke(1, 2, 50).await.unwrap());
    assert!(!revoke(1, 2, 60).await.unwrap());
    assert!(!revoke(2, 3, 50).await.unwrap());
    assert!(!revoke(1, 9, 50).await.unwrap());
    assert_eq!(find(bench, 1, 2).await.unwrap().revoked_at, Some(at(50)));
    assert_eq!(find(bench, 1, 3).await.unwrap().revoked_at, None);
    let list = bench.look(|tx| key::list(tx, &account_id(1), None, 100));
    assert_eq!(list.await.rows.len(), 4);
});

on_both!(a_damaged_key_is_an_error_that_names_the_column, async |bench| {
    some_keys(bench).await;
    bench.database.execute("UPDATE key SET role = 'emperor'");
    let found = bench.store.read(|tx| key::find_any(tx, &key_id(1))).await;
    let Err(StoreError::Corrupt { table, column, row }) = found else {
        panic!("a damaged key was read");
    };
    assert_eq!((table, &*column, &*row), ("key", "role", key_id(1).as_str()));
    // The connection is fine after that.
    let find = bench.look(|tx| key::find_any(tx, &key_id(9)));
    assert!(find.await.is_none());
});

on_both!(a_key_whose_limits_cannot_be_read_has_nothing_and_can_be_revoked, async |bench| {
    some_keys(bench).await;
    for damage in ["{", r#"{"of_a_newer_version":1}"#] {
        bench.database.execute(&format!("UPDATE key SET limits = '{damage}', revoked_at = NULL"));
        let found = bench.look(|tx| key::find_any(tx, &key_id(1))).await.unwrap();
        assert!(!found.is_readable && !found.is_live(at(9)));
        assert_eq!(*found.limits, Limits::nothing());
        let page = bench.look(|tx| key::list(tx, &account_id(1), None, 10)).await;
        assert_eq!((page.rows.len(), page.damaged.len()), (4, 0));
        let touch = bench.change(|tx| key::touch(tx, &account_id(1), &key_id(1)));
        assert!(!touch.await.unwrap().unwrap().is_readable);
        let revoke = bench.change(|tx| key::revoke(tx, &account_id(1), &key_id(1), at(5)));
        assert!(revoke.await.unwrap());
    }
});

#[test]
fn a_key_is_live_until_it_ends_or_is_revoked() {
    let key = sample::key(1, 1);
    assert!(key.is_live(at(i64::MAX / 2)));
    let expiring = Key { expires_at: Some(at(10)), ..key.clone() };
    assert!(expiring.is_live(at(9)));
    assert!(!expiring.is_live(at(10)));
    let revoked = Key { revoked_at: Some(at(10)), ..key };
    assert!(!revoked.is_live(at(9)));
}
