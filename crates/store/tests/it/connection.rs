//! Table `connection`.

use keyfob_core::{
    id::{ConnectionId, SecretId},
    secret::{Kind, SecretType, Visibility},
};
use keyfob_store::{
    StoreError, WriteTx,
    connection::{self, Connection},
    deletion, secret,
};

use crate::{
    bench::Bench,
    sample::{
        account_id, at, connection as sample, connection_id, contact_id, sealed, secret_id,
        store_people,
    },
};

fn full(contact: u32, secret: u32) -> Connection {
    Connection {
        value_type: SecretType::OAuth,
        value: sealed(9),
        terms: Some(sealed(10)),
        expires_at: Some(at(77)),
        scopes: Some("mail calendar".into()),
        broken: Some("the provider refused it".into()),
        ..sample(contact, secret)
    }
}

async fn upsert(bench: &Bench, connection: Connection) -> Result<(), StoreError> {
    bench.change(move |tx| connection::upsert(tx, &connection)).await
}

async fn find(bench: &Bench, contact: u32, secret: u32) -> Option<Connection> {
    let find = move |tx: &mut keyfob_store::ReadTx<'_>| {
        connection::find(tx, &account_id(1), &contact_id(contact), &secret_id(secret))
    };
    bench.look(find).await
}

/// Two contacts and five secrets; the first contact has connected four of them, the second two.
async fn some_connections(bench: &Bench) {
    bench.change(|tx| store_people(tx, 2, 5)).await.unwrap();
    for (contact, secret) in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 5)] {
        upsert(bench, sample(contact, secret)).await.unwrap();
    }
}

on_both!(a_connection_reads_back_as_it_was_stored_in_its_account_only, async |bench| {
    some_connections(bench).await;
    upsert(bench, full(1, 5)).await.unwrap();
    assert_eq!(find(bench, 1, 5).await, Some(full(1, 5)));
    assert_eq!(find(bench, 1, 4).await, Some(sample(1, 4)));
    assert_eq!(find(bench, 2, 4).await, None);
    let foreign =
        bench.look(|tx| connection::find(tx, &account_id(2), &contact_id(1), &secret_id(1))).await;
    assert_eq!(foreign, None);
});

on_both!(a_connection_needs_its_contact, async |bench| {
    some_connections(bench).await;
    let stored = upsert(bench, sample(3, 1)).await;
    assert!(matches!(stored, Err(StoreError::Database(_))), "{stored:?}");
});

on_both!(a_connection_whose_secret_is_gone_is_not_there_but_for_its_deletion, async |bench| {
    some_connections(bench).await;
    bench.change(|tx| secret::delete(tx, &account_id(1), &secret_id(1))).await.unwrap();
    assert_eq!(find(bench, 1, 1).await, None);
    for list in [connection::list, connection::list_newest] {
        let page = bench.look(move |tx| list(tx, &account_id(1), &contact_id(1), None, 9)).await;
        assert_eq!(page.rows.len(), 3);
    }
    let page = bench.look(|tx| connection::list_all(tx, &account_id(1), None, 9)).await;
    assert_eq!((page.rows.len(), page.damaged.len()), (4, 0));
    // Its grant is not queued yet.
    let delete =
        bench.change(|tx| connection::delete(tx, &account_id(1), &contact_id(1), &secret_id(1)));
    assert!(!delete.await.unwrap());
    assert_eq!(bench.database.number("SELECT count(*) FROM connection"), 6);
});

on_both!(all_that_a_contact_has_connected_is_deleted_and_counted, async |bench| {
    some_connections(bench).await;
    let delete = |account| {
        bench.change(move |tx| {
            connection::delete_of_contact(tx, &account_id(account), &contact_id(1))
        })
    };
    assert_eq!(delete(2).await.unwrap(), 0);
    assert_eq!(delete(1).await.unwrap(), 4);
    assert_eq!(delete(1).await.unwrap(), 0);
    assert_eq!(bench.database.number("SELECT count(*) FROM connection"), 2);
});

on_both!(connecting_anew_keeps_the_id_and_the_first_day, async |bench| {
    some_connections(bench).await;
    let anew = Connection { id: connection_id(9), created_at: at(9_999), ..full(1, 2) };
    upsert(bench, Connection { updated_at: at(9_999), ..anew }).await.unwrap();
    assert_eq!(find(bench, 1, 2).await, Some(Connection { updated_at: at(9_999), ..full(1, 2) }));
    // What is not said any more is gone.
    upsert(bench, sample(1, 2)).await.unwrap();
    assert_eq!(find(bench, 1, 2).await, Some(sample(1, 2)));
});

on_both!(terms_are_replaced_alone_and_of_no_other_connection, async |bench| {
    some_connections(bench).await;
    upsert(bench, full(1, 5)).await.unwrap();
    let set = |account, secret| {
        bench.change(move |tx| {
            let account = account_id(account);
            connection::set_terms(tx, &account, &contact_id(1), &secret_id(secret), &sealed(11))
        })
    };
    set(2, 5).await.unwrap();
    assert_eq!(find(bench, 1, 5).await, Some(full(1, 5)));
    set(1, 5).await.unwrap();
    set(1, 1).await.unwrap();
    let terms = Some(sealed(11));
    assert_eq!(find(bench, 1, 5).await, Some(Connection { terms: terms.clone(), ..full(1, 5) }));
    assert_eq!(find(bench, 1, 1).await, Some(Connection { terms, ..sample(1, 1) }));
    assert_eq!(find(bench, 1, 2).await, Some(sample(1, 2)));
    // Where nothing is connected there is nothing to hold under terms.
    set(1, 9).await.unwrap();
    assert_eq!(find(bench, 1, 9).await, None);
});

on_both!(
    a_renewed_value_holds_under_the_terms_that_the_old_one_was_connected_under,
    async |bench| {
        some_connections(bench).await;
        upsert(bench, full(1, 5)).await.unwrap();
        let renewed = Connection { value: sealed(12), terms: Some(sealed(13)), ..full(1, 5) };
        let swap = bench.change(move |tx| connection::swap(tx, &renewed, &sealed(9)));
        assert!(swap.await.unwrap());
        assert_eq!(find(bench, 1, 5).await, Some(Connection { value: sealed(12), ..full(1, 5) }));
    }
);

on_both!(of_many_connects_at_once_the_last_value_stays_under_the_first_id, async |bench| {
    some_connections(bench).await;
    let connect = |number: u32| {
        let id = connection_id(500 + number);
        let connection = Connection { id, updated_at: at(i64::from(number)), ..sample(2, 3) };
        move |tx: &mut WriteTx<'_>| connection::upsert(tx, &connection)
    };
    let answers = bench.at_once(50, connect).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(bench.database.number("SELECT count(*) FROM connection"), 7);
    let found = find(bench, 2, 3).await.unwrap();
    assert!((500..550).any(|number| found.id == connection_id(number)), "{:?}", found.id);
});

on_both!(connections_are_listed_page_by_page_in_both_orders_beside_their_secrets, async |bench| {
    some_connections(bench).await;
    let page = async |newest: bool, after: Option<u32>| -> Vec<ConnectionId> {
        let list = if newest { connection::list_newest } else { connection::list };
        let after = after.map(connection_id);
        let page =
            bench.look(move |tx| list(tx, &account_id(1), &contact_id(1), after.as_ref(), 3));
        let page = page.await;
        assert!(page.damaged.is_empty());
        assert_eq!(page.last.as_ref(), page.rows.last().map(|row| &row.connection.id));
        page.rows.into_iter().map(|row| row.connection.id).collect()
    };
    assert_eq!(page(false, None).await, [1001, 1002, 1003].map(connection_id));
    assert_eq!(page(false, Some(1003)).await, [connection_id(1004)]);
    assert_eq!(page(true, None).await, [1004, 1003, 1002].map(connection_id));
    assert_eq!(page(true, Some(1002)).await, [connection_id(1001)]);
    assert_eq!(page(true, Some(1001)).await, []);

    let named =
        bench.look(|tx| connection::list(tx, &account_id(1), &contact_id(2), None, 1)).await;
    let [named] = &named.rows[..] else { panic!("{named:?}") };
    assert_eq!(named.connection, sample(2, 1));
    assert_eq!((&*named.name, &*named.description), ("Secret 1", ""));
    assert_eq!(named.secret_account, account_id(1));
    let rest = (named.secret_type, named.kind, named.visibility);
    assert_eq!(rest, (SecretType::Plain, Kind::Shared, Visibility::Private));
});

on_both!(connections_are_listed_by_the_age_of_their_secrets_in_both_orders, async |bench| {
    some_connections(bench).await;
    let page = async |newest: bool, after: Option<u32>| -> Vec<SecretId> {
        let list =
            if newest { connection::list_by_secret_newest } else { connection::list_by_secret };
        let after = after.map(secret_id);
        let page =
            bench.look(move |tx| list(tx, &account_id(1), &contact_id(1), after.as_ref(), 3));
        let page = page.await;
        assert_eq!(page.last.as_ref(), page.rows.last().map(|row| &row.connection.secret));
        page.rows.into_iter().map(|row| row.connection.secret).collect()
    };
    assert_eq!(page(false, None).await, [1, 2, 3].map(secret_id));
    assert_eq!(page(false, Some(3)).await, [secret_id(4)]);
    assert_eq!(page(true, None).await, [4, 3, 2].map(secret_id));
    assert_eq!(page(true, Some(2)).await, [secret_id(1)]);
});

on_both!(connections_are_listed_for_their_account_only, async |bench| {
    some_connections(bench).await;
    for list in [connection::list, connection::list_newest] {
        let page = bench.look(move |tx| list(tx, &account_id(2), &contact_id(1), None, 9)).await;
        assert!(page.rows.is_empty() && page.last.is_none());
    }
    let page = bench.look(|tx| connection::list_all(tx, &account_id(2), None, 9)).await;
    assert!(page.rows.is_empty() && page.last.is_none());
});

on_both!(all_connections_of_an_account_are_listed_page_by_page, async |bench| {
    some_connections(bench).await;
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let from = after.clone();
        let page = move |tx: &mut keyfob_store::ReadTx<'_>| {
            connection::list_all(tx, &account_id(1), from.as_ref(), 4)
        };
        let page = bench.look(page).await;
        found.extend(page.rows);
        if page.last.is_none() {
            break;
        }
        after = page.last;
    }
    let wanted = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 5)];
    assert_eq!(found, wanted.map(|(contact, secret)| sample(contact, secret)));
});

on_both!(a_damaged_row_is_named_and_hides_no_other_in_any_list, async |bench| {
    some_connections(bench).await;
    let (first, second) = (connection_id(1001), secret_id(2));
    bench.database.execute(&format!("UPDATE connection SET type = 'x' WHERE id = '{first}'"));
    bench.database.execute(&format!("UPDATE secret SET kind = 'x' WHERE id = '{second}'"));
    let found = bench
        .store
        .read(|tx| connection::find(tx, &account_id(1), &contact_id(1), &secret_id(1)))
        .await;
    let found = found.map(drop).map_err(|error| error.to_string());
    let of_connection = format!("connection row {first}: column type is damaged");
    assert!(found.is_err_and(|text| text.starts_with(&of_connection)));
    let of_secret = format!("secret row {second}: column kind is damaged");
    for list in [connection::list, connection::list_newest] {
        let page = bench.look(move |tx| list(tx, &account_id(1), &contact_id(1), None, 9)).await;
        assert_eq!(page.rows.len(), 2);
        let mut said: Vec<_> = page.damaged.iter().map(ToString::to_string).collect();
        said.sort();
        assert!(said[0].starts_with(&of_connection) && said[1].starts_with(&of_secret), "{said:?}");
    }
    let page = bench.look(|tx| connection::list_all(tx, &account_id(1), None, 9)).await;
    assert_eq!((page.rows.len(), page.damaged.len()), (5, 1));
});

on_both!(a_connection_is_deleted_in_its_account_only_and_once, async |bench| {
    some_connections(bench).await;
    let delete = |account| {
        bench.change(move |tx| {
            connection::delete(tx, &account_id(account), &contact_id(1), &secret_id(1))
        })
    };
    assert!(!delete(2).await.unwrap());
    assert!(delete(1).await.unwrap());
    assert!(!delete(1).await.unwrap());
    assert_eq!(find(bench, 1, 1).await, None);
    assert_eq!(bench.database.number("SELECT count(*) FROM connection"), 5);
});

on_both!(what_is_held_is_as_it_was, async |bench| {
    some_connections(bench).await;
    let hold = bench.change(|tx| {
        connection::hold(tx, &account_id(1), &contact_id(1), Some(&secret_id(1)))?;
        connection::hold(tx, &account_id(1), &contact_id(2), None)?;
        let most = deletion::Most { connections: 9, bytes: u64::MAX };
        let last = deletion::last(tx, &secret_id(2), most)?.unwrap();
        deletion::hold_connections(tx, &secret_id(2), &last)
    });
    hold.await.unwrap();
    assert_eq!(find(bench, 1, 1).await, Some(sample(1, 1)));
    assert_eq!(find(bench, 2, 5).await, Some(sample(2, 5)));
    assert_eq!(find(bench, 1, 2).await, Some(sample(1, 2)));
});
