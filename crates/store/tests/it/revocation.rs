//! Table `revocation`.

use keyfob_core::{crypto::Sealed, secret::SecretType};
use keyfob_store::{
    WriteTx,
    connection::{self, Connection},
    deletion::{self, Most},
    revocation::{self, Revocation},
    secret,
};

use crate::{
    bench::Bench,
    sample::{
        account_id, at, connection, connection_id, contact_id, sealed, secret_id, store_people,
    },
};

/// A grant: what a connection of type oauth holds.
fn grant(contact: u32, secret: u32) -> Connection {
    let value = Sealed::from_stored(vec![1, 0, 255, u8::try_from(10 * contact + secret).unwrap()]);
    Connection { value_type: SecretType::OAuth, value, ..connection(contact, secret) }
}

/// That grant, as it is to be queued.
fn queued(contact: u32, secret: u32) -> Revocation {
    let Connection { account, id, contact, secret, value, .. } = grant(contact, secret);
    let (contact, secret_account, config) = (Some(contact), account_id(1), Some(sealed(100)));
    let (secret_type, created_at) = (SecretType::Plain, at(5));
    Revocation {
        account,
        id,
        contact,
        secret,
        secret_account,
        secret_type,
        value,
        config,
        created_at,
    }
}

/// Contacts 1 and 2 of account 1, and contact 1 of account 2, have grants of secrets 1 and 2, and a bearer
/// token of secret 3.
async fn some_grants(bench: &Bench) {
    let store = |tx: &mut WriteTx<'_>| {
        store_people(tx, 2, 3)?;
        for contact in [1, 2] {
            for secret in [1, 2] {
                connection::upsert(tx, &grant(contact, secret))?;
            }
            connection::upsert(tx, &connection(contact, 3))?;
        }
        let foreign = Connection { account: account_id(2), ..grant(1, 1) };
        connection::upsert(tx, &foreign)
    };
    bench.change(store).await.unwrap();
}

async fn list(bench: &Bench, account: u32) -> Vec<Revocation> {
    let list = move |tx: &mut keyfob_store::ReadTx<'_>| {
        revocation::list(tx, &account_id(account), None, 100)
    };
    let page = bench.look(list).await;
    assert!(page.damaged.is_empty());
    page.rows
}

on_both!(a_grant_is_queued_with_the_bytes_that_are_stored_and_nothing_else_is, async |bench| {
    some_grants(bench).await;
    let queue = async |secret| {
        let queue = bench.change(move |tx| {
            let (account, contact, secret) = (account_id(1), contact_id(1), secret_id(secret));
            revocation::queue_connection(tx, &account, &contact, &secret, at(5))
        });
        queue.await.unwrap()
    };
    assert_eq!(queue(3).await, 0, "a bearer token is no grant");
    assert_eq!(queue(9).await, 0, "there is no such connection");
    assert_eq!(list(bench, 1).await, []);
    assert_eq!(queue(1).await, 1);
    assert_eq!(list(bench, 1).await, [queued(1, 1)]);
    assert_eq!(queue(1).await, 0, "it is queued already");
    assert_eq!(list(bench, 1).await, [queued(1, 1)]);
    assert_eq!(list(bench, 2).await, []);
});

on_both!(a_grant_without_a_contact_is_queued_as_it_is, async |bench| {
    some_grants(bench).await;
    let shared = Revocation { contact: None, ..queued(1, 1) };
    let (new, expected) = (shared.clone(), shared);
    bench.change(move |tx| revocation::insert(tx, &new)).await.unwrap();
    assert_eq!(list(bench, 1).await, [expected]);
});

on_both!(the_grants_of_a_contact_are_queued_for_its_account_only, async |bench| {
    some_grants(bench).await;
    let queue =
        bench.change(|tx| revocation::queue_contact(tx, &account_id(1), &contact_id(1), at(5)));
    assert_eq!(queue.await.unwrap(), 2);
    assert_eq!(list(bench, 1).await, [queued(1, 1), queued(1, 2)]);
    assert_eq!(list(bench, 2).await, []);
});

/// Begins the deletion of a secret of account 1, and queues the grants of its first connections.
async fn delete(bench: &Bench, secret: u32, connections: u32) -> u64 {
    let queue = bench.change(move |tx| {
        let id = secret_id(secret);
        deletion::begin(tx, &id)?;
        secret::delete(tx, &account_id(1), &id)?;
        let last = deletion::last(tx, &id, Most { connections, bytes: u64::MAX })?.unwrap();
        revocation::queue_deleted(tx, &id, &last, at(5))
    });
    queue.await.unwrap()
}

on_both!(the_grants_of_a_secret_are_queued_for_the_accounts_of_their_contacts, async |bench| {
    some_grants(bench).await;
    assert_eq!(delete(bench, 1, 3).await, 3);
    assert_eq!(list(bench, 1).await, [queued(1, 1), queued(2, 1)]);
    assert_eq!(list(bench, 2).await, [Revocation { account: account_id(2), ..queued(1, 1) }]);
});

on_both!(a_contact_that_is_deleted_before_its_turn_still_has_its_grant_queued, async |bench| {
    some_grants(bench).await;
    assert_eq!(delete(bench, 1, 1).await, 1);
    assert_eq!(list(bench, 1).await, [queued(1, 1)]);
    let queue =
        bench.change(|tx| revocation::queue_contact(tx, &account_id(1), &contact_id(2), at(5)));
    assert_eq!(queue.await.unwrap(), 2);
    assert_eq!(list(bench, 1).await, [queued(1, 1), queued(2, 1), queued(2, 2)]);
    let none = bench.change(|tx| {
        let (account, contact, secret) = (account_id(2), contact_id(1), secret_id(1));
        revocation::queue_connection(tx, &account, &contact, &secret, at(5))
    });
    assert_eq!(none.await.unwrap(), 0, "that is for the deletion, which removes it too");
});

on_both!(what_is_queued_is_listed_page_by_page_and_a_damaged_row_hides_no_other, async |bench| {
    some_grants(bench).await;
    for secret in [1, 2] {
        delete(bench, secret, 9).await;
    }
    let page = |after: Option<u32>| {
        let after = after.map(connection_id);
        bench.look(move |tx| revocation::list(tx, &account_id(1), after.as_ref(), 3))
    };
    let first = page(None).await;
    assert_eq!(first.rows, [queued(1, 1), queued(1, 2), queued(2, 1)]);
    assert_eq!(first.last, Some(connection_id(2001)));
    assert_eq!(page(Some(2001)).await.rows, [queued(2, 2)]);
    assert!(page(Some(2002)).await.last.is_none());
    let id = connection_id(1002);
    let never = "UPDATE revocation SET created_at = 253402300800000";
    bench.database.execute(&format!("{never} WHERE id = '{id}'"));
    let damaged = page(None).await;
    assert_eq!(damaged.rows, [queued(1, 1), queued(2, 1)]);
    let named = format!("revocation row {id}: column created_at is damaged");
    assert!(damaged.damaged[0].to_string().starts_with(&named), "{:?}", damaged.damaged);
});
