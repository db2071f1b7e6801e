//! Table `event`.

use std::time::Duration;

use keyfob_core::{id::EventId, policy::Action};
use keyfob_store::{
    Event, StoreError,
    event::{self, Actor, Stored},
};

use crate::{
    bench::{Bench, append, within},
    sample::{self, account_id, at},
};

async fn commit(bench: &Bench, event: Event) {
    let written = bench.store.write(move |tx| Ok::<_, StoreError>(tx.commit(event.clone(), ())));
    written.await.unwrap();
}

async fn list(bench: &Bench, account: u32, after: Option<EventId>, limit: u32) -> Vec<Stored> {
    let list = bench.look(move |tx| event::list(tx, &account_id(account), after.as_ref(), limit));
    list.await.rows
}

fn objects(events: &[Stored]) -> Vec<&str> {
    events.iter().map(|event| &*event.object.1).collect()
}

on_both!(an_event_reads_back_as_it_was_committed, async |bench| {
    let full = Event {
        created_at: at(5),
        actor: Actor { kind: "operator", id: "root".into(), name: "O'Brien ☃".into() },
        action: Action::KeyRevoke,
        object_type: "key",
        contact_id: Some("contact_1".into()),
        result: "denied",
        reason: Some("not its role".into()),
        ip: Some("2001:db8::1".into()),
        request_id: "req_2".into(),
        ..sample::event(1, "full")
    };
    commit(bench, full.clone()).await;
    let stored = list(bench, 1, None, 10).await;
    let [found] = stored.as_slice() else {
        panic!("one event");
    };
    assert!(EventId::parse(found.id.as_str()).is_ok());
    let expected = Stored {
        account: account_id(1),
        created_at: at(5),
        actor: ("operator".into(), "root".into(), "O'Brien ☃".into()),
        action: "key.revoke".into(),
        object: ("key".into(), "full".into()),
        contact_id: Some("contact_1".into()),
        result: "denied".into(),
        reason: Some("not its role".into()),
        ip: Some("2001:db8::1".into()),
        request_id: "req_2".into(),
        ..found.clone()
    };
    assert_eq!(*found, expected);
    commit(bench, sample::event(2, "bare")).await;
    let bare = list(bench, 2, None, 10).await.remove(0);
    assert_eq!((bare.contact_id, bare.reason, bare.ip), (None, None, None));
});

on_both!(events_are_listed_by_time_page_by_page_in_their_account, async |bench| {
    for (millis, object) in [(3, "c"), (1, "a"), (4, "d"), (2, "b")] {
        let event = Event { created_at: at(millis), ..sample::event(1, object) };
        commit(bench, event).await;
    }
    commit(bench, sample::event(2, "another account's")).await;
    let first = list(bench, 1, None, 3).await;
    assert_eq!(objects(&first), ["a", "b", "c"]);
    let second = list(bench, 1, Some(first[2].id.clone()), 3).await;
    assert_eq!(objects(&second), ["d"]);
    let end = list(bench, 1, Some(second[0].id.clone()), 3).await;
    assert_eq!(objects(&end), [""; 0]);
    assert_eq!(list(bench, 3, None, 3).await, []);
    let newest = |before: Option<EventId>, limit| {
        bench.look(move |tx| event::list_newest(tx, &account_id(1), before.as_ref(), limit))
    };
    let first = newest(None, 3).await.rows;
    assert_eq!(objects(&first), ["d", "c", "b"]);
    assert_eq!(objects(&newest(Some(first[2].id.clone()), 3).await.rows), ["a"]);
});

on_both!(a_unit_without_an_event_leaves_none, async |bench| {
    bench.change(|tx| sample::store_account(tx, 1)).await.unwrap();
    assert_eq!(bench.database.number("SELECT count(*) FROM event"), 0);
});

on_both!(an_appended_event_is_there_within_a_second, async |bench| {
    bench.append(sample::event(1, "appended")).unwrap();
    within(Duration::from_secs(1), "the event is stored", async || {
        objects(&list(bench, 1, None, 10).await) == ["appended"]
    })
    .await;
});

on_both!(appended_events_share_a_transaction, async |bench| {
    for number in 0..100 {
        let event = sample::event(1, &format!("event {number}"));
        bench.append(event).unwrap();
    }
    within(Duration::from_secs(2), "the events are stored", async || {
        bench.batches().iter().sum::<usize>() == 100
    })
    .await;
    let commits = bench.batches().iter().filter(|size| **size > 0).count();
    assert!(commits <= 4, "{:?}", bench.batches());
    assert_eq!(list(bench, 1, None, 1_000).await.len(), 100);
});

on_both!(what_was_appended_before_the_close_is_stored_by_then, async |bench| {
    for number in 0..100 {
        let event = sample::event(1, &format!("event {number}"));
        bench.append(event).unwrap();
    }
    bench.store.close();
    assert_eq!(bench.database.number("SELECT count(*) FROM event"), 100);
    let late = bench.append(sample::event(1, "late"));
    assert!(matches!(late, Err(StoreError::Stopped)));
});

on_both!(event_ids_of_two_stores_never_meet, async |bench| {
    let other = bench.database.open().unwrap();
    for number in 0..50 {
        for store in [&bench.store, &other] {
            append(store, sample::event(1, &format!("event {number}"))).unwrap();
        }
    }
    bench.store.close();
    other.close();
    assert_eq!(bench.database.number("SELECT count(*) FROM event"), 100);
});

on_both!(a_unit_may_tell_of_more_than_one_thing, async |bench| {
    let tell = |fails: bool| {
        bench.store.write(move |tx| {
            tx.also(sample::event(1, "first"));
            tx.also(Event { account: account_id(2), ..sample::event(1, "elsewhere") });
            if fails {
                return Err(StoreError::Overloaded);
            }
            Ok(tx.commit(sample::event(1, "last"), ()))
        })
    };
    tell(true).await.unwrap_err();
    tell(false).await.unwrap();
    assert_eq!(objects(&list(bench, 1, None, 9).await), ["first", "last"]);
    assert_eq!(objects(&list(bench, 2, None, 9).await), ["elsewhere"]);
});
