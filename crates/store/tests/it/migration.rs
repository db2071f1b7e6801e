//! What happens when a store is opened.

use std::sync::Barrier;

use keyfob_store::{Options, Store, StoreError};

use crate::{
    bench::{change, runtime},
    database::Database,
    sample::store_account,
};

fn both(case: impl Fn(&Database)) {
    case(&Database::sqlite());
    case(&Database::postgres());
}

fn open_at_once(database: &Database, count: u32) -> Vec<Result<Store, StoreError>> {
    let barrier = Barrier::new(usize::try_from(count).unwrap());
    std::thread::scope(|scope| {
        let open = || {
            barrier.wait();
            database.open()
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(open)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect()
    })
}

#[test]
fn stores_that_open_a_new_database_at_once_all_succeed() {
    both(|database| {
        let runtime = runtime();
        for (number, store) in (0..).zip(open_at_once(database, 6)) {
            let store = store.unwrap();
            let write = change(store.clone(), move |tx| store_account(tx, number));
            runtime.block_on(write).unwrap();
            store.close();
        }
        assert_eq!(database.number("SELECT count(*) FROM account"), 6);
    });
}

#[test]
fn two_stores_that_open_a_new_file_at_once_both_succeed_every_time() {
    for _ in 0..20 {
        let database = Database::sqlite();
        for store in open_at_once(&database, 2) {
            store.unwrap().close();
        }
    }
}

#[test]
fn a_database_that_is_there_is_opened_again_with_what_it_holds() {
    both(|database| {
        for number in 0..2 {
            let store = database.open().unwrap();
            let write = change(store.clone(), move |tx| store_account(tx, number));
            runtime().block_on(write).unwrap();
            store.close();
        }
        assert_eq!(database.number("SELECT count(*) FROM account"), 2);
    });
}

fn refusal(database: &Database) -> String {
    match database.open() {
        Ok(_) => panic!("the database was opened"),
        Err(StoreError::Open(text)) => text,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_in_words() {
    both(|database| {
        database.open().unwrap().close();
        database.execute(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
             VALUES (999, 'of_the_future', '2030-01-01T00:00:00Z', '1')",
        );
        let text = refusal(database);
        assert!(text.contains("another version of Keyfob"), "{text}");
        assert!(text.contains("of_the_future"), "{text}");
        // And left as it was.
        let history = "SELECT count(*) FROM refinery_schema_history WHERE version = 999";
        assert_eq!(database.number(history), 1);
    });
}

#[test]
fn a_database_whose_migration_was_another_is_refused_in_words() {
    both(|database| {
        database.open().unwrap().close();
        database.execute("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1");
        let text = refusal(database);
        assert!(text.contains("another version of Keyfob"), "{text}");
    });
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let database = Database::sqlite();
    let Database::Sqlite(dir) = &database else {
        unreachable!("SQLite");
    };
    let file = crate::database::file(dir.path());
    let text = "this is no database, but somebody's file".repeat(100);
    std::fs::write(&file, &text).unwrap();
    assert!(database.open().is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_store_that_may_not_migrate_refuses_an_empty_database_and_leaves_it_empty() {
    both(|database| {
        let options = Options { may_migrate: false, ..Options::new([0; 16]) };
        let refused = Store::open(&database.target(), &options).err();
        assert!(matches!(&refused, Some(StoreError::Open(text)) if text.contains("keyfob serve")));
        database.open().unwrap().close();
        Store::open(&database.target(), &options).unwrap().close();
    });
}
