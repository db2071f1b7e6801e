//! Table `deletion`. Contacts and secrets go with what was connected, also while others connect: the units are
//! those of the broker, on two stores, as of two nodes.

use keyfob_core::{crypto::Sealed, id::SecretId, secret::SecretType};
use keyfob_store::{
    Store, StoreError, WriteTx, authentication,
    connection::{self, Connection},
    contact,
    deletion::{self, Deletion, Last, Most},
    revocation, secret,
};
use tokio::task::JoinSet;

use crate::{
    bench::{Bench, change},
    sample::{account_id, at, connection, contact_id, secret_id, store_people},
};

/// A contact's or a secret's deletion and a connect, so many times.
const ROUNDS: u32 = 25;

/// What a unit of work did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Connect,
    Delete,
    /// What it was about is not there any more.
    Nothing,
}

fn connect(tx: &mut WriteTx<'_>, of: u32, with: u32) -> Result<Did, StoreError> {
    if contact::hold(tx, &account_id(1), &contact_id(of))?.is_none()
        || secret::hold(tx, &account_id(1), &secret_id(with))?.is_none()
    {
        return Ok(Did::Nothing);
    }
    let grant = Connection { value_type: SecretType::OAuth, ..connection(of, with) };
    connection::upsert(tx, &grant)?;
    Ok(Did::Connect)
}

fn delete_contact(tx: &mut WriteTx<'_>, number: u32) -> Result<Did, StoreError> {
    let (account, id) = (account_id(1), contact_id(number));
    if contact::hold(tx, &account, &id)?.is_none() {
        return Ok(Did::Nothing);
    }
    revocation::queue_contact(tx, &account, &id, at(1))?;
    authentication::withdraw_contact(tx, &account, &id, at(1))?;
    connection::delete_of_contact(tx, &account, &id)?;
    contact::delete(tx, &account, &id)?;
    Ok(Did::Delete)
}

fn delete_secret(tx: &mut WriteTx<'_>, number: u32) -> Result<Did, StoreError> {
    let (account, id) = (account_id(1), secret_id(number));
    if secret::hold(tx, &account, &id)?.is_none() {
        return Ok(Did::Nothing);
    }
    authentication::withdraw_secret(tx, &id, at(1), 9)?;
    deletion::begin(tx, &id)?;
    secret::delete(tx, &account, &id)?;
    remove_some(tx, &id, u32::MAX)?;
    Ok(Did::Delete)
}

/// Removes some connections of a deleted secret; whether that was all.
fn remove_some(tx: &mut WriteTx<'_>, id: &SecretId, connections: u32) -> Result<bool, StoreError> {
    if deletion::hold(tx, id)?.is_none() {
        return Ok(true);
    }
    let last = deletion::last(tx, id, Most { connections, bytes: u64::MAX })?;
    if let Some(last) = &last {
        revocation::queue_deleted(tx, id, last, at(1))?;
        deletion::remove(tx, id, last)?;
    }
    let is_over = last.is_none_or(|last| last.is_all);
    if is_over {
        deletion::end(tx, id)?;
    }
    Ok(is_over)
}

fn revoke(tx: &mut WriteTx<'_>, of: u32, with: u32) -> Result<Did, StoreError> {
    let (account, contact, secret) = (account_id(1), contact_id(of), secret_id(with));
    if contact::hold(tx, &account, &contact)?.is_none() {
        return Ok(Did::Nothing);
    }
    revocation::queue_connection(tx, &account, &contact, &secret, at(1))?;
    let was_there = connection::delete(tx, &account, &contact, &secret)?;
    Ok(if was_there { Did::Delete } else { Did::Nothing })
}

type Unit = fn(&mut WriteTx<'_>, u32) -> Result<Did, StoreError>;

/// Runs both units of every round at once, each on a store of its own.
async fn at_once(bench: &Bench, one: Unit, other: Unit) -> Vec<Did> {
    let second = bench.database.open().unwrap();
    let mut units = JoinSet::new();
    let run = |store: &Store, unit: Unit, round| change(store.clone(), move |tx| unit(tx, round));
    for round in 1..=ROUNDS {
        units.spawn(run(&bench.store, one, round));
        units.spawn(run(&second, other, round));
    }
    let did = units.join_all().await.into_iter().map(Result::unwrap).collect();
    second.close();
    did
}

fn count(did: &[Did], what: Did) -> i64 {
    i64::try_from(did.iter().filter(|did| **did == what).count()).unwrap()
}

fn rows(bench: &Bench, table: &str) -> i64 {
    bench.database.number(&format!("SELECT count(*) FROM {table}"))
}

on_both!(
    of_a_contact_that_is_deleted_while_it_connects_nothing_is_left_but_its_grant,
    async |bench| {
        bench.change(|tx| store_people(tx, ROUNDS, 1)).await.unwrap();
        let did = at_once(bench, |tx, round| connect(tx, round, 1), delete_contact).await;
        assert_eq!(count(&did, Did::Delete), i64::from(ROUNDS));
        assert_eq!(rows(bench, "connection"), 0);
        assert_eq!(rows(bench, "revocation"), count(&did, Did::Connect));
    }
);

on_both!(
    of_a_secret_that_is_deleted_while_a_contact_connects_nothing_is_left_but_the_grant,
    async |bench| {
        bench.change(|tx| store_people(tx, 1, ROUNDS)).await.unwrap();
        let did = at_once(bench, |tx, round| connect(tx, 1, round), delete_secret).await;
        assert_eq!(count(&did, Did::Delete), i64::from(ROUNDS));
        assert_eq!(rows(bench, "connection"), 0);
        assert_eq!(rows(bench, "revocation"), count(&did, Did::Connect));
    }
);

/// Contact N has connected secret N.
async fn pairs(bench: &Bench) {
    let store = |tx: &mut WriteTx<'_>| {
        store_people(tx, ROUNDS, ROUNDS)?;
        (1..=ROUNDS).try_for_each(|round| connect(tx, round, round).map(drop))
    };
    bench.change(store).await.unwrap();
}

on_both!(
    a_contact_and_its_secret_are_deleted_at_once_and_each_grant_is_queued_once,
    async |bench| {
        pairs(bench).await;
        let did = at_once(bench, delete_contact, delete_secret).await;
        assert_eq!(count(&did, Did::Delete), 2 * i64::from(ROUNDS));
        assert_eq!((rows(bench, "connection"), rows(bench, "revocation")), (0, i64::from(ROUNDS)));
    }
);

on_both!(
    a_connection_is_revoked_while_its_secret_is_deleted_and_its_grant_is_queued_once,
    async |bench| {
        pairs(bench).await;
        let did = at_once(bench, |tx, round| revoke(tx, round, round), delete_secret).await;
        assert!(count(&did, Did::Delete) >= i64::from(ROUNDS));
        assert_eq!((rows(bench, "connection"), rows(bench, "revocation")), (0, i64::from(ROUNDS)));
    }
);

on_both!(a_deletion_takes_the_connections_along_or_nothing_at_all, async |bench| {
    pairs(bench).await;
    let all = i64::from(ROUNDS);
    for delete in [delete_contact, delete_secret] {
        let failed = bench.change(move |tx| {
            delete(tx, 1)?;
            Err::<(), _>(StoreError::Conflict)
        });
        failed.await.unwrap_err();
        assert_eq!((rows(bench, "connection"), rows(bench, "revocation")), (all, 0));
    }
    bench.change(|tx| delete_contact(tx, 1)).await.unwrap();
    bench.change(|tx| delete_secret(tx, 2)).await.unwrap();
    assert_eq!((rows(bench, "connection"), rows(bench, "revocation")), (all - 2, 2));
    // They were of the first account only.
    assert_eq!(rows(bench, "contact"), 2 * all - 1);
});

/// Secret 1 of account 1 with a grant of each of its contacts, and one of contact 1 of account 2, is being
/// deleted.
async fn begin(bench: &Bench, contacts: u32) {
    let begin = move |tx: &mut WriteTx<'_>| {
        store_people(tx, contacts, 1)?;
        for number in 1..=contacts {
            connect(tx, number, 1)?;
        }
        let grant = Connection { value_type: SecretType::OAuth, ..connection(1, 1) };
        connection::upsert(tx, &Connection { account: account_id(2), ..grant })?;
        deletion::begin(tx, &secret_id(1))?;
        secret::delete(tx, &account_id(1), &secret_id(1)).map(drop)
    };
    bench.change(begin).await.unwrap();
}

on_both!(the_connections_of_a_deleted_secret_are_removed_a_few_at_a_time, async |bench| {
    begin(bench, 3).await;
    let remove = async |connections| {
        let remove = bench.change(move |tx| {
            let most = Most { connections, bytes: u64::MAX };
            let last = deletion::last(tx, &secret_id(1), most)?.unwrap();
            let removed = deletion::remove(tx, &secret_id(1), &last)?;
            Ok((last, removed.into_iter().collect::<Vec<_>>()))
        });
        remove.await.unwrap()
    };
    let last = |account, contact, is_all| Last {
        account: account_id(account),
        contact: contact_id(contact),
        is_all,
    };
    assert_eq!(remove(2).await, (last(1, 2, false), vec![(account_id(1), 2)]));
    let rest = vec![(account_id(1), 1), (account_id(2), 1)];
    assert_eq!(remove(2).await, (last(2, 1, true), rest));
    let most = Most { connections: 2, bytes: u64::MAX };
    assert_eq!(bench.look(move |tx| deletion::last(tx, &secret_id(1), most)).await, None);
});

on_both!(fewer_connections_are_removed_at_once_where_their_values_are_large, async |bench| {
    bench.change(|tx| store_people(tx, 3, 1)).await.unwrap();
    for number in 1..=3 {
        let value = Sealed::from_stored(vec![1; 1000]);
        let large = Connection { value, ..connection(number, 1) };
        bench.change(move |tx| connection::upsert(tx, &large)).await.unwrap();
    }
    for (bytes, number, is_all) in [(1, 1, false), (1001, 2, false), (3000, 3, true)] {
        let most = Most { connections: 9, bytes };
        let last = bench.look(move |tx| deletion::last(tx, &secret_id(1), most)).await.unwrap();
        assert_eq!((last.contact, last.is_all), (contact_id(number), is_all), "{bytes} bytes");
    }
});

on_both!(a_deletion_is_known_with_how_far_it_has_come_until_it_ends, async |bench| {
    begin(bench, 1).await;
    let hold = async || bench.change(|tx| deletion::hold(tx, &secret_id(1))).await.unwrap();
    let begun =
        Deletion { secret: secret_id(1), account: account_id(1), removed: 0, partial: None };
    assert_eq!(hold().await, Some(begun.clone()));
    for partial in [Some((account_id(2), 7)), None] {
        let come = Deletion { removed: 12, partial, ..begun.clone() };
        let note = come.clone();
        bench.change(move |tx| deletion::note(tx, &note)).await.unwrap();
        assert_eq!(hold().await, Some(come));
    }
    assert_eq!(bench.look(|tx| deletion::list(tx, 9)).await, [secret_id(1)]);
    bench.change(|tx| deletion::end(tx, &secret_id(1))).await.unwrap();
    assert_eq!(hold().await, None);
    assert_eq!(bench.look(|tx| deletion::list(tx, 9)).await, []);
});

on_both!(
    contacts_are_deleted_while_a_deleted_secret_is_removed_and_each_grant_is_queued_once,
    async |bench| {
        begin(bench, ROUNDS).await;
        let remove = |tx: &mut WriteTx<'_>, _| {
            let is_over = remove_some(tx, &secret_id(1), 1)?;
            Ok(if is_over { Did::Nothing } else { Did::Connect })
        };
        let did = at_once(bench, delete_contact, remove).await;
        assert_eq!(count(&did, Did::Delete), i64::from(ROUNDS));
        bench.change(|tx| remove_some(tx, &secret_id(1), 9)).await.unwrap();
        assert_eq!((rows(bench, "connection"), rows(bench, "deletion")), (0, 0));
        assert_eq!(rows(bench, "revocation"), i64::from(ROUNDS) + 1);
    }
);
