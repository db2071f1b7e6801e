//! Table `revocation`: working the queue, and what is told of it.

use keyfob_core::secret::SecretType;
use keyfob_store::{
    Page,
    revocation::{self, Again, Leased, Outcome, Progress, Revocation, Waiting},
};

use crate::{
    bench::Bench,
    sample::{account_id, at, connection_id, contact_id, sealed, secret_id, store_account},
};

fn queued(number: u32, due: i64) -> Revocation {
    Revocation {
        account: account_id(1),
        id: connection_id(number),
        contact: Some(contact_id(number)),
        secret: secret_id(1),
        secret_account: account_id(1),
        secret_type: SecretType::OAuth,
        value: sealed(7),
        config: Some(sealed(8)),
        created_at: at(due),
    }
}

fn waiting(number: u32) -> Waiting {
    Waiting { account: account_id(1), id: connection_id(number) }
}

/// Queues so many rows, due at 1, 2, 3 and so on.
async fn queue(bench: &Bench, count: u32) {
    let queue = bench.change(move |tx| {
        store_account(tx, 1)?;
        (1..=count).try_for_each(|n| revocation::insert(tx, &queued(n, i64::from(n))))
    });
    queue.await.unwrap();
}

async fn unsorted(bench: &Bench, now: i64) -> Vec<Waiting> {
    bench.look(move |tx| revocation::list_unsorted(tx, at(now), 10)).await
}

async fn due(bench: &Bench, host: &'static str, now: i64) -> Vec<Waiting> {
    bench.look(move |tx| revocation::list_due(tx, host, at(now), 10)).await
}

async fn lease(bench: &Bench, number: u32, now: i64) -> Option<Leased> {
    let lease =
        bench.change(move |tx| revocation::lease(tx, &waiting(number), at(now), at(now + 30)));
    lease.await.unwrap()
}

async fn sort(bench: &Bench, number: u32, host: &'static str) {
    let leased = lease(bench, number, 100).await.unwrap();
    assert!(bench.change(move |tx| revocation::sort(tx, &leased, host)).await.unwrap());
}

async fn end(bench: &Bench, leased: &Leased, outcome: Outcome, now: i64) -> bool {
    let leased = leased.clone();
    let end =
        bench.change(move |tx| revocation::end(tx, &leased, (outcome, Some("because")), at(now)));
    end.await.unwrap()
}

async fn progress(bench: &Bench) -> Vec<Progress> {
    let list = bench.look(|tx| revocation::list_progress(tx, &account_id(1), None, 10));
    list.await.rows
}

on_both!(rows_are_due_in_order_and_then_by_their_host, async |bench| {
    queue(bench, 3).await;
    assert_eq!(unsorted(bench, 0).await, []);
    assert_eq!(unsorted(bench, 2).await, [waiting(1), waiting(2)]);
    for (number, host) in [(1, "b.example"), (2, "a.example:8443"), (3, "b.example")] {
        sort(bench, number, host).await;
    }
    assert_eq!(unsorted(bench, 100).await, []);
    let hosts = async |after: &'static str, now| {
        bench.look(move |tx| revocation::due_hosts(tx, after, at(now), 9)).await
    };
    assert_eq!(hosts("", 0).await, Vec::<String>::new());
    assert_eq!(hosts("", 1).await, ["b.example"]);
    assert_eq!(hosts("", 2).await, ["a.example:8443", "b.example"]);
    assert_eq!(hosts("a.example:8443", 2).await, ["b.example"]);
    let others = async |account, now| {
        let account = account_id(account);
        let look = move |tx: &mut keyfob_store::ReadTx<'_>| {
            revocation::has_others_due(tx, "b.example", &account, at(now))
        };
        bench.look(look).await
    };
    assert!(others(2, 1).await && !others(2, 0).await && !others(1, 9).await);
    assert_eq!(due(bench, "b.example", 100).await, [waiting(1), waiting(3)]);
    assert_eq!(due(bench, "b.example", 2).await, [waiting(1)]);
});

on_both!(of_any_number_of_nodes_one_works_a_row_until_its_lease_ends, async |bench| {
    queue(bench, 1).await;
    let taken = bench.at_once(9, |_| |tx| revocation::lease(tx, &waiting(1), at(5), at(35))).await;
    let taken: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
    let expected = Leased { revocation: queued(1, 1), attempts: 0, until: at(35) };
    assert_eq!(taken, std::slice::from_ref(&expected));
    assert_eq!((unsorted(bench, 34).await, lease(bench, 1, 34).await), (vec![], None));
    assert_eq!(unsorted(bench, 35).await, [waiting(1)]);
    let next = lease(bench, 1, 35).await.unwrap();
    // Whoever was late changes nothing.
    let late = expected;
    assert!(!end(bench, &late, Outcome::Failed, 40).await);
    let again = Again { due_at: at(90), problem: "late".into() };
    let put_off = move |tx: &mut keyfob_store::WriteTx<'_>| {
        let sorted = revocation::sort(tx, &late, "x")?;
        Ok((sorted, revocation::put_off(tx, &late, &again)?))
    };
    assert_eq!(bench.change(put_off).await.unwrap(), (false, false));
    assert!(end(bench, &next, Outcome::Revoked, 41).await);
});

on_both!(what_did_not_go_well_is_due_again_and_says_why, async |bench| {
    queue(bench, 1).await;
    for attempts in 0..3 {
        let now = 100 * i64::from(attempts) + 1;
        let leased = lease(bench, 1, now).await.unwrap();
        assert_eq!(leased.attempts, attempts);
        let again = Again { due_at: at(now + 100), problem: format!("problem {attempts}") };
        let put_off = bench.change(move |tx| revocation::put_off(tx, &leased, &again));
        assert!(put_off.await.unwrap());
        assert_eq!(lease(bench, 1, now + 99).await, None, "it is not due");
    }
    let expected = Progress {
        id: connection_id(1),
        contact: Some(contact_id(1)),
        secret: secret_id(1),
        attempts: 3,
        problem: Some("problem 2".into()),
        outcome: None,
        created_at: at(1),
        due_at: Some(at(301)),
        ended_at: None,
    };
    assert_eq!(progress(bench).await, [expected]);
});

on_both!(what_has_ended_holds_nothing_sealed_and_is_forgotten_later, async |bench| {
    queue(bench, 3).await;
    for (number, outcome) in (1..).zip(Outcome::ALL) {
        let leased = lease(bench, number, 10).await.unwrap();
        assert!(end(bench, &leased, outcome, 20 + i64::from(number)).await);
        assert!(!end(bench, &leased, Outcome::Failed, 99).await, "it has ended");
    }
    assert_eq!((unsorted(bench, 999).await, lease(bench, 1, 999).await), (vec![], None));
    let held = "SELECT count(*) FROM revocation WHERE length(value) > 0 OR config IS NOT NULL";
    assert_eq!(bench.database.number(held), 0);
    let pending = bench.look(|tx| revocation::list(tx, &account_id(1), None, 10)).await;
    assert_eq!((pending.rows, pending.last), (vec![], None));
    let told = progress(bench).await;
    let told: Vec<_> = told.iter().map(|it| (it.outcome, it.ended_at, it.due_at)).collect();
    let expected = [Outcome::Revoked, Outcome::Unsupported, Outcome::Failed];
    let expected = expected.into_iter().zip(21..);
    let expected: Vec<_> = expected.map(|(it, end)| (Some(it), Some(at(end)), None)).collect();
    assert_eq!(told, expected);
    let forget = |limit| bench.change(move |tx| revocation::forget(tx, at(23), limit));
    assert_eq!((forget(1).await.unwrap(), forget(9).await.unwrap()), (1, 1));
    assert_eq!(progress(bench).await.len(), 1);
});

on_both!(progress_is_listed_page_by_page_in_both_orders, async |bench| {
    queue(bench, 3).await;
    let ids = |page: Page<Progress, _>| page.rows.into_iter().map(|it| it.id).collect::<Vec<_>>();
    let oldest = |after: Option<u32>| {
        let after = after.map(connection_id);
        bench.look(move |tx| revocation::list_progress(tx, &account_id(1), after.as_ref(), 2))
    };
    assert_eq!(ids(oldest(None).await), [1, 2].map(connection_id));
    assert_eq!(ids(oldest(Some(2)).await), [connection_id(3)]);
    let newest = |before: Option<u32>| {
        let before = before.map(connection_id);
        bench.look(move |tx| {
            revocation::list_progress_newest(tx, &account_id(1), before.as_ref(), 2)
        })
    };
    assert_eq!(ids(newest(None).await), [3, 2].map(connection_id));
    assert_eq!(ids(newest(Some(2)).await), [connection_id(1)]);
    let other = bench.look(|tx| revocation::list_progress(tx, &account_id(2), None, 2)).await;
    assert_eq!(ids(other), []);
});
