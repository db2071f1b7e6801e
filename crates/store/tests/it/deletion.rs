//! Contacts and secrets go with what was connected, also while others connect: the units are those of the
//! broker, on two stores, as of two nodes.

use keyfob_core::secret::SecretType;
use keyfob_store::{
    Store, StoreError, WriteTx, authentication,
    connection::{self, Connection},
    contact, revocation, secret,
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
    contact::delete(tx, &account, &id)?;
    Ok(Did::Delete)
}

fn delete_secret(tx: &mut WriteTx<'_>, number: u32) -> Result<Did, StoreError> {
    let (account, id) = (account_id(1), secret_id(number));
    if secret::hold(tx, &account, &id)?.is_none() {
        return Ok(Did::Nothing);
    }
    revocation::queue_secret(tx, &id, at(1))?;
    authentication::withdraw_secret(tx, &id, at(1))?;
    secret::delete(tx, &account, &id)?;
    Ok(Did::Delete)
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
