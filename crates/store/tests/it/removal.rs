//! Removing an account.

use keyfob_core::{crypto::Sealed, secret::SecretType};
use keyfob_store::{
    StoreError, WriteTx,
    account::{self, Account},
    authentication::{self, Authentication},
    contact, creation, data_key, deletion, key,
    removal::{self, Removal},
    revocation::{self, Revocation},
};

use crate::{
    bench::Bench,
    sample::{
        self, account_id, at, connection_id, contact_id, creation as create, key as new_key,
        key_id, sealed, secret_id, store_people, ticket_hash,
    },
};

/// Account 3, a child of account 1, with an e-mail address.
fn child() -> Account {
    let (parent, email) = (Some(account_id(1)), Some("child@example.com".into()));
    Account { parent, email, ..sample::account(3) }
}

async fn store_child(bench: &Bench) {
    let store = bench.change(|tx| {
        store_people(tx, 0, 0)?;
        account::insert(tx, &child())
    });
    store.await.unwrap();
}

async fn begin(bench: &Bench) -> bool {
    bench.change(|tx| removal::begin(tx, &account_id(3), at(9))).await.unwrap()
}

on_both!(an_account_that_is_marked_is_not_there_for_anybody, async |bench| {
    store_child(bench).await;
    bench.change(|tx| key::insert(tx, &new_key(3, 1))).await.unwrap();
    assert!(begin(bench).await);
    assert!(!begin(bench).await, "it is marked already");
    let found = bench.look(|tx| {
        let (parent, id) = (account_id(1), account_id(3));
        Ok([
            account::find(tx, &id)?,
            account::find_child(tx, &parent, &id)?,
            account::find_child_by_email(tx, &parent, "child@example.com")?,
        ])
    });
    assert_eq!(found.await, [None, None, None]);
    assert_eq!(bench.change(|tx| account::hold(tx, &account_id(3))).await.unwrap(), None);
    assert!(bench.look(|tx| key::find_any(tx, &key_id(1))).await.is_none());
    assert!(bench.look(|tx| removal::has_children(tx, &account_id(1))).await, "it still is one");
    let (account, parent) = (account_id(3), Some(account_id(1)));
    let marked = Removal { account, parent, deleted_at: at(9) };
    assert_eq!(bench.look(|tx| removal::list(tx, None, 9)).await, [marked]);
    assert_eq!(bench.look(|tx| removal::list(tx, Some(&account_id(3)), 9)).await, []);
    // Its e-mail address is free.
    let another = Account { id: account_id(4), ..child() };
    bench.change(move |tx| account::insert(tx, &another)).await.unwrap();
});

on_both!(rows_are_removed_a_few_at_a_time_and_only_those_of_the_account, async |bench| {
    store_child(bench).await;
    let store = bench.change(|tx| {
        for number in 1..=5 {
            key::insert(tx, &new_key(3, number))?;
            let n = u8::try_from(number).unwrap();
            creation::replace(tx, &account_id(3), &create(n, 1, 0))?;
        }
        key::insert(tx, &new_key(1, 9))
    });
    store.await.unwrap();
    let remove = || bench.change(|tx| removal::remove_some(tx, &account_id(3), 2));
    for expected in [4, 4, 2, 0] {
        assert_eq!(remove().await.unwrap(), expected);
    }
    assert!(bench.look(|tx| key::find_any(tx, &key_id(9))).await.is_some());
});

on_both!(links_whose_provider_may_still_answer_are_removed_last, async |bench| {
    store_child(bench).await;
    let store = bench.change(|tx| {
        for number in [1, 2] {
            let of_child =
                Authentication { account: account_id(3), ..sample::authentication(number, None) };
            authentication::insert(tx, &of_child)?;
        }
        authentication::ask(tx, &ticket_hash(1), &ticket_hash(11), &sealed(1), None)
    });
    assert!(store.await.unwrap());
    let remove = |tx: &mut WriteTx<'_>| removal::remove_some(tx, &account_id(3), 9);
    assert_eq!(bench.change(remove).await.unwrap(), 1);
    assert!(bench.look(|tx| authentication::find(tx, &ticket_hash(1))).await.is_some());
    let remove = |tx: &mut WriteTx<'_>| removal::remove_links(tx, &account_id(3), 9);
    assert_eq!(bench.change(remove).await.unwrap(), 1);
});

on_both!(what_needs_more_than_a_statement_is_named, async |bench| {
    let store = bench.change(|tx| {
        store_people(tx, 3, 2)?;
        deletion::begin(tx, &secret_id(2))
    });
    store.await.unwrap();
    let contacts = bench.look(|tx| removal::contacts(tx, &account_id(1), 2)).await;
    assert_eq!(contacts, [contact_id(1), contact_id(2)]);
    let secrets = bench.look(|tx| {
        let (one, two) = (account_id(1), account_id(2));
        Ok([
            removal::secret(tx, &one)?,
            removal::deletion(tx, &one)?,
            removal::secret(tx, &two)?,
            removal::deletion(tx, &two)?,
        ])
    });
    assert_eq!(secrets.await, [Some(secret_id(1)), Some(secret_id(2)), None, None]);
});

on_both!(grants_that_wait_need_the_account_of_the_contact_and_of_the_secret, async |bench| {
    store_child(bench).await;
    let insert = |tx: &mut WriteTx<'_>| {
        let queued = Revocation {
            account: account_id(2),
            id: connection_id(1),
            contact: Some(contact_id(1)),
            secret: secret_id(1),
            secret_account: account_id(3),
            secret_type: SecretType::OAuth,
            value: sealed(1),
            config: None,
            created_at: at(0),
        };
        revocation::insert(tx, &queued)
    };
    bench.change(insert).await.unwrap();
    let needed = async |number| {
        bench.look(move |tx| removal::has_revocations(tx, &account_id(number))).await
    };
    assert_eq!((needed(1).await, needed(2).await, needed(3).await), (false, true, true));
    bench.database.execute("UPDATE revocation SET outcome = 'revoked'");
    assert_eq!((needed(2).await, needed(3).await), (false, false));
});

on_both!(an_account_ends_with_its_data_keys_if_it_is_marked_and_nothing_is_left, async |bench| {
    store_child(bench).await;
    let store = bench.change(|tx| {
        let wrapped = Sealed::from_stored(vec![1]);
        data_key::insert(tx, &account_id(3), 1, &wrapped, at(0))?;
        contact::insert(tx, &account_id(3), &sample::contact(1)).map(drop)
    });
    store.await.unwrap();
    let end = || bench.change(|tx| removal::end(tx, &account_id(3)));
    assert!(!end().await.unwrap(), "it is not marked");
    begin(bench).await;
    assert!(matches!(end().await, Err(StoreError::Database(_))), "a contact is left");
    let keys = "SELECT count(*) FROM data_key";
    assert_eq!(bench.database.number(keys), 1);
    bench.change(|tx| contact::delete(tx, &account_id(3), &contact_id(1))).await.unwrap();
    assert!(end().await.unwrap());
    assert!(!end().await.unwrap(), "it is gone");
    assert_eq!(bench.database.number(keys), 0);
});
