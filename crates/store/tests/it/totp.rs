//! Table `totp`.

use keyfob_core::{
    id::TotpId,
    totp::{Algorithm, Kind, Parameters, Step},
};
use keyfob_store::{
    StoreError, WriteTx,
    totp::{self, Policy, Totp},
};

use crate::{
    bench::Bench,
    sample::{self, account_id, at, contact_id, sealed, store_account, totp_id},
};

/// Accounts 1 and 2, and entries 1 to 4 of account 1.
async fn some_entries(bench: &Bench) {
    let store = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        store_account(tx, 2)?;
        (1..=4).try_for_each(|n| totp::insert(tx, &account_id(1), &sample::totp(n), &sealed(1)))
    };
    bench.change(store).await.unwrap();
}

async fn find(bench: &Bench, account: u32, number: u32) -> Option<Totp> {
    let find = bench.look(move |tx| totp::find(tx, &account_id(account), &totp_id(number)));
    find.await
}

async fn last_step(bench: &Bench, number: u32) -> i64 {
    let find = bench.look(move |tx| totp::find_sealed(tx, &account_id(1), &totp_id(number)));
    find.await.unwrap().last_step.get()
}

async fn reserve(bench: &Bench, earliest: i64, latest: i64) -> Option<i64> {
    let (earliest, latest) = (Step::new(earliest), Step::new(latest));
    let reserve = bench
        .change(move |tx| totp::reserve_step(tx, &account_id(1), &totp_id(1), earliest, latest));
    reserve.await.unwrap().map(Step::get)
}

async fn note(bench: &Bench, step: i64) {
    let note =
        bench.change(move |tx| totp::note_told(tx, &account_id(1), &totp_id(1), Step::new(step)));
    note.await.unwrap();
}

async fn give_back(bench: &Bench, step: i64) -> bool {
    let give_back =
        bench.change(move |tx| totp::return_step(tx, &account_id(1), &totp_id(1), Step::new(step)));
    give_back.await.unwrap()
}

on_both!(an_entry_reads_back_as_it_was_stored, async |bench| {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
    let shapes = [
        Parameters::default(),
        Parameters::steam(),
        Parameters::new(Kind::Totp, Algorithm::Sha512, 7, 3600).unwrap(),
    ];
    for (number, parameters) in (1..).zip(shapes) {
        let policy = Policy { unique: number == 2, min_validity: parameters.period() };
        let stored = Totp {
            contact: (number == 3).then(|| contact_id(7)),
            issuer: (number == 1).then(|| "Bäckerei".into()),
            parameters,
            policy,
            updated_at: at(77),
            ..sample::totp(number)
        };
        let totp = stored.clone();
        let insert = bench.change(move |tx| totp::insert(tx, &account_id(1), &totp, &sealed(9)));
        insert.await.unwrap();
        assert_eq!(find(bench, 1, number).await, Some(stored.clone()));
        let find = bench.look(move |tx| totp::find_sealed(tx, &account_id(1), &totp_id(number)));
        let found = find.await.unwrap();
        assert_eq!(found.parameters, parameters);
        assert_eq!(found.policy, policy);
        assert_eq!((&found.label, &found.contact), (&stored.label, &stored.contact));
        assert_eq!(found.secret, sealed(9));
        assert_eq!(found.last_step.get(), -1);
    }
});

on_both!(an_entry_is_found_in_its_account_only, async |bench| {
    some_entries(bench).await;
    assert!(find(bench, 1, 1).await.is_some());
    assert!(find(bench, 2, 1).await.is_none());
    assert!(find(bench, 1, 9).await.is_none());
    for (account, number) in [(2, 1), (1, 9)] {
        let (account, id) = (account_id(account), totp_id(number));
        let find = bench.look(move |tx| totp::find_sealed(tx, &account, &id));
        assert!(find.await.is_none());
    }
});

on_both!(an_entry_is_stored_once, async |bench| {
    some_entries(bench).await;
    let again = bench.change(|tx| totp::insert(tx, &account_id(1), &sample::totp(1), &sealed(2)));
    assert!(matches!(again.await, Err(StoreError::Conflict)));
    let find = bench.look(|tx| totp::find_sealed(tx, &account_id(1), &totp_id(1)));
    assert_eq!(find.await.unwrap().secret, sealed(1));
});

on_both!(entries_are_listed_oldest_first_page_by_page, async |bench| {
    some_entries(bench).await;
    let page = async |account: u32, after: Option<TotpId>| -> Vec<_> {
        let list = bench.look(move |tx| totp::list(tx, &account_id(account), after.as_ref(), 3));
        list.await.rows.into_iter().map(|totp| totp.id).collect()
    };
    assert_eq!(page(1, None).await, [1, 2, 3].map(totp_id));
    assert_eq!(page(1, Some(totp_id(3))).await, [totp_id(4)]);
    assert_eq!(page(1, Some(totp_id(4))).await, []);
    assert_eq!(page(2, None).await, []);
});

/// Begins a change at `at(millis)` and changes what `change` says.
async fn change_entry(
    bench: &Bench,
    account: u32,
    number: u32,
    millis: i64,
    change: impl Fn(&mut Totp) + Send + 'static,
) -> bool {
    let unit = bench.change(move |tx| {
        let account = account_id(account);
        let Some(mut totp) = totp::touch(tx, &account, &totp_id(number), at(millis))? else {
            return Ok(false);
        };
        change(&mut totp);
        totp::update(tx, &account, &totp)?;
        Ok(true)
    });
    unit.await.unwrap()
}

on_both!(an_update_changes_label_issuer_and_policy_only, async |bench| {
    some_entries(bench).await;
    let before = find(bench, 1, 1).await.unwrap();
    let policy = Policy { unique: true, min_validity: 7 };
    let change = move |totp: &mut Totp| {
        totp.label = "renamed".into();
        totp.contact = Some(contact_id(7));
        totp.issuer = None;
        totp.parameters = Parameters::steam();
        totp.policy = policy;
        totp.created_at = at(1_000);
    };
    assert!(change_entry(bench, 1, 1, 2_000, change).await);
    assert!(!change_entry(bench, 2, 1, 2_000, change).await);
    assert!(!change_entry(bench, 1, 9, 2_000, change).await);
    let label = "renamed".into();
    let contact = Some(contact_id(7));
    let after = Totp { contact, label, issuer: None, policy, updated_at: at(2_000), ..before };
    let found = find(bench, 1, 1).await.unwrap();
    let entry = found.entry();
    assert_eq!((entry.id, entry.label), (&totp_id(1), "renamed"));
    assert_eq!(entry.contact, Some(&contact_id(7)));
    assert_eq!(found, after);
    assert_eq!(find(bench, 1, 2).await, Some(sample::totp(2)));
});

on_both!(of_two_changes_at_once_neither_undoes_the_other, async |bench| {
    some_entries(bench).await;
    for number in 0..20 {
        let label = format!("label {number}");
        let expected = label.clone();
        let rename = change_entry(bench, 1, 1, 1, move |totp| totp.label.clone_from(&label));
        let unique = number % 2 == 0;
        let set = change_entry(bench, 1, 1, 2, move |totp| totp.policy.unique = unique);
        let (renamed, set) = tokio::join!(rename, set);
        assert!(renamed && set);
        let after = find(bench, 1, 1).await.unwrap();
        assert_eq!((after.label, after.policy.unique), (expected, unique));
    }
});

on_both!(the_entries_of_a_contact_are_deleted_and_no_others, async |bench| {
    some_entries(bench).await;
    for number in [1, 3] {
        let give = |totp: &mut Totp| totp.contact = Some(contact_id(7));
        assert!(change_entry(bench, 1, number, 1, give).await);
    }
    let delete = |account, contact| {
        bench.change(move |tx| {
            totp::delete_of_contact(tx, &account_id(account), &contact_id(contact))
        })
    };
    assert_eq!(delete(2, 7).await.unwrap(), []);
    assert_eq!(delete(1, 8).await.unwrap(), []);
    let mut deleted = delete(1, 7).await.unwrap();
    deleted.sort();
    assert_eq!(deleted, [totp_id(1), totp_id(3)]);
    assert!(find(bench, 1, 1).await.is_none() && find(bench, 1, 2).await.is_some());
});

on_both!(steps_far_ahead_are_forgotten_and_others_are_not, async |bench| {
    some_entries(bench).await;
    note(bench, 1_000).await;
    let forget = |current, reach| {
        let (current, reach) = (Step::new(current), Step::new(reach));
        let forget = move |tx: &mut WriteTx<'_>| {
            totp::forget_steps_ahead(tx, &account_id(1), &totp_id(1), current, reach)
        };
        bench.change(forget)
    };
    assert!(!forget(100, 1_000).await.unwrap());
    assert_eq!(last_step(bench, 1).await, 1_000);
    assert!(forget(100, 999).await.unwrap());
    assert_eq!(last_step(bench, 1).await, 100);
    assert_eq!(reserve(bench, 100, 110).await, Some(101));
});

on_both!(an_entry_is_deleted_in_its_account_only_and_once, async |bench| {
    some_entries(bench).await;
    let delete =
        |account, n| bench.change(move |tx| totp::delete(tx, &account_id(account), &totp_id(n)));
    assert!(!delete(2, 1).await.unwrap());
    assert!(delete(1, 1).await.unwrap());
    assert!(!delete(1, 1).await.unwrap());
    assert!(find(bench, 1, 1).await.is_none());
    assert!(find(bench, 1, 2).await.is_some());
});

on_both!(a_noted_step_never_goes_back, async |bench| {
    some_entries(bench).await;
    note(bench, 100).await;
    note(bench, 90).await;
    assert_eq!(last_step(bench, 1).await, 100);
    note(bench, 101).await;
    assert_eq!(last_step(bench, 1).await, 101);
    assert_eq!(last_step(bench, 2).await, -1);
});

on_both!(the_first_free_step_is_reserved_up_to_the_latest, async |bench| {
    some_entries(bench).await;
    assert_eq!(reserve(bench, 100, 102).await, Some(100));
    assert_eq!(reserve(bench, 100, 102).await, Some(101));
    note(bench, 101).await;
    assert_eq!(reserve(bench, 100, 102).await, Some(102));
    assert_eq!(reserve(bench, 100, 102).await, None);
    assert_eq!(reserve(bench, 102, 102).await, None);
    // Time went on; steps that nobody took are skipped.
    assert_eq!(reserve(bench, 110, 112).await, Some(110));
    assert_eq!(reserve(bench, 115, 114).await, None);
    assert_eq!(last_step(bench, 1).await, 110);
    // Someone was given a step as a code of no one's own: it is not free any more.
    note(bench, 111).await;
    assert_eq!(reserve(bench, 111, 120).await, Some(112));
    for (account, number) in [(2, 1), (1, 9)] {
        let (account, id, step) = (account_id(account), totp_id(number), Step::new(1));
        let reserve =
            bench.change(move |tx| totp::reserve_step(tx, &account, &id, step, step.next()));
        assert_eq!(reserve.await.unwrap(), None);
    }
});

on_both!(a_step_is_given_back_only_if_it_is_the_last, async |bench| {
    some_entries(bench).await;
    assert_eq!(reserve(bench, 100, 109).await, Some(100));
    assert_eq!(reserve(bench, 100, 109).await, Some(101));
    assert!(!give_back(bench, 100).await);
    assert!(give_back(bench, 101).await);
    assert!(!give_back(bench, 101).await);
    assert_eq!(reserve(bench, 100, 109).await, Some(101));
    let other =
        bench.change(|tx| totp::return_step(tx, &account_id(2), &totp_id(1), Step::new(101)));
    assert!(!other.await.unwrap());
});

on_both!(concurrent_reservations_get_consecutive_steps, async |bench| {
    some_entries(bench).await;
    let reserve = |_| {
        let (earliest, latest) = (Step::new(100), Step::new(1_000));
        move |tx: &mut WriteTx<'_>| {
            totp::reserve_step(tx, &account_id(1), &totp_id(1), earliest, latest)
        }
    };
    let answers = bench.at_once(64, reserve).await;
    let step = |answer: Result<Option<Step>, _>| answer.unwrap().unwrap().get();
    let mut steps: Vec<_> = answers.into_iter().map(step).collect();
    steps.sort_unstable();
    assert_eq!(steps, (100..164).collect::<Vec<_>>());
});

on_both!(concurrent_reservations_stop_at_the_latest, async |bench| {
    some_entries(bench).await;
    let reserve = |_| {
        let (earliest, latest) = (Step::new(100), Step::new(109));
        move |tx: &mut WriteTx<'_>| {
            totp::reserve_step(tx, &account_id(1), &totp_id(1), earliest, latest)
        }
    };
    let answers = bench.at_once(64, reserve).await;
    let mut steps: Vec<_> =
        answers.into_iter().filter_map(|answer| answer.unwrap().map(Step::get)).collect();
    steps.sort_unstable();
    assert_eq!(steps, (100..110).collect::<Vec<_>>());
});

/// What is wrong, as table, column and row.
fn named(error: &StoreError) -> (&str, &str, &str) {
    let StoreError::Corrupt { table, column, row } = error else {
        panic!("not a damaged row: {error:?}");
    };
    (table, column, row)
}

on_both!(a_damaged_entry_is_left_out_of_a_list_and_named, async |bench| {
    some_entries(bench).await;
    let second = totp_id(2);
    for (column, damage) in [
        ("kind", "kind = 'hotp'"),
        ("algorithm", "kind = 'totp', algorithm = 'MD5'"),
        ("period", "algorithm = 'SHA1', period = 0"),
        ("digits", "period = 30, digits = 5"),
        ("policy_min_validity", "digits = 6, policy_min_validity = -1"),
        ("policy_min_validity", "policy_min_validity = 31"),
        ("created_at", "policy_min_validity = 0, created_at = 9223372036854775807"),
    ] {
        let damage = format!("UPDATE totp SET {damage} WHERE id = '{second}'");
        bench.database.execute(&damage);
        let page = bench.look(|tx| totp::list(tx, &account_id(1), None, 3)).await;
        let left: Vec<_> = page.rows.iter().map(|totp| totp.id.clone()).collect();
        assert_eq!(left, [1, 3].map(totp_id));
        assert_eq!(page.last, Some(totp_id(3)));
        let damaged: Vec<_> = page.damaged.iter().map(named).collect();
        assert_eq!(damaged, [("totp", column, second.as_str())]);
        let found = bench.store.read(|tx| totp::find(tx, &account_id(1), &totp_id(2))).await;
        assert_eq!(named(&found.unwrap_err()), ("totp", column, second.as_str()));
    }
});

on_both!(a_unit_that_meets_a_damaged_entry_harms_no_other_in_its_transaction, async |bench| {
    some_entries(bench).await;
    bench.database.execute("UPDATE totp SET kind = 'hotp'");
    let occupied = bench.occupy().await;
    let store = bench.store.clone();
    let meets = tokio::spawn(crate::bench::change(store.clone(), |tx| {
        totp::find(tx, &account_id(1), &totp_id(1))
    }));
    bench.queued(1).await;
    let other = tokio::spawn(crate::bench::change(store, |tx| store_account(tx, 7)));
    bench.queued(2).await;
    let (meets, other) = occupied.release_one(async { tokio::join!(meets, other) }).await;
    assert_eq!(named(&meets.unwrap().unwrap_err()).1, "kind");
    other.unwrap().unwrap();
    // Both in one: the first did not end it for the second.
    assert!(bench.batches().contains(&2), "{:?}", bench.batches());
});
