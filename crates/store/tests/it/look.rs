//! A look at which master key a database is bound to, which leaves everything as it is.

use keyfob_core::crypto::MasterKeyId;
use keyfob_store::{Options, Store, StoreError, vault};

use crate::{
    database::{self, Database},
    sample::at,
};

const NAMES: &str = "SELECT count(*) FROM sqlite_master";
const TABLES: &str = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";

/// How many tables and the like there are.
fn objects(database: &Database) -> i64 {
    database.number(if database.is_postgres() { TABLES } else { NAMES })
}

#[track_caller]
fn bound_to(database: &Database) -> Option<MasterKeyId> {
    Store::bound_to(&database.target()).unwrap()
}

/// The files of a database of SQLite, with what they hold.
fn files(database: &Database) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let Database::Sqlite(dir) = database else {
        return Vec::new();
    };
    let files = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
    let mut files: Vec<_> =
        files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn a_file_that_is_not_there_is_bound_to_nothing_and_is_not_made() {
    let database = Database::sqlite();
    assert_eq!(bound_to(&database), None);
    assert_eq!(files(&database), []);
    let nowhere = "sqlite:/nowhere/at/all/keyfob.db".parse().unwrap();
    assert_eq!(Store::bound_to(&nowhere).unwrap(), None);
}

#[test]
fn an_empty_file_is_bound_to_nothing_and_stays_empty() {
    let database = Database::sqlite();
    let Database::Sqlite(dir) = &database else {
        unreachable!("SQLite");
    };
    std::fs::write(database::file(dir.path()), "").unwrap();
    assert_eq!(bound_to(&database), None);
    assert_eq!(files(&database), [("keyfob.db".into(), Vec::new())]);
}

#[test]
fn an_empty_database_is_bound_to_nothing_and_stays_empty() {
    let database = Database::postgres();
    assert_eq!(bound_to(&database), None);
    assert_eq!(objects(&database), 0);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let database = Database::sqlite();
    let Database::Sqlite(dir) = &database else {
        unreachable!("SQLite");
    };
    let text = "this is no database, but somebody's file".repeat(100);
    std::fs::write(database::file(dir.path()), &text).unwrap();
    let looked = Store::bound_to(&database.target()).map(drop);
    assert_eq!(files(&database), [("keyfob.db".into(), text.clone().into_bytes())]);
    let options = Options { may_migrate: false, ..Options::new([0; 16]) };
    let opened = Store::open(&database.target(), &options).map(drop);
    assert_eq!(std::fs::read(database::file(dir.path())).unwrap(), text.into_bytes());
    for refused in [looked, opened] {
        let Err(StoreError::Open(text)) = refused else { panic!("{refused:?}") };
        let file = database::file(dir.path()).display().to_string();
        assert!(text.starts_with(&format!("{file} is not a database of SQLite")), "{text}");
    }
}

#[test]
fn a_path_through_a_file_is_refused_in_words() {
    let database = Database::sqlite();
    let Database::Sqlite(dir) = &database else {
        unreachable!("SQLite");
    };
    let file = database::file(dir.path());
    std::fs::write(&file, "").unwrap();
    let below = format!("sqlite:{}/keyfob.db", file.display()).parse().unwrap();
    let Err(StoreError::Open(text)) = Store::bound_to(&below) else {
        panic!("a file is no directory");
    };
    assert!(text.contains("keyfob.db/keyfob.db cannot be read"), "{text}");
}

#[test]
fn an_older_version_is_looked_at_and_not_migrated() {
    for database in [Database::sqlite(), Database::postgres()] {
        database.execute(
            "CREATE TABLE vault (id BIGINT PRIMARY KEY, master_key_id TEXT NOT NULL);
             INSERT INTO vault (id, master_key_id) VALUES (1, 'the first')",
        );
        let before = (objects(&database), files(&database));
        assert_eq!(bound_to(&database), Some(MasterKeyId::from_stored("the first".into())));
        assert_eq!((objects(&database), files(&database)), before);
    }
}

on_both!(a_database_is_looked_at_while_it_is_in_use, async |bench| {
    assert_eq!(bound_to(&bench.database), None);
    let bind = |tx: &mut keyfob_store::WriteTx<'_>| {
        vault::insert(tx, &MasterKeyId::from_stored("the first".into()), at(1))
    };
    bench.change(bind).await.unwrap();
    assert_eq!(bound_to(&bench.database), Some(MasterKeyId::from_stored("the first".into())));
});

#[test]
fn a_database_that_is_away_is_no_new_one() {
    let away = "postgres://keyfob@127.0.0.1:1/keyfob".parse().unwrap();
    let failed = Store::bound_to(&away);
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
}
