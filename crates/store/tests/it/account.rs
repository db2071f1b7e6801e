//! Table `account`.

use keyfob_core::id::AccountId;
use keyfob_store::{
    StoreError, WriteTx,
    account::{self, Account},
    totp,
};

use crate::sample::{self, account_id, at, sealed, store_account};

on_both!(an_account_reads_back_as_it_was_stored, async |bench| {
    let first = sample::account(1);
    let child = Account {
        parent: Some(first.id.clone()),
        name: "O'Brien; -- ☃".into(),
        email: Some("o@example.org".into()),
        created_at: at(-5),
        ..sample::account(2)
    };
    for account in [first.clone(), child.clone()] {
        let stored = bench.change(move |tx| account::insert(tx, &account)).await;
        stored.unwrap();
    }
    let find = |n| bench.look(move |tx| account::find(tx, &account_id(n)));
    assert_eq!(find(1).await, Some(first));
    assert_eq!(find(2).await, Some(child));
    assert_eq!(find(3).await, None);
});

on_both!(an_account_is_stored_once, async |bench| {
    let insert = || bench.change(|tx| store_account(tx, 1));
    insert().await.unwrap();
    assert!(matches!(insert().await, Err(StoreError::Conflict)));
});

on_both!(a_child_needs_its_parent, async |bench| {
    let orphan = Account { parent: Some(account_id(9)), ..sample::account(1) };
    let stored = bench.change(move |tx| account::insert(tx, &orphan)).await;
    assert!(matches!(stored, Err(StoreError::Database(_))));
});

on_both!(the_first_account_is_the_one_without_a_parent, async |bench| {
    assert_eq!(bench.look(account::find_first).await, None);
    let first = sample::account(5);
    let parent = Some(first.id.clone());
    let insert = |account: Account| bench.change(move |tx| account::insert(tx, &account));
    insert(first.clone()).await.unwrap();
    for number in [1, 9] {
        let parent = parent.clone();
        let child = Account { parent, ..sample::account(number) };
        insert(child).await.unwrap();
    }
    assert_eq!(bench.look(account::find_first).await, Some(first));
});

on_both!(accounts_are_listed_by_id_page_by_page, async |bench| {
    for number in [3, 1, 5, 2, 4] {
        let insert = bench.change(move |tx| store_account(tx, number)).await;
        insert.unwrap();
    }
    let page = async |after: Option<AccountId>, limit| {
        let list = bench.look(move |tx| account::list(tx, after.as_ref(), limit));
        list.await.rows.into_iter().map(|account| account.id).collect()
    };
    let ids = |numbers: &[u32]| -> Vec<_> { numbers.iter().map(|n| account_id(*n)).collect() };
    let first: Vec<_> = page(None, 2).await;
    assert_eq!(first, ids(&[1, 2]));
    let second: Vec<_> = page(first.last().cloned(), 2).await;
    assert_eq!(second, ids(&[3, 4]));
    let last: Vec<_> = page(second.last().cloned(), 2).await;
    assert_eq!(last, ids(&[5]));
    let end: Vec<_> = page(last.last().cloned(), 2).await;
    assert_eq!(end, []);
});

on_both!(entries_are_counted_up_to_the_limit, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    let add = async |n: u32, limit| {
        let add = bench.change(move |tx| account::add_totp(tx, &account_id(n), limit));
        add.await.unwrap()
    };
    assert!(!add(1, 0).await);
    assert!(add(1, 2).await);
    assert!(add(1, 2).await);
    assert!(!add(1, 2).await);
    let remove = bench.change(|tx| account::remove_totp(tx, &account_id(1), 1));
    remove.await.unwrap();
    assert!(add(1, 2).await);
    assert!(!add(1, 2).await);
    // No such account: nothing to count on.
    assert!(!add(9, 2).await);
    let remove = bench.change(|tx| account::remove_totp(tx, &account_id(9), 1));
    remove.await.unwrap();
});

on_both!(the_limit_holds_under_concurrent_creates, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    let create = |number| {
        move |tx: &mut WriteTx<'_>| {
            let account = account_id(1);
            let added = account::add_totp(tx, &account, 10)?;
            if added {
                totp::insert(tx, &account, &sample::totp(number), &sealed(1))?;
            }
            Ok(added)
        }
    };
    let answers = bench.at_once(64, create).await;
    let added = answers.into_iter().filter(|added| *added.as_ref().unwrap());
    assert_eq!(added.count(), 10);
    let list = bench.look(|tx| totp::list(tx, &account_id(1), None, 100));
    assert_eq!(list.await.rows.len(), 10);
    let count = "SELECT totp_count FROM account";
    assert_eq!(bench.database.number(count), 10);
});

on_both!(a_child_is_found_by_its_parent_only, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    bench.change(|tx| store_account(tx, 2)).await.unwrap();
    let child = |number, email: &str| Account {
        parent: Some(account_id(1)),
        email: Some(email.into()),
        ..sample::account(number)
    };
    let insert = |account: Account| bench.change(move |tx| account::insert(tx, &account));
    insert(child(3, "ann@example.com")).await.unwrap();
    let again = insert(child(4, "ann@example.com")).await;
    assert!(matches!(again, Err(keyfob_store::StoreError::Conflict)));
    let by_id = |parent, id| {
        bench.look(move |tx| account::find_child(tx, &account_id(parent), &account_id(id)))
    };
    assert_eq!(by_id(1, 3).await, Some(child(3, "ann@example.com")));
    assert_eq!(by_id(2, 3).await, None);
    assert_eq!(by_id(1, 2).await, None);
    let by_email = |parent, email: &'static str| {
        bench.look(move |tx| account::find_child_by_email(tx, &account_id(parent), email))
    };
    assert_eq!(by_email(1, "ann@example.com").await, Some(child(3, "ann@example.com")));
    assert_eq!(by_email(2, "ann@example.com").await, None);
    assert_eq!(by_email(1, "bob@example.com").await, None);
});

on_both!(of_changes_of_an_account_at_once_none_is_lost, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    bench.change(|tx| store_account(tx, 2)).await.unwrap();
    let allow = |number| {
        move |tx: &mut WriteTx<'_>| {
            let Some(mut account) = account::hold(tx, &account_id(1))? else {
                return Ok(false);
            };
            account.allowed_origins.push(format!("https://{number}.example.com"));
            account.name = format!("Named {number}");
            account::update(tx, &account)?;
            Ok(true)
        }
    };
    let answers = bench.at_once(30, allow).await;
    assert!(answers.iter().all(|changed| matches!(changed, Ok(true))), "{answers:?}");
    let found = bench.look(|tx| account::find(tx, &account_id(1))).await.unwrap();
    let mut origins = found.allowed_origins.clone();
    origins.sort();
    let mut wanted: Vec<_> = (0..30).map(|n| format!("https://{n}.example.com")).collect();
    wanted.sort();
    assert_eq!(origins, wanted);
    assert_eq!(
        found.name,
        found.allowed_origins[29].replace("https://", "Named ").replace(".example.com", "")
    );
    assert_eq!(found.created_at, at(1));
    let other = bench.look(|tx| account::find(tx, &account_id(2))).await;
    assert_eq!(other, Some(sample::account(2)));
    let none = bench.change(|tx| account::hold(tx, &account_id(9))).await;
    assert_eq!(none.unwrap(), None);
});
