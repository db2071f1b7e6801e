//! A fresh database for each test, and a connection to it that is not the store's.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use keyfob_store::{Options, Store, StoreError, Target};
use postgres::{Client, NoTls, SimpleQueryMessage};
use tempfile::TempDir;

/// A database of its own, gone when this is dropped.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres { admin: String, name: String },
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(TempDir::new().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyfob_store_{}_{number}", std::process::id());
        let admin = postgres_url();
        outside(|| connect(&admin).batch_execute(&format!("CREATE DATABASE {name}"))).unwrap();
        Self::Postgres { admin, name }
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// The URL that Keyfob is configured with.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite:{}", file(dir.path()).display()),
            Self::Postgres { admin, name } => with_name(admin, name),
        }
    }

    pub(crate) fn target(&self) -> Target {
        self.url().parse().unwrap()
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        static WRITER: AtomicU32 = AtomicU32::new(1);
        let mut process = [0; 16];
        process[..4].copy_from_slice(&WRITER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        Store::open(&self.target(), &Options::new(process))
    }

    /// Runs statements on a connection of the test's own.
    pub(crate) fn execute(&self, statements: &str) {
        match self {
            Self::Sqlite(dir) => self::sqlite(dir.path()).execute_batch(statements).unwrap(),
            Self::Postgres { .. } => {
                outside(|| connect(&self.url()).batch_execute(statements)).unwrap();
            }
        }
    }

    /// The rows of a query as text, on a connection of the test's own.
    pub(crate) fn rows(&self, query: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(dir) => {
                let conn = self::sqlite(dir.path());
                let mut statement = conn.prepare(query).unwrap();
                let columns = statement.column_count();
                let row = |row: &rusqlite::Row<'_>| {
                    (0..columns).map(|at| row.get_ref(at).map(text)).collect::<Result<Vec<_>, _>>()
                };
                let rows = statement.query_map([], row).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Self::Postgres { .. } => {
                let answer = outside(|| connect(&self.url()).simple_query(query)).unwrap();
                let row = |message| match message {
                    SimpleQueryMessage::Row(row) => Some(
                        (0..row.len()).map(|at| row.get(at).unwrap_or("null").to_owned()).collect(),
                    ),
                    _ => None,
                };
                answer.into_iter().filter_map(row).collect()
            }
        }
    }

    /// Whether PostgreSQL lets anyone in; if not, who is in is thrown out.
    pub(crate) fn lets_in(&self, anyone: bool) {
        let Self::Postgres { admin, name } = self else {
            unreachable!("a test of PostgreSQL");
        };
        let allow = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {anyone}");
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        let end = if anyone { "" } else { &end };
        outside(|| {
            let mut admin = connect(admin);
            admin.batch_execute(&allow)?;
            admin.batch_execute(end)
        })
        .unwrap();
    }

    /// The first column of a query's rows.
    pub(crate) fn column(&self, query: &str) -> Vec<String> {
        let first = |row: Vec<String>| row.into_iter().next().unwrap();
        self.rows(query).into_iter().map(first).collect()
    }

    /// The number a query answers.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.column(query)[0].parse().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Postgres { admin, name } = self {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let dropped = outside(|| connect(admin).batch_execute(&drop));
            assert!(std::thread::panicking() || dropped.is_ok(), "{dropped:?}");
        }
    }
}

/// A file of SQLite in the test's directory.
pub(crate) fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("keyfob.db")
}

pub(crate) fn sqlite(dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(file(dir)).unwrap()
}

fn text(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one variable that these tests are configured with"
)]
pub(crate) fn postgres_url() -> String {
    std::env::var("KEYFOB_TEST_POSTGRES_URL").expect(
        "KEYFOB_TEST_POSTGRES_URL names no PostgreSQL to test on; \
         run `bash tests/with-postgres.sh cargo test -p keyfob-store`",
    )
}

/// The URL with another database's name.
pub(crate) fn with_name(url: &str, name: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let (server, _) = base.rsplit_once('/').expect("postgres://SERVER/DATABASE");
    format!("{server}/{name}{query}")
}

/// A connection of the test's own. To be used inside [`outside`] only.
pub(crate) fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}

/// Runs `work` on a thread without a runtime, where the synchronous driver may block.
pub(crate) fn outside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap()
}
