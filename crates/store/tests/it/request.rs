//! Table `authentication`: what is asked of a provider at a link.

use keyfob_store::authentication::{self, Asked, Outcome};

use crate::{
    bench::Bench,
    sample::{at, authentication as sample, sealed, store_people, ticket_hash},
};

/// Link 1, at which something was asked with this state.
async fn ask(bench: &Bench, request: u8, poll_at: Option<i64>) -> bool {
    let ask = bench.change(move |tx| {
        let (state, with) = (ticket_hash(1), ticket_hash(request));
        authentication::ask(tx, &state, &with, &sealed(request), poll_at.map(at))
    });
    ask.await.unwrap()
}

async fn a_link(bench: &Bench) {
    let link = bench.change(|tx| {
        store_people(tx, 1, 1)?;
        authentication::insert(tx, &sample(1, Some(1)))?;
        authentication::insert(tx, &sample(2, Some(1)))
    });
    link.await.unwrap();
}

async fn asked(bench: &Bench, request: u8) -> Option<Asked> {
    bench.look(move |tx| authentication::find_asked(tx, &ticket_hash(request))).await
}

async fn take(bench: &Bench, request: u8) -> bool {
    bench.change(move |tx| authentication::take(tx, &ticket_hash(request))).await.unwrap()
}

on_both!(what_was_asked_is_found_by_its_own_state_and_taken_once, async |bench| {
    a_link(bench).await;
    assert!(ask(bench, 11, None).await);
    let found = asked(bench, 11).await.unwrap();
    assert_eq!(found.authentication.state.as_bytes(), ticket_hash(1).as_bytes());
    assert_eq!(found.request, Some(sealed(11)));
    assert!(asked(bench, 1).await.is_none(), "the link's own state is another one");
    assert!(take(bench, 11).await);
    assert!(!take(bench, 11).await);
    assert_eq!(asked(bench, 11).await.unwrap().request, None, "that it was asked is still known");
});

on_both!(of_two_requests_at_one_link_only_the_later_one_is_waited_for, async |bench| {
    a_link(bench).await;
    assert!(ask(bench, 11, None).await);
    assert!(ask(bench, 12, None).await);
    assert!(!take(bench, 11).await);
    assert!(asked(bench, 11).await.is_none());
    assert!(take(bench, 12).await);
});

on_both!(nothing_is_asked_at_a_link_that_has_ended, async |bench| {
    a_link(bench).await;
    let end =
        bench.change(|tx| authentication::end(tx, &ticket_hash(1), Outcome::Declined, at(50)));
    assert!(end.await.unwrap());
    assert!(!ask(bench, 11, None).await);
});

on_both!(of_any_number_who_want_to_poll_one_does_each_time, async |bench| {
    a_link(bench).await;
    assert!(ask(bench, 11, Some(5)).await);
    let at_link =
        bench.look(|tx| authentication::find_asked_at(tx, &ticket_hash(1))).await.unwrap();
    assert_eq!(at_link.poll_at, Some(at(5)));
    let none = bench.look(|tx| authentication::find_asked_at(tx, &ticket_hash(2))).await;
    assert!(none.is_none());
    let poll = async |seen, next| {
        let poll =
            bench.change(move |tx| authentication::poll(tx, &ticket_hash(1), at(seen), at(next)));
        poll.await.unwrap()
    };
    assert!(poll(5, 10).await);
    assert!(!poll(5, 10).await);
    assert!(poll(10, 15).await);
    assert!(take(bench, 11).await);
    assert!(!poll(15, 20).await, "the answer has come");
});

on_both!(fewer_polls_are_for_the_code_that_was_polled_and_for_no_newer_one, async |bench| {
    a_link(bench).await;
    let slow_down = async |request, seen| {
        let slow_down = bench.change(move |tx| {
            let state = ticket_hash(request);
            authentication::slow_down(tx, &state, &sealed(99), at(seen), at(60))
        });
        slow_down.await.unwrap()
    };
    assert!(ask(bench, 11, Some(5)).await);
    assert!(!slow_down(11, 4).await, "it is another one's turn");
    assert!(slow_down(11, 5).await);
    let slowed = asked(bench, 11).await.unwrap();
    assert_eq!((slowed.request, slowed.poll_at), (Some(sealed(99)), Some(at(60))));
    assert!(ask(bench, 12, Some(60)).await);
    assert!(!slow_down(11, 60).await);
    let newer = asked(bench, 12).await.unwrap();
    assert_eq!((newer.request, newer.poll_at), (Some(sealed(12)), Some(at(60))));
    assert!(take(bench, 12).await);
    assert!(!slow_down(12, 60).await, "its answer has come");
});
