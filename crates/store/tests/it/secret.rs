//! Table `secret`.

use keyfob_core::{
    id::SecretId,
    secret::{Kind, SecretType, Visibility},
};
use keyfob_store::{
    StoreError, WriteTx,
    secret::{self, Secret},
};

use crate::{
    bench::Bench,
    sample::{account_id, at, sealed, secret as sample, secret_id, store_account},
};

fn full(number: u32) -> Secret {
    Secret {
        alias: Some(format!("alias-{number}")),
        description: "For invoices".into(),
        blueprint_id: Some("blueprint".into()),
        kind: Kind::Personal,
        secret_type: SecretType::OAuth,
        value: Some(sealed(1)),
        config: Some(sealed(2)),
        visibility: Visibility::Protected,
        meta: Some(r#"{"team":"x"}"#.into()),
        ..sample(number)
    }
}

async fn insert(bench: &Bench, secret: Secret) -> bool {
    bench.change(move |tx| secret::insert(tx, &secret)).await.unwrap()
}

async fn find(bench: &Bench, number: u32) -> Option<Secret> {
    bench.look(move |tx| secret::find(tx, &account_id(1), &secret_id(number))).await
}

/// Accounts 1 and 2, and secrets 1 to 4 of the first.
async fn some_secrets(bench: &Bench) {
    for account in [1, 2] {
        bench.change(move |tx| store_account(tx, account)).await.unwrap();
    }
    for number in 1..=4 {
        assert!(insert(bench, sample(number)).await);
    }
}

on_both!(a_secret_reads_back_as_it_was_stored_in_its_account_only, async |bench| {
    some_secrets(bench).await;
    assert!(insert(bench, full(5)).await);
    assert_eq!(find(bench, 5).await, Some(full(5)));
    assert_eq!(find(bench, 4).await, Some(sample(4)));
    assert_eq!(find(bench, 6).await, None);
    let foreign = bench.look(|tx| secret::find(tx, &account_id(2), &secret_id(5)));
    assert_eq!(foreign.await, None);
    let account_of = |number| bench.look(move |tx| secret::account_of(tx, &secret_id(number)));
    assert_eq!(account_of(5).await, Some(account_id(1)));
    assert_eq!(account_of(6).await, None);
});

on_both!(a_secret_is_found_by_its_alias_in_its_account_only, async |bench| {
    some_secrets(bench).await;
    insert(bench, full(5)).await;
    let by_alias = |account: u32, alias: &'static str| {
        bench.look(move |tx| secret::id_of_alias(tx, &account_id(account), alias))
    };
    assert_eq!(by_alias(1, "alias-5").await, Some(secret_id(5)));
    assert_eq!(by_alias(2, "alias-5").await, None);
    assert_eq!(by_alias(1, "alias-6").await, None);
});

on_both!(of_secrets_with_one_name_the_oldest_of_the_account_is_found, async |bench| {
    some_secrets(bench).await;
    let named = |number| Secret { name: "same".into(), ..sample(number) };
    for number in [7, 6] {
        insert(bench, named(number)).await;
    }
    let by_name =
        |account: u32| bench.look(move |tx| secret::id_of_name(tx, &account_id(account), "same"));
    assert_eq!(by_name(1).await, Some(secret_id(6)));
    assert_eq!(by_name(2).await, None);
});

on_both!(of_secrets_with_one_alias_the_first_is_stored, async |bench| {
    some_secrets(bench).await;
    insert(bench, full(5)).await;
    let same = |number| Secret { alias: Some("alias-5".into()), ..sample(number) };
    assert!(!insert(bench, same(9)).await);
    assert!(insert(bench, Secret { account: account_id(2), ..same(9) }).await);
    let insert = |number| {
        let secret = Secret { alias: Some("new".into()), ..sample(100 + number) };
        move |tx: &mut WriteTx<'_>| secret::insert(tx, &secret)
    };
    let answers = bench.at_once(50, insert).await;
    assert_eq!(answers.iter().filter(|stored| matches!(stored, Ok(true))).count(), 1);
    assert_eq!(answers.iter().filter(|stored| matches!(stored, Ok(false))).count(), 49);
});

on_both!(secrets_are_listed_page_by_page_in_both_orders, async |bench| {
    some_secrets(bench).await;
    let page = async |newest: bool, after: Option<u32>| -> Vec<SecretId> {
        let list = if newest { secret::list_newest } else { secret::list };
        let after = after.map(secret_id);
        let page = bench.look(move |tx| list(tx, &account_id(1), after.as_ref(), 3)).await;
        assert_eq!(page.last.as_ref(), page.rows.last().map(|secret| &secret.id));
        page.rows.into_iter().map(|secret| secret.id).collect()
    };
    assert_eq!(page(false, None).await, [1, 2, 3].map(secret_id));
    assert_eq!(page(false, Some(3)).await, [secret_id(4)]);
    assert_eq!(page(true, None).await, [4, 3, 2].map(secret_id));
    assert_eq!(page(true, Some(2)).await, [secret_id(1)]);
    assert_eq!(page(true, Some(1)).await, []);
});

on_both!(a_word_that_nobody_knows_is_damage_and_hides_no_other_row, async |bench| {
    some_secrets(bench).await;
    for (number, column) in [(1, "kind"), (2, "type"), (3, "visibility")] {
        let id = secret_id(number);
        let damage = format!("UPDATE secret SET {column} = 'x' WHERE id = '{id}'");
        bench.database.execute(&damage);
        let found = bench.store.read(move |tx| secret::find(tx, &account_id(1), &id)).await;
        let named = matches!(&found, Err(StoreError::Corrupt { column: of, .. }) if of == column);
        assert!(named, "{found:?}");
    }
    let page = bench.look(|tx| secret::list(tx, &account_id(1), None, 10)).await;
    assert_eq!((page.rows, page.damaged.len()), (vec![sample(4)], 3));
});

on_both!(a_change_of_a_secret_changes_it_alone, async |bench| {
    some_secrets(bench).await;
    let change = |secret: Secret| {
        bench.change(move |tx| {
            let Some(before) = secret::touch(tx, &secret.account, &secret.id, at(1_000))? else {
                return Ok(None);
            };
            secret::update(tx, &secret)?;
            Ok(Some(before))
        })
    };
    let touched = |secret| Secret { updated_at: at(1_000), ..secret };
    assert_eq!(change(full(1)).await.unwrap(), Some(touched(sample(1))));
    assert_eq!(find(bench, 1).await, Some(touched(full(1))));
    assert_eq!(change(sample(1)).await.unwrap(), Some(touched(full(1))));
    let foreign = Secret { account: account_id(2), ..full(2) };
    assert_eq!(change(foreign).await.unwrap(), None);
    change(full(3)).await.unwrap();
    let taken = Secret { alias: Some("alias-3".into()), ..sample(2) };
    assert!(matches!(change(taken).await, Err(StoreError::Conflict)));
    assert_eq!(find(bench, 2).await, Some(sample(2)));
});

on_both!(a_secret_is_deleted_in_its_account_only_and_once, async |bench| {
    some_secrets(bench).await;
    let delete =
        |account| bench.change(move |tx| secret::delete(tx, &account_id(account), &secret_id(1)));
    assert!(!delete(2).await.unwrap());
    assert!(delete(1).await.unwrap());
    assert!(!delete(1).await.unwrap());
    assert_eq!(find(bench, 1).await, None);
});

on_both!(a_secret_that_is_held_is_answered_as_it_is, async |bench| {
    some_secrets(bench).await;
    let hold =
        |account| bench.change(move |tx| secret::hold(tx, &account_id(account), &secret_id(1)));
    assert_eq!(hold(1).await.unwrap(), Some(sample(1)));
    assert_eq!(hold(2).await.unwrap(), None);
    assert_eq!(find(bench, 1).await, Some(sample(1)));
});
