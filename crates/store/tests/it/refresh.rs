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

on_both!(hosts_are_told_that_have_something_due, async |bench| {
    some_grants(bench).await;
    let others = bench.change(|tx| {
        for (secret, host, due_at) in [(1, "a.example", Some(50)), (2, "z.example", None)] {
            refresh::plan(tx, &holder(None, secret), host, due_at.map(at))?;
        }
        Ok(())
    });
    others.await.unwrap();
    let hosts = async |after: &'static str, now, limit| {
        bench.look(move |tx| refresh::due_hosts(tx, after, at(now), limit)).await
    };
    assert_eq!(hosts("", 9, 9).await, Vec::<String>::new());
    assert_eq!(hosts("", 10, 9).await, ["id.example.com"]);
    assert_eq!(hosts("", 50, 9).await, ["a.example", "id.example.com"]);
    assert_eq!(hosts("", 50, 1).await, ["a.example"]);
    assert_eq!(hosts("a.example", 50, 1).await, ["id.example.com"]);
    assert_eq!(hosts("id.example.com", 50, 1).await, Vec::<String>::new());
});

on_both!(whether_others_have_something_due_at_a_host_is_told, async |bench| {
    some_grants(bench).await;
    let others = async |host: &'static str, account, now| {
        let account = account_id(account);
        bench.look(move |tx| refresh::has_others_due(tx, host, &account, at(now))).await
    };
    assert!(others("id.example.com", 2, 10).await && !others("id.example.com", 2, 9).await);
    assert!(!others("id.example.com", 1, 99).await && !others("a.example", 2, 99).await);
});

on_both!(a_grant_is_kept_alive_by_one_row_whoever_made_it, async |bench| {
    some_grants(bench).await;
    let insert = |_| |tx: &mut WriteTx<'_>| refresh::insert(tx, &holder(None, 1), "b.example");
    for answer in bench.at_once(20, insert).await {
        answer.unwrap();
    }
    let made = Refresh { host: "b.example".into(), due_at: None, ..planned(None, 1, 0) };
    assert_eq!(find(bench, holder(None, 1)).await, Some(made));
    // One that is there keeps its lease.
    let fence = lease(bench, planned(Some(1), 1, 30), 50).await.unwrap();
    bench.change(|tx| refresh::insert(tx, &holder(Some(1), 1), "b.example")).await.unwrap();
    let replan =
        bench.change(|tx| refresh::replan(tx, &holder(Some(1), 1), "c.example", Some(at(90))));
    replan.await.unwrap();
    let there = find(bench, holder(Some(1), 1)).await.unwrap();
    assert_eq!((there.host.as_str(), there.due_at), ("c.example", Some(at(90))));
    assert_eq!(
        (there.fence, there.leased_until, there.unanswered_since),
        (fence, Some(at(80)), Some(at(50)))
    );
});

on_both!(a_lease_without_anything_to_do_leaves_all_as_it_was, async |bench| {
    some_grants(bench).await;
    let before = planned(Some(1), 1, 30);
    let fence = lease(bench, before.clone(), 50).await.unwrap();
    let release = bench.change(move |tx| refresh::release(tx, &before, fence));
    release.await.unwrap();
    assert_eq!(
        find(bench, holder(Some(1), 1)).await,
        Some(Refresh { fence, ..planned(Some(1), 1, 30) })
    );
    let seen = Refresh { fence, ..planned(Some(1), 1, 30) };
    bench.change(move |tx| refresh::put_off(tx, &seen, at(60))).await.unwrap();
    let stale = planned(Some(1), 1, 30);
    bench.change(move |tx| refresh::put_off(tx, &stale, at(70))).await.unwrap();
    assert_eq!(find(bench, holder(Some(1), 1)).await.unwrap().due_at, Some(at(60)));
});

on_both!(a_lease_of_a_clock_that_was_ahead_holds_nobody_up, async |bench| {
    some_grants(bench).await;
    let day = 86_400_000;
    let lease_at = async |seen: Refresh, now: i64| {
        let lease = bench.change(move |tx| refresh::lease(tx, &seen, at(now), at(now + 30_000)));
        lease.await.unwrap()
    };
    assert_eq!(lease_at(planned(Some(1), 1, 30), day).await, Some(2));
    let ahead = find(bench, holder(Some(1), 1)).await.unwrap();
    assert!(ahead.is_leased(at(day)) && !ahead.is_leased(at(50)));
    assert_eq!(due(bench, 50, 10).await.len(), 5);
    assert_eq!(lease_at(ahead, 50).await, Some(3));
    assert!(fail(bench, holder(Some(1), 1), 3, None).await);
    let failed = find(bench, holder(Some(1), 1)).await.unwrap();
    assert_eq!(failed.backs_off_until(at(98)), Some(at(99)));
    assert_eq!(failed.backs_off_until(at(99 - 2 * 3_600_000 - 1)), None);
});

on_both!(only_the_newest_lease_ends_a_grant, async |bench| {
    some_grants(bench).await;
    let end = async |fence| {
        bench.change(move |tx| refresh::end_lease(tx, &holder(Some(1), 1), fence)).await.unwrap()
    };
    let fence = lease(bench, planned(Some(1), 1, 30), 50).await.unwrap();
    assert!(!end(fence - 1).await);
    assert!(end(fence).await);
    assert_eq!(find(bench, holder(Some(1), 1)).await, None);
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
    // It lasts for 30 ms, and for 5 s more in which an answer could still be stored.
    let (last, end) = (5_079, 5_080);
    assert!(held.is_leased(at(last)) && !held.is_leased(at(end)));
    assert_eq!(due(bench, last, 10).await.len(), 4, "whoever has it is at it");
    assert_eq!(lease(bench, held.clone(), last).await, None);
    // It was not heard of again.
    assert_eq!(due(bench, end, 10).await.len(), 5);
    assert_eq!(lease(bench, held, end).await, Some(3));
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
