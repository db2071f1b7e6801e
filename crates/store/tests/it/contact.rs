//! Table `contact`.

use keyfob_core::id::ContactId;
use keyfob_store::{
    StoreError, WriteTx,
    contact::{self, Contact},
};

use crate::{
    bench::Bench,
    sample::{account_id, at, contact as sample, contact_id, store_account},
};

fn full(number: u32) -> Contact {
    Contact {
        description: "A customer".into(),
        email: Some("zoë@example.com".into()),
        phone: Some("+12025550123".into()),
        nick: Some("zoë".into()),
        preferences: Some("tea\nno milk".into()),
        verified_at: Some(at(7)),
        meta: Some(r#"{"team":"x"}"#.into()),
        ..sample(number)
    }
}

async fn insert(bench: &Bench, account: u32, contact: Contact) -> bool {
    let insert = bench.change(move |tx| contact::insert(tx, &account_id(account), &contact));
    insert.await.unwrap()
}

async fn find(bench: &Bench, account: u32, number: u32) -> Option<Contact> {
    bench.look(move |tx| contact::find(tx, &account_id(account), &contact_id(number))).await
}

/// Accounts 1 and 2, and contacts 1 to 4 of the first.
async fn some_contacts(bench: &Bench) {
    for account in [1, 2] {
        bench.change(move |tx| store_account(tx, account)).await.unwrap();
    }
    for number in 1..=4 {
        assert!(insert(bench, 1, sample(number)).await);
    }
}

on_both!(a_contact_reads_back_as_it_was_stored_in_its_account_only, async |bench| {
    some_contacts(bench).await;
    assert!(insert(bench, 1, full(5)).await);
    assert_eq!(find(bench, 1, 5).await, Some(full(5)));
    assert_eq!(find(bench, 2, 5).await, None);
    let by_fingerprint = |account| {
        bench
            .look(move |tx| contact::find_by_fingerprint(tx, &account_id(account), "fingerprint 5"))
    };
    assert_eq!(by_fingerprint(1).await, Some(full(5)));
    assert_eq!(by_fingerprint(2).await, None);
});

on_both!(of_contacts_with_one_fingerprint_the_first_is_stored, async |bench| {
    some_contacts(bench).await;
    let same = |number| Contact { fingerprint: "fingerprint 1".into(), ..sample(number) };
    assert!(!insert(bench, 1, same(9)).await);
    assert!(insert(bench, 2, same(9)).await);
    let insert = |number| {
        let contact = Contact { fingerprint: "new".into(), ..sample(100 + number) };
        move |tx: &mut WriteTx<'_>| contact::insert(tx, &account_id(1), &contact)
    };
    let answers = bench.at_once(50, insert).await;
    assert_eq!(answers.iter().filter(|stored| matches!(stored, Ok(true))).count(), 1);
    assert_eq!(answers.iter().filter(|stored| matches!(stored, Ok(false))).count(), 49);
});

on_both!(contacts_are_listed_page_by_page_in_both_orders, async |bench| {
    some_contacts(bench).await;
    let page = async |newest: bool, after: Option<u32>| -> Vec<ContactId> {
        let list = if newest { contact::list_newest } else { contact::list };
        let after = after.map(contact_id);
        let page = bench.look(move |tx| list(tx, &account_id(1), after.as_ref(), 3)).await;
        assert_eq!(page.last.as_ref(), page.rows.last().map(|contact| &contact.id));
        page.rows.into_iter().map(|contact| contact.id).collect()
    };
    assert_eq!(page(false, None).await, [1, 2, 3].map(contact_id));
    assert_eq!(page(false, Some(3)).await, [contact_id(4)]);
    assert_eq!(page(true, None).await, [4, 3, 2].map(contact_id));
    assert_eq!(page(true, Some(2)).await, [contact_id(1)]);
    assert_eq!(page(true, Some(1)).await, []);
});

on_both!(a_page_of_large_contacts_is_shorter_and_the_next_one_goes_on, async |bench| {
    some_contacts(bench).await;
    for number in 5..=14 {
        let description = "x".repeat(if number == 14 { 300_000 } else { 60_000 });
        assert!(insert(bench, 1, Contact { description, ..sample(number) }).await);
    }
    let (mut found, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page =
            bench.look(move |tx| contact::list(tx, &account_id(1), after.as_ref(), 100)).await;
        let Some(last) = page.last else { break };
        sizes.push(page.rows.len());
        found.extend(page.rows.into_iter().map(|contact| contact.id));
        assert_eq!(found.last(), Some(&last));
        after = Some(last);
    }
    assert_eq!(found, (1..=14).map(contact_id).collect::<Vec<_>>());
    // About 256 KiB each, and one more row.
    assert_eq!(sizes, [9, 5]);
});

on_both!(a_change_of_a_contact_changes_it_alone, async |bench| {
    some_contacts(bench).await;
    let change = |account: u32, contact: Contact| {
        bench.change(move |tx| {
            let (account, now) = (account_id(account), at(1_000));
            let Some(before) = contact::touch(tx, &account, &contact.id, now)? else {
                return Ok(None);
            };
            contact::update(tx, &account, &contact)?;
            Ok(Some(before))
        })
    };
    let wanted = Contact { name: "New".into(), ..full(1) };
    let before = Contact { updated_at: at(1_000), ..sample(1) };
    assert_eq!(change(1, wanted.clone()).await.unwrap(), Some(before));
    assert_eq!(change(2, wanted.clone()).await.unwrap(), None);
    assert_eq!(find(bench, 1, 1).await, Some(Contact { updated_at: at(1_000), ..wanted }));
    assert_eq!(find(bench, 1, 2).await, Some(sample(2)));
    let taken = Contact { fingerprint: "fingerprint 3".into(), ..sample(2) };
    assert!(matches!(change(1, taken).await, Err(StoreError::Conflict)));
    assert_eq!(find(bench, 1, 2).await, Some(sample(2)));
});

on_both!(a_contact_is_deleted_in_its_account_only_and_once, async |bench| {
    some_contacts(bench).await;
    let delete =
        |account| bench.change(move |tx| contact::delete(tx, &account_id(account), &contact_id(1)));
    assert!(!delete(2).await.unwrap());
    assert!(delete(1).await.unwrap());
    assert!(!delete(1).await.unwrap());
    assert_eq!(find(bench, 1, 1).await, None);
});

on_both!(a_contact_that_is_held_is_answered_as_it_is, async |bench| {
    some_contacts(bench).await;
    let hold =
        |account| bench.change(move |tx| contact::hold(tx, &account_id(account), &contact_id(1)));
    assert_eq!(hold(1).await.unwrap(), Some(sample(1)));
    assert_eq!(hold(2).await.unwrap(), None);
    assert_eq!(find(bench, 1, 1).await, Some(sample(1)));
});
