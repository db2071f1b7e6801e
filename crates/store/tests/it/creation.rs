//! Table `creation`.

use keyfob_store::{
    WriteTx,
    creation::{self, Creation},
};

use crate::{
    bench::Bench,
    sample::{self, account_id, at, store_account},
};

async fn two_accounts(bench: &Bench) {
    let store = |tx: &mut WriteTx<'_>| {
        store_account(tx, 1)?;
        store_account(tx, 2)
    };
    bench.change(store).await.unwrap();
}

async fn claim(bench: &Bench, account: u32, wanted: &Creation, since: i64) -> Option<Creation> {
    let wanted = wanted.clone();
    let claim =
        bench.change(move |tx| creation::claim(tx, &account_id(account), &wanted, at(since)));
    claim.await.unwrap()
}

async fn note_unanswered(bench: &Bench, lost: &Creation) {
    let lost = lost.clone();
    let note = bench.change(move |tx| creation::note_unanswered(tx, &account_id(1), &lost));
    note.await.unwrap();
}

on_both!(a_repeated_create_is_known_again, async |bench| {
    two_accounts(bench).await;
    let first = sample::creation(1, 1, 1_000);
    assert_eq!(claim(bench, 1, &first, 500).await, None);
    let again = sample::creation(1, 2, 1_200);
    assert_eq!(claim(bench, 1, &again, 700).await, Some(first.clone()));
    // Remembered at that very moment is not before it.
    assert_eq!(claim(bench, 1, &again, 1_000).await, Some(first));
    // Another account's, and another create, are their own.
    assert_eq!(claim(bench, 2, &again, 700).await, None);
    let other = sample::creation(2, 3, 1_200);
    assert_eq!(claim(bench, 1, &other, 700).await, None);
});

on_both!(a_create_of_long_ago_is_replaced, async |bench| {
    two_accounts(bench).await;
    let old = sample::creation(1, 1, 1_000);
    let new = sample::creation(1, 2, 2_000);
    assert_eq!(claim(bench, 1, &old, 0).await, None);
    assert_eq!(claim(bench, 1, &new, 1_001).await, None);
    let third = sample::creation(1, 3, 2_100);
    assert_eq!(claim(bench, 1, &third, 1_500).await, Some(new));
});

on_both!(a_create_can_be_remembered_in_place_of_a_newer_one, async |bench| {
    two_accounts(bench).await;
    for object in [1, 2] {
        let replace = bench.change(move |tx| {
            let creation = sample::creation(1, object, 1_000 - i64::from(object));
            creation::replace(tx, &account_id(1), &creation)
        });
        replace.await.unwrap();
    }
    let third = sample::creation(1, 3, 1_100);
    let known = claim(bench, 1, &third, 500).await;
    assert_eq!(known, Some(sample::creation(1, 2, 998)));
});

on_both!(a_lost_answer_is_noted_of_the_create_it_was_for, async |bench| {
    two_accounts(bench).await;
    let first = sample::creation(1, 1, 1_000);
    assert_eq!(claim(bench, 1, &first, 0).await, None);
    let lost = Creation { unanswered_at: Some(at(1_500)), ..first.clone() };
    note_unanswered(bench, &lost).await;
    let second = sample::creation(1, 2, 2_000);
    assert_eq!(claim(bench, 1, &second, 0).await, Some(lost.clone()));
    // Later is what counts, and another create takes the note away.
    let again = Creation { unanswered_at: Some(at(1_700)), ..lost.clone() };
    note_unanswered(bench, &again).await;
    note_unanswered(bench, &lost).await;
    assert_eq!(claim(bench, 1, &second, 0).await, Some(again.clone()));
    assert_eq!(claim(bench, 1, &second, 1_001).await, None);
    note_unanswered(bench, &again).await;
    assert_eq!(claim(bench, 1, &first, 0).await, Some(second));
});

on_both!(a_lost_answer_can_be_noted_before_its_create, async |bench| {
    two_accounts(bench).await;
    let lost = Creation { unanswered_at: Some(at(1_500)), ..sample::creation(1, 1, 1_000) };
    note_unanswered(bench, &lost).await;
    assert_eq!(claim(bench, 1, &sample::creation(1, 2, 2_000), 0).await, Some(lost));
});

on_both!(old_creates_are_forgotten, async |bench| {
    two_accounts(bench).await;
    for (fingerprint, millis) in [(1, 100), (2, 200), (3, 300)] {
        let creation = sample::creation(fingerprint, 1, millis);
        assert_eq!(claim(bench, 1, &creation, 0).await, None);
    }
    let forget = |millis| bench.change(move |tx| creation::forget(tx, at(millis), 10));
    assert_eq!(forget(100).await.unwrap(), 0);
    assert_eq!(forget(300).await.unwrap(), 2);
    assert_eq!(claim(bench, 1, &sample::creation(1, 2, 400), 0).await, None);
    let third = sample::creation(3, 1, 300);
    let again = claim(bench, 1, &sample::creation(3, 2, 400), 0).await;
    assert_eq!(again, Some(third));
});

on_both!(of_concurrent_creates_one_wins_and_the_others_see_it, async |bench| {
    two_accounts(bench).await;
    for round in 0..8 {
        let claim = |object| {
            let creation = sample::creation(round, object, 1_000);
            move |tx: &mut WriteTx<'_>| {
                let before = creation::claim(tx, &account_id(1), &creation, at(500))?;
                Ok((object, before))
            }
        };
        let answers = bench.at_once(32, claim).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = answers
            .iter()
            .filter(|(_, before)| before.is_none())
            .map(|(object, _)| sample::creation(round, *object, 1_000))
            .collect();
        assert_eq!(winners.len(), 1);
        for (_, before) in answers {
            assert!(before.is_none_or(|before| before == winners[0]));
        }
    }
});
