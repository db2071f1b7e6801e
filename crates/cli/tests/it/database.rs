//! A database of a test's own, and what is in it past the service.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use data_encoding::HEXLOWER;
use postgres::{Client, NoTls, SimpleQueryMessage};
use rusqlite::types::ValueRef;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A database of a test's own. Dropping it removes it.
pub(crate) enum Database {
    /// In the vault's data directory.
    Sqlite(PathBuf),
    Postgres(String),
}

/// The PostgreSQL server's own database, from which others are made.
fn admin() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "where PostgreSQL is, is said by the environment"
    )]
    let url = std::env::var("KEYFOB_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty());
    url.expect(
        "KEYFOB_TEST_POSTGRES_URL does not say where a PostgreSQL server is: \
         run bash tests/with-postgres.sh cargo test -p keyfob",
    )
}

impl Database {
    pub(crate) fn new(kind: Kind, data_dir: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if kind == Kind::Sqlite {
            return Self::Sqlite(data_dir.join("keyfob.db"));
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = Self::Postgres(format!("keyfob_cli_{}_{number}", std::process::id()));
        database.administer("CREATE DATABASE {}");
        database
    }

    /// For `KEYFOB_DATABASE_URL`; `None` for what is the default.
    pub(crate) fn url(&self) -> Option<String> {
        let Self::Postgres(name) = self else {
            return None;
        };
        let admin = admin();
        let (server, rest) = admin.rsplit_once('/').unwrap();
        let query = rest.find('?').map_or("", |at| &rest[at..]);
        Some(format!("{server}/{name}{query}"))
    }

    /// Runs a statement on the PostgreSQL server, with the database's name for `{}`.
    pub(crate) fn administer(&self, statement: &str) {
        if let Self::Postgres(name) = self {
            let statement = statement.replace("{}", name);
            on(&admin(), |client| client.batch_execute(&statement).unwrap());
        }
    }

    /// The rows of a query that both databases understand, every column as text.
    pub(crate) fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(path) => sqlite_rows(path, query),
            Self::Postgres(_) => on(&self.url().unwrap(), |client| postgres_rows(client, query)),
        }
    }

    /// What `pg_dump` writes.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let url = self.url().expect("only PostgreSQL has dumps");
        let dump = Command::new("pg_dump").arg(url).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        dump.stdout
    }

    /// Every page of a SQLite file, looked at. PostgreSQL has nothing like it.
    pub(crate) fn check_integrity(&self) {
        if let Self::Sqlite(_) = self {
            assert_eq!(self.rows("PRAGMA integrity_check"), [["ok"]]);
            assert_eq!(self.rows("PRAGMA foreign_key_check"), Vec::<Vec<String>>::new());
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.administer("DROP DATABASE IF EXISTS {} WITH (FORCE)");
    }
}

fn sqlite_rows(path: &Path, query: &str) -> Vec<Vec<String>> {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let mut statement = conn.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns).map(|column| Ok(sqlite_text(row.get_ref(column)?))).collect()
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// As PostgreSQL writes it.
fn sqlite_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.into()).unwrap(),
        ValueRef::Blob(bytes) => format!("\\x{}", HEXLOWER.encode(bytes)),
    }
}

fn postgres_rows(client: &mut Client, query: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(query).unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        (0..row.len()).map(|column| row.get(column).unwrap_or_default().into()).collect()
    })
    .collect()
}

/// On a thread of its own: the driver must not be started inside a runtime.
fn on<T: Send>(url: &str, work: impl FnOnce(&mut Client) -> T + Send) -> T {
    let run = || work(&mut Client::connect(url, NoTls).unwrap());
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
