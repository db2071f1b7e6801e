//! Table `refresh`, and the compare-and-swap of what is renewed.

use keyfob_core::{crypto::Sealed, secret::SecretType};
use keyfob_store::{
    WriteTx,
    connection::{self, Connection},
    deletion::{self, Most},
    refresh::{self, Failed, Holder, Refresh},
    secret::{self, Secret},
};

use crate::{
    bench::Bench,
    sample::{
        account_id, at, connection as sample, contact_id, sealed, secret as a_secret, secret_id,
        store_people,
    },
};

fn holder(contact: Option<u32>, secret: u32) -> Holder {
    let contact = contact.map(contact_id);
    Holder { account: account_id(1), contact, secret: secret_id(secret) }
}

fn planned(contact: Option<u32>, secret: u32, due_at: i64) -> Refresh {
    Refresh {
        holder: holder(contact, secret),
        host: "id.example.com".into(),
        due_at: Some(at(due_at)),
        fence: 1,
        leased_until: None,
        unanswered_since: None,
        failures: 0,
        problem: None,
    }
}

fn plan(tx: &mut WriteTx<'_>, of: &Refresh) -> Result<(), keyfob_store::StoreError> {
    refresh::plan(tx, &of.holder, &of.host, of.due_at)
}

/// Contacts 1 and 2 have grants of secrets 1 and 2; secret 3 has a shared one.
async fn some_grants(bench: &Bench) {
    let store = bench.change(|tx| {
        store_people(tx, 2, 3)?;
        for (contact, secret, due_at) in [(1, 1, 30), (1, 2, 10), (2, 1, 20), (2, 2, 40)] {
            let grant = Connection { value_type: SecretType::OAuth, ..sample(contact, secret) };
            connection::upsert(tx, &grant)?;
            plan(tx, &planned(Some(contact), secret, due_at))?;
        }
        plan(tx, &planned(None, 3, 15))
    });
    store.await.unwrap();
}

async fn find(bench: &Bench, holder: Holder) -> Option<Refresh> {
    bench.look(move |tx| refresh::find(tx, &holder)).await
}

async fn due(bench: &Bench, now: i64, limit: u32) -> Vec<Refresh> {
    bench.look(move |tx| refresh::list_due(tx, "id.example.com", at(now), limit)).await
}

async fn lease(bench: &Bench, seen: Refresh, now: i64) -> Option<i64> {
    let lease = bench.change(move |tx| refresh::lease(tx, &seen, at(now), at(now + 30)));
    lease.await.unwrap()
}

async fn fail(bench: &Bench, of: Holder, fence: i64, unanswered_since: Option<i64>) -> bool {
    let unanswered_since = unanswered_since.map(at);
    let failed = Failed { due_at: at(99), problem: "HTTP 503".into(), unanswered_since };
    bench.change(move |tx| refresh::fail(tx, &of, fence, &failed)).await.unwrap()
}

on_both!(what_is_kept_alive_already_does_not_begin_anew, async |bench| {
    some_grants(bench).await;
    let begin = |of: Holder| bench.change(move |tx| refresh::begin(tx, &of, "new.example.com"));
    begin(holder(Some(1), 1)).await.unwrap();
    assert_eq!(find(bench, holder(Some(1), 1)).await, Some(planned(Some(1), 1, 30)));
    begin(holder(None, 1)).await.unwrap();
    let begun = find(bench, holder(None, 1)).await.unwrap();
    let expected = Refresh { host: "new.example.com".into(), ..planned(None, 1, 0) };
    assert_eq!(begun, Refresh { due_at: None, ..expected });
    assert!(lease(bench, begun, 20).await.is_some());
});

on_both!(grants_are_due_in_the_order_of_their_time, async |bench| {
    some_grants(bench).await;
    assert_eq!(due(bench, 9, 10).await, []);
    let expected = [
        planned(Some(1), 2, 10),
        planned(None, 3, 15),
        planned(Some(2), 1, 20),
        planned(Some(1), 1, 30),
    ];
    assert_eq!(due(bench, 30, 10).await, expected);
    assert_eq!(due(bench, 30, 2).await, expected[..2]);
});

on_both!(hosts_are_told_one_after_the_other_with_the_first_that_is_due, async |bench| {
    some_grants(bench).await;
    let others = bench.change(|tx| {
        for (secret, host, due_at) in [(1, "a.example", Some(5)), (2, "z.example", None)] {
            refresh::plan(tx, &holder(None, secret), host, due_at.map(at))?;
        }
        Ok(())
    });
    others.await.unwrap();
    let next = async |after| bench.look(move |tx| refresh::next_host(tx, after)).await;
    assert_eq!(next("").await, Some(("a.example".into(), at(5))));
    assert_eq!(next("a.example").await, Some(("id.example.com".into(), at(10))));
    assert_eq!(next("id.example.com").await, None, "what is never due is not waited for");
});

on_both!(of_any_number_who_saw_the_same_one_has_the_lease, async |bench| {
    some_grants(bench).await;
    let lease_it = |_| {
        let seen = planned(Some(1), 1, 30);
        move |tx: &mut WriteTx<'_>| refresh::lease(tx, &seen, at(50), at(80))
    };
    let answers = bench.at_once(50, lease_it).await;
    let won: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won, [2]);
    let held = find(bench, holder(Some(1), 1)).await.unwrap();
    let expected = Refresh {
        fence: 2,
        leased_until: Some(at(80)),
        unanswered_since: Some(at(50)),
        ..planned(Some(1), 1, 30)
    };
    assert_eq!(held, expected);
    assert!(held.is_leased(at(79)) && !held.is_leased(at(80)));
    assert_eq!(due(bench, 79, 10).await.len(), 4, "whoever has it is at it");
    assert_eq!(lease(bench, held.clone(), 79).await, None);
    // It was not heard of again.
    assert_eq!(due(bench, 80, 10).await.len(), 5);
    assert_eq!(lease(bench, held, 80).await, Some(3));
    let next = find(bench, holder(Some(1), 1)).await.unwrap();
    assert_eq!(next.unanswered_since, Some(at(50)), "since the first request without an answer");
});

on_both!(a_failure_ends_its_own_lease_only, async |bench| {
    some_grants(bench).await;
    let of = holder(Some(1), 1);
    let fence = lease(bench, planned(Some(1), 1, 30), 50).await.unwrap();
    assert!(!fail(bench, of.clone(), fence - 1, None).await);
    assert!(find(bench, of.clone()).await.unwrap().is_leased(at(60)));
    assert!(fail(bench, of.clone(), fence, Some(50)).await);
    let failed = find(bench, of.clone()).await.unwrap();
    let expected = Refresh {
        due_at: Some(at(99)),
        fence,
        unanswered_since: Some(at(50)),
        failures: 1,
        problem: Some("HTTP 503".into()),
        ..planned(Some(1), 1, 30)
    };
    assert_eq!(failed, expected);
    assert_eq!(failed.backs_off_until(at(98)), Some(at(99)));
    assert_eq!(failed.backs_off_until(at(99)), None);
    let fence = lease(bench, failed, 99).await.unwrap();
    assert!(fail(bench, of.clone(), fence, None).await);
    let failed = find(bench, of).await.unwrap();
    assert_eq!((failed.failures, failed.unanswered_since), (2, None));
});

on_both!(a_new_value_ends_the_lease_on_the_one_before, async |bench| {
    some_grants(bench).await;
    let of = holder(Some(1), 1);
    let fence = lease(bench, planned(Some(1), 1, 30), 50).await.unwrap();
    bench.change(|tx| plan(tx, &planned(Some(1), 1, 70))).await.unwrap();
    assert!(!fail(bench, of.clone(), fence, None).await);
    assert_eq!(find(bench, of).await, Some(Refresh { fence: 3, ..planned(Some(1), 1, 70) }));
});

on_both!(one_of_any_number_puts_its_value_in_the_place_of_the_old_one, async |bench| {
    some_grants(bench).await;
    let swap = async |number: u8, old: Sealed| {
        let renewed = Connection {
            value: sealed(number),
            expires_at: Some(at(5)),
            scopes: Some("mail".into()),
            updated_at: at(60),
            ..sample(1, 1)
        };
        bench.change(move |tx| connection::swap(tx, &renewed, &old)).await.unwrap()
    };
    assert!(swap(50, sealed(7)).await);
    assert!(!swap(51, sealed(7)).await);
    assert!(swap(52, sealed(50)).await);
    let (account, contact, secret) = (account_id(1), contact_id(1), secret_id(1));
    let found = bench.look(move |tx| connection::find(tx, &account, &contact, &secret)).await;
    let found = found.unwrap();
    assert_eq!(
        (found.value, found.expires_at, found.updated_at),
        (sealed(52), Some(at(5)), at(60))
    );
    let swap = async |number: u8, old: Option<Sealed>| {
        let value = Some(sealed(number));
        let renewed = Secret { value, broken: Some("no".into()), ..a_secret(3) };
        bench.change(move |tx| secret::swap(tx, &renewed, old.as_ref())).await.unwrap()
    };
    assert!(swap(60, None).await);
    assert!(!swap(61, None).await);
    assert!(swap(62, Some(sealed(60))).await);
    let found = bench.look(|tx| secret::find(tx, &account_id(1), &secret_id(3))).await.unwrap();
    assert_eq!((found.value, found.broken.as_deref()), (Some(sealed(62)), Some("no")));
});

on_both!(what_is_revoked_or_deleted_is_kept_alive_no_longer, async |bench| {
    some_grants(bench).await;
    let end = async |of| bench.change(move |tx| refresh::end(tx, &of)).await.unwrap();
    assert!(end(holder(None, 3)).await);
    assert!(!end(holder(None, 3)).await);
    let gone = bench.change(|tx| {
        let last = deletion::last(tx, &secret_id(1), Most { connections: 9, bytes: u64::MAX })?;
        deletion::remove(tx, &secret_id(1), &last.unwrap())
    });
    gone.await.unwrap();
    assert_eq!(due(bench, 99, 10).await, [planned(Some(1), 2, 10), planned(Some(2), 2, 40)]);
    bench.change(|tx| refresh::end_contact(tx, &account_id(1), &contact_id(2))).await.unwrap();
    assert_eq!(due(bench, 99, 10).await, [planned(Some(1), 2, 10)]);
    let some = bench.change(|tx| {
        let last = deletion::last(tx, &secret_id(2), Most { connections: 1, bytes: u64::MAX })?;
        refresh::end_deleted(tx, &secret_id(2), &last.unwrap())
    });
    some.await.unwrap();
    assert_eq!(due(bench, 99, 10).await, []);
});
