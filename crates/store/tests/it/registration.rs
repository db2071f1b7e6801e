//! Table `registration`: of any number of first visitors one registers.

use keyfob_store::{
    WriteTx,
    registration::{self, Place, Registration},
};

use crate::{
    bench::Bench,
    sample::{account_id, at, sealed, secret_id, store_account},
};

fn place(secret: u32, issuer: &str) -> Place {
    Place { account: account_id(1), secret: secret_id(secret), issuer: issuer.into() }
}

fn here() -> Place {
    place(1, "https://id.example.com")
}

async fn find(bench: &Bench, place: Place) -> Option<Registration> {
    bench.look(move |tx| registration::find(tx, &place)).await
}

async fn lease(bench: &Bench, of: Place, seen: i64, now: i64) -> Option<i64> {
    let lease = bench.change(move |tx| registration::lease(tx, &of, seen, at(now), at(now + 30)));
    lease.await.unwrap()
}

async fn finish(bench: &Bench, of: Place, fence: i64, client: u8) -> bool {
    let finish = bench.change(move |tx| registration::finish(tx, &of, fence, &sealed(client)));
    finish.await.unwrap()
}

async fn an_account(bench: &Bench) {
    bench.change(|tx| store_account(tx, 1)).await.unwrap();
}

on_both!(of_any_number_of_first_visitors_one_has_the_lease, async |bench| {
    an_account(bench).await;
    let lease_it = |_| |tx: &mut WriteTx<'_>| registration::lease(tx, &here(), 0, at(50), at(80));
    let answers = bench.at_once(50, lease_it).await;
    let won: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won, [1]);
    let leased = find(bench, here()).await.unwrap();
    let expected =
        Registration { place: here(), client: None, fence: 1, leased_until: Some(at(80)) };
    assert_eq!(leased, expected);
    assert!(leased.is_leased(at(79)) && !leased.is_leased(at(80)));
    assert_eq!(find(bench, place(1, "https://other.example.com")).await, None);
    assert_eq!(find(bench, place(2, "https://id.example.com")).await, None);
});

on_both!(a_lease_that_was_not_heard_of_again_goes_to_one_of_those_who_saw_it, async |bench| {
    an_account(bench).await;
    assert_eq!(lease(bench, here(), 0, 50).await, Some(1));
    assert_eq!(lease(bench, here(), 1, 79).await, None, "it has not ended");
    assert_eq!(lease(bench, here(), 0, 80).await, None, "it was not seen");
    assert_eq!(lease(bench, here(), 1, 80).await, Some(2));
    assert!(!finish(bench, here(), 1, 7).await, "who was late has lost it");
    assert!(finish(bench, here(), 2, 8).await);
    let stored = find(bench, here()).await.unwrap();
    assert_eq!((stored.client, stored.leased_until), (Some(sealed(8)), None));
});

on_both!(who_gives_up_leaves_what_was_there, async |bench| {
    an_account(bench).await;
    lease(bench, here(), 0, 50).await.unwrap();
    assert!(finish(bench, here(), 1, 7).await);
    assert_eq!(lease(bench, here(), 1, 60).await, Some(2));
    let give_up = async |fence| {
        bench.change(move |tx| registration::give_up(tx, &here(), fence)).await.unwrap();
        find(bench, here()).await.unwrap()
    };
    assert!(give_up(1).await.is_leased(at(70)), "that lease is over");
    let left = give_up(2).await;
    assert_eq!((left.client, left.fence, left.leased_until), (Some(sealed(7)), 2, None));
});

on_both!(a_client_is_forgotten_as_it_was_seen_and_by_one_only, async |bench| {
    an_account(bench).await;
    lease(bench, here(), 0, 50).await.unwrap();
    let leased = find(bench, here()).await.unwrap();
    let forget = async |seen: &Registration| {
        let seen = seen.clone();
        bench.change(move |tx| registration::forget(tx, &seen)).await.unwrap()
    };
    assert!(!forget(&leased).await, "somebody is at it");
    finish(bench, here(), 1, 7).await;
    let seen = find(bench, here()).await.unwrap();
    assert!(forget(&seen).await);
    assert!(!forget(&seen).await);
    let forgotten = find(bench, here()).await.unwrap();
    assert_eq!((forgotten.client, forgotten.fence), (None, 2));
    assert_eq!(lease(bench, here(), 1, 60).await, None);
    assert_eq!(lease(bench, here(), 2, 60).await, Some(3));
});

on_both!(the_clients_of_a_secret_are_listed_and_go_with_it, async |bench| {
    an_account(bench).await;
    let (one, two) = (place(1, "https://a.example.com"), place(1, "https://b.example.com"));
    for of in [two.clone(), one.clone(), place(2, "https://a.example.com")] {
        lease(bench, of, 0, 50).await.unwrap();
    }
    let list = async |secret| {
        let list = move |tx: &mut keyfob_store::ReadTx<'_>| {
            registration::list(tx, &account_id(1), &secret_id(secret))
        };
        let places = bench.look(list).await.into_iter().map(|found| found.place);
        places.collect::<Vec<_>>()
    };
    assert_eq!(list(1).await, [one, two]);
    bench.change(|tx| registration::delete(tx, &account_id(1), &secret_id(1))).await.unwrap();
    assert_eq!(list(1).await, []);
    assert_eq!(list(2).await.len(), 1);
});
