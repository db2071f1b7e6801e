//! Table `authentication`.

use keyfob_core::id::ContactId;
use keyfob_store::{
    StoreError, WriteTx,
    authentication::{self, Authentication, Outcome},
    refresh::Holder,
};

use crate::{
    bench::Bench,
    sample::{
        account_id, at, authentication as sample, contact_id, key_id, secret_id, store_people,
        ticket_hash,
    },
};

async fn insert(bench: &Bench, new: Authentication) -> Result<(), StoreError> {
    bench.change(move |tx| authentication::insert(tx, &new)).await
}

async fn find(bench: &Bench, number: u8) -> Option<Authentication> {
    bench.look(move |tx| authentication::find(tx, &ticket_hash(number))).await
}

async fn outcome(bench: &Bench, number: u8) -> Option<Outcome> {
    find(bench, number).await.unwrap().outcome
}

async fn bind(bench: &Bench, number: u8, browser: u8) -> bool {
    let bind = bench
        .change(move |tx| authentication::bind(tx, &ticket_hash(number), &ticket_hash(browser)));
    bind.await.unwrap()
}

async fn end(bench: &Bench, number: u8, outcome: Outcome) -> bool {
    let end =
        bench.change(move |tx| authentication::end(tx, &ticket_hash(number), outcome, at(50)));
    end.await.unwrap()
}

/// Links 1 and 2 of contact 1, 3 of contact 2, 4 of the shared value; 5 of contact 1 for another secret, and
/// 6 of contact 1 of another account.
async fn some_links(bench: &Bench) {
    bench.change(|tx| store_people(tx, 2, 2)).await.unwrap();
    let of_secret_2 = Authentication { secret: secret_id(2), ..sample(5, Some(1)) };
    let of_account_2 = Authentication { account: account_id(2), ..sample(6, Some(1)) };
    let links = [
        sample(1, Some(1)),
        sample(2, Some(1)),
        sample(3, Some(2)),
        sample(4, None),
        of_secret_2,
        of_account_2,
    ];
    for link in links {
        insert(bench, link).await.unwrap();
    }
}

#[test]
fn a_link_says_whose_credential_is_handed_over() {
    let of = |contact| Holder { account: account_id(1), contact, secret: secret_id(1) };
    assert_eq!(sample(1, Some(2)).holder(), of(Some(contact_id(2))));
    assert_eq!(sample(1, None).holder(), of(None));
}

/// Which of links 1 to 6 are withdrawn.
async fn withdrawn(bench: &Bench) -> Vec<u8> {
    let mut all = Vec::new();
    for number in 1..=6 {
        if outcome(bench, number).await == Some(Outcome::Withdrawn) {
            all.push(number);
        }
    }
    all
}

on_both!(a_link_reads_back_as_it_was_stored, async |bench| {
    some_links(bench).await;
    let full = Authentication {
        return_url: Some("https://app.example.com/back?x=ü".into()),
        ..sample(7, Some(2))
    };
    insert(bench, full.clone()).await.unwrap();
    for wanted in [full, sample(4, None)] {
        let state = wanted.state;
        let found = bench.look(move |tx| authentication::find(tx, &state)).await;
        assert_eq!(format!("{found:?}"), format!("{:?}", Some(wanted)));
    }
    assert!(find(bench, 8).await.is_none());
    assert!(matches!(insert(bench, sample(1, Some(2))).await, Err(StoreError::Conflict)));
});

on_both!(open_links_for_the_same_by_the_same_key_are_counted_up_to_a_limit, async |bench| {
    some_links(bench).await;
    let of_another_key = Authentication { key: Some(key_id(2)), ..sample(7, Some(1)) };
    let of_no_key = Authentication { key: None, ..sample(8, Some(1)) };
    for link in [&of_another_key, &of_no_key] {
        insert(bench, link.clone()).await.unwrap();
    }
    let count = async |like: &Authentication, now, limit| {
        let like = like.clone();
        bench.look(move |tx| authentication::count_like(tx, &like, at(now), limit)).await
    };
    let [one, two, shared] = [Some(1), Some(2), None].map(|contact| sample(9, contact));
    assert_eq!(count(&one, 99, 10).await, 2);
    assert_eq!(count(&one, 99, 1).await, 1);
    assert_eq!(count(&two, 99, 10).await, 1);
    assert_eq!(count(&shared, 99, 10).await, 1);
    assert_eq!(count(&of_another_key, 99, 10).await, 1);
    assert_eq!(count(&of_no_key, 99, 10).await, 1);
    // From its end on it is of no use.
    assert_eq!(count(&one, 100, 10).await, 0);
    assert_eq!(count(&shared, 100, 10).await, 0);
    assert!(end(bench, 1, Outcome::Declined).await);
    assert!(end(bench, 4, Outcome::Connected).await);
    assert_eq!((count(&one, 99, 10).await, count(&shared, 99, 10).await), (1, 0));
});

on_both!(of_binds_for_different_browsers_exactly_one_wins, async |bench| {
    some_links(bench).await;
    let bind_to = |number: u32| {
        let browser = ticket_hash(100 + u8::try_from(number).unwrap());
        move |tx: &mut WriteTx<'_>| {
            let is_its = authentication::bind(tx, &ticket_hash(1), &browser)?;
            Ok(is_its.then_some(browser))
        }
    };
    let answers = bench.at_once(50, bind_to).await;
    let winners: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    let [winner] = winners[..] else { panic!("{winners:?}") };
    let browser = find(bench, 1).await.unwrap().browser.unwrap();
    assert_eq!(browser.as_bytes(), winner.as_bytes());
});

on_both!(a_link_stays_with_its_browser_until_it_ends, async |bench| {
    some_links(bench).await;
    assert!(bind(bench, 1, 100).await);
    assert!(bind(bench, 1, 100).await, "the same browser may come again");
    assert!(!bind(bench, 1, 101).await);
    assert!(bind(bench, 2, 101).await, "the other link has no browser");
    assert!(end(bench, 1, Outcome::Connected).await);
    assert!(!bind(bench, 1, 100).await);
    assert!(!bind(bench, 9, 100).await, "there is no such link");
});

on_both!(of_many_ends_exactly_one_wins, async |bench| {
    some_links(bench).await;
    let end_as = |number: u32| {
        let outcome = [Outcome::Connected, Outcome::Declined][number as usize % 2];
        move |tx: &mut WriteTx<'_>| {
            let ended = authentication::end(tx, &ticket_hash(1), outcome, at(1))?;
            Ok(ended.then_some(outcome))
        }
    };
    let answers = bench.at_once(50, end_as).await;
    let winners: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    let [winner] = winners[..] else { panic!("{winners:?}") };
    assert_eq!(outcome(bench, 1).await, Some(winner));
    assert_eq!(outcome(bench, 2).await, None);
    assert!(!end(bench, 9, Outcome::Declined).await, "there is no such link");
});

on_both!(the_links_of_one_contact_or_of_the_shared_value_are_withdrawn_alone, async |bench| {
    some_links(bench).await;
    let withdraw = async |contact: Option<ContactId>| {
        let withdraw = move |tx: &mut WriteTx<'_>| {
            let (account, secret) = (account_id(1), secret_id(1));
            authentication::withdraw(tx, &account, &secret, contact.as_ref(), at(5))
        };
        bench.change(withdraw).await.unwrap();
    };
    withdraw(Some(contact_id(1))).await;
    assert_eq!(withdrawn(bench).await, [1, 2]);
    withdraw(None).await;
    assert_eq!(withdrawn(bench).await, [1, 2, 4]);
});

on_both!(all_links_of_a_contact_are_withdrawn_but_none_that_ended, async |bench| {
    some_links(bench).await;
    assert!(end(bench, 2, Outcome::Connected).await);
    let withdraw = bench
        .change(|tx| authentication::withdraw_contact(tx, &account_id(1), &contact_id(1), at(5)));
    withdraw.await.unwrap();
    assert_eq!(withdrawn(bench).await, [1, 5]);
    assert_eq!(outcome(bench, 2).await, Some(Outcome::Connected));
});

on_both!(all_links_of_a_secret_are_withdrawn_in_every_account, async |bench| {
    some_links(bench).await;
    assert!(end(bench, 3, Outcome::Declined).await);
    let withdraw = async |limit| {
        let withdraw = bench
            .change(move |tx| authentication::withdraw_secret(tx, &secret_id(1), at(5), limit));
        withdraw.await.unwrap();
        withdrawn(bench).await
    };
    assert_eq!(withdraw(3).await.len(), 3);
    assert_eq!(withdraw(3).await, [1, 2, 4, 6]);
    assert_eq!(outcome(bench, 3).await, Some(Outcome::Declined));
});

on_both!(links_that_ended_long_ago_are_forgotten_a_few_at_a_time, async |bench| {
    some_links(bench).await;
    let later = Authentication { expires_at: at(200), ..sample(7, Some(1)) };
    insert(bench, later).await.unwrap();
    let forget = async |before, limit| {
        let forget = bench.change(move |tx| authentication::forget(tx, at(before), limit));
        forget.await.unwrap()
    };
    assert_eq!(forget(100, 10).await, 0);
    assert_eq!(forget(101, 4).await, 4);
    assert_eq!(forget(101, 4).await, 2);
    assert_eq!(forget(101, 4).await, 0);
    assert!(find(bench, 7).await.is_some());
});

on_both!(a_damaged_link_is_named, async |bench| {
    some_links(bench).await;
    bench.database.execute("UPDATE authentication SET outcome = 'x'");
    let found = bench.store.read(|tx| authentication::find(tx, &ticket_hash(1))).await;
    let named = format!("authentication row {}: column outcome is damaged", account_id(1));
    let text = found.map(drop).unwrap_err().to_string();
    assert!(text.starts_with(&named), "{text}");
});

on_both!(
    the_last_link_for_the_same_by_the_same_key_is_found_until_its_time_is_over,
    async |bench| {
        some_links(bench).await;
        let later =
            Authentication { created_at: at(10), expires_at: at(110), ..sample(7, Some(1)) };
        let of_another_key =
            Authentication { key: Some(key_id(2)), created_at: at(20), ..sample(8, Some(1)) };
        for link in [later, of_another_key] {
            insert(bench, link).await.unwrap();
        }
        let last = async |contact, key, now| {
            let holder = sample(9, contact).holder();
            let found = bench
                .look(move |tx| authentication::last(tx, &holder, &key_id(key), at(now)))
                .await;
            found.map(|link| (link.state.as_bytes()[0], link.outcome))
        };
        let number = |number| ticket_hash(number).as_bytes()[0];
        assert_eq!(last(Some(1), 1, 50).await, Some((number(7), None)));
        assert_eq!(last(Some(1), 2, 50).await, Some((number(8), None)));
        assert_eq!(last(None, 1, 50).await, Some((number(4), None)));
        assert_eq!(last(None, 2, 50).await, None);
        assert!(end(bench, 7, Outcome::Connected).await);
        assert_eq!(last(Some(1), 1, 109).await, Some((number(7), Some(Outcome::Connected))));
        assert_eq!(last(Some(1), 1, 110).await, None);
        // Of those made in one millisecond the open one.
        insert(bench, sample(9, Some(2))).await.unwrap();
        assert!(end(bench, 3, Outcome::Declined).await);
        assert_eq!(last(Some(2), 1, 50).await, Some((number(9), None)));
    }
);
