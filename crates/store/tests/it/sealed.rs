//! Sealed columns that only the doctor lists.

use keyfob_store::{authentication, deletion, sealed};

use crate::sample::{
    account_id, authentication, sealed as bytes, secret_id, store_people, ticket_hash,
};

on_both!(configs_of_deleted_secrets_are_listed_page_by_page, async |bench| {
    let delete = bench.change(|tx| {
        store_people(tx, 0, 3)?;
        (1..=3).try_for_each(|number| deletion::begin(tx, &secret_id(number)))
    });
    delete.await.unwrap();
    let page = |after: Option<u32>| {
        let after = after.map(secret_id);
        bench.look(move |tx| sealed::list_deleted_configs(tx, &account_id(1), after.as_ref(), 2))
    };
    let first = page(None).await;
    assert_eq!(first.rows, [(secret_id(1), bytes(100)), (secret_id(2), bytes(100))]);
    assert_eq!(first.last, Some(secret_id(2)));
    assert_eq!(page(Some(2)).await.rows, [(secret_id(3), bytes(100))]);
});

on_both!(requests_are_listed_page_by_page_where_there_are_some, async |bench| {
    let ask = bench.change(|tx| {
        store_people(tx, 1, 1)?;
        for number in 1..=4 {
            authentication::insert(tx, &authentication(number, Some(1)))?;
        }
        for number in [1, 3, 4] {
            let (state, request) = (ticket_hash(number), ticket_hash(100 + number));
            authentication::ask(tx, &state, &request, &bytes(number), None)?;
        }
        Ok(())
    });
    ask.await.unwrap();
    let list = |after: Option<u8>| {
        let after = after.map(ticket_hash);
        bench.look(move |tx| {
            let found = sealed::list_requests(tx, &account_id(1), after.as_ref(), 2)?;
            Ok(found.into_iter().map(|(at, it)| (at.as_bytes()[0], it)).collect::<Vec<_>>())
        })
    };
    assert_eq!(list(None).await, [(1, bytes(1)), (3, bytes(3))]);
    assert_eq!(list(Some(3)).await, [(4, bytes(4))]);
    let other = bench.look(|tx| sealed::list_requests(tx, &account_id(2), None, 2)).await;
    assert!(other.is_empty());
});

on_both!(registered_clients_are_listed_by_secret_and_issuer, async |bench| {
    bench.change(|tx| store_people(tx, 0, 2)).await.unwrap();
    let account = account_id(1);
    for (secret, issuer) in [(1, "https://a"), (1, "https://b"), (2, "https://a")] {
        let secret = secret_id(secret);
        bench.database.execute(&format!(
            "INSERT INTO registration (account_id, secret_id, issuer, client, fence, created_at)
             SELECT '{account}', '{secret}', '{issuer}', config, 1, 1 FROM secret
             WHERE id = '{secret}'"
        ));
    }
    let list = |after: Option<(u32, &'static str)>| {
        let after = after.map(|(secret, issuer)| (secret_id(secret), issuer.to_owned()));
        bench.look(move |tx| sealed::list_clients(tx, &account_id(1), after.as_ref(), 2))
    };
    let place = |secret, issuer: &str| ((secret_id(secret), issuer.to_owned()), bytes(100));
    assert_eq!(list(None).await, [place(1, "https://a"), place(1, "https://b")]);
    assert_eq!(list(Some((1, "https://b"))).await, [place(2, "https://a")]);
});
