//! A database of a test's own: a file of SQLite, or a database on the PostgreSQL server of
//! `KEYFOB_TEST_POSTGRES_URL`.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use postgres::{Client, NoTls};

#[derive(Clone)]
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres {
        /// The server's own database, from which others are made.
        admin: String,
        name: String,
    },
}

#[expect(
    clippy::disallowed_methods,
    reason = "which database the tests run on is said by the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Database {
    /// A new database; `data_dir` holds it if it is a file.
    pub(crate) fn new(data_dir: &Path) -> Self {
        match variable("KEYFOB_TEST_DATABASE").as_deref() {
            None | Some("sqlite") => Self::Sqlite(data_dir.join("keyfob.db")),
            Some("postgres") => Self::new_postgres(),
            Some(other) => {
                panic!("KEYFOB_TEST_DATABASE is {other}: it must be sqlite or postgres")
            }
        }
    }

    fn new_postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let admin = variable("KEYFOB_TEST_POSTGRES_URL").expect(
            "KEYFOB_TEST_DATABASE is postgres, but KEYFOB_TEST_POSTGRES_URL does not say where: \
             run bash tests/with-postgres.sh cargo test -p keyfob-server",
        );
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyfob_it_{}_{number}", std::process::id());
        let create = format!("CREATE DATABASE {name}");
        on(&admin, |client| client.batch_execute(&create).unwrap());
        Self::Postgres { admin, name }
    }

    /// For the vault's configuration.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres { admin, name } => {
                let (server, rest) = admin.rsplit_once('/').unwrap();
                let query = rest.find('?').map_or("", |at| &rest[at..]);
                format!("{server}/{name}{query}")
            }
        }
    }

    /// How many units of work run at a time.
    pub(crate) fn writers(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1,
            Self::Postgres { .. } => 2,
        }
    }

    /// Runs statements that both databases understand, past the service.
    pub(crate) fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => sqlite(path).execute_batch(sql).unwrap(),
            Self::Postgres { .. } => on(&self.url(), |client| client.batch_execute(sql).unwrap()),
        }
    }

    /// [`Database::execute`] in one transaction, which is committed when `wait` ends.
    pub(crate) fn transaction(&self, sql: &str, wait: impl FnOnce() + Send) {
        match self {
            Self::Sqlite(path) => {
                let conn = sqlite(path);
                conn.execute_batch(&format!("BEGIN IMMEDIATE; {sql}")).unwrap();
                wait();
                conn.execute_batch("COMMIT").unwrap();
            }
            Self::Postgres { .. } => on(&self.url(), |client| {
                client.batch_execute(&format!("BEGIN; {sql}")).unwrap();
                wait();
                client.batch_execute("COMMIT").unwrap();
            }),
        }
    }

    /// The number that a query answers.
    pub(crate) fn number(&self, query: &str) -> i64 {
        match self {
            Self::Sqlite(path) => sqlite(path).query_row(query, [], |row| row.get(0)).unwrap(),
            Self::Postgres { .. } => {
                on(&self.url(), |client| client.query_one(query, &[]).unwrap().get(0))
            }
        }
    }

    /// How bytes are written in a statement, given as hexadecimal digits.
    pub(crate) fn bytes(&self, digits: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("X'{digits}'"),
            Self::Postgres { .. } => format!("'\\x{digits}'::bytea"),
        }
    }

    /// Changes the bytes that the entry's secret is stored as.
    pub(crate) fn change_secret(&self, id: &str, change: impl FnOnce(&mut Vec<u8>) + Send) {
        self.change_sealed(("totp", "secret"), id, change);
    }

    /// Changes the bytes that are stored in a column of the table's row with this id.
    pub(crate) fn change_sealed(
        &self,
        (table, column): (&str, &str),
        id: &str,
        change: impl FnOnce(&mut Vec<u8>) + Send,
    ) {
        let select = format!("SELECT {column} FROM {table} WHERE id = $1");
        let update = format!("UPDATE {table} SET {column} = $2 WHERE id = $1");
        match self {
            Self::Sqlite(path) => {
                let conn = sqlite(path);
                let [select, update] = [select, update].map(|sql| sql.replace('$', "?"));
                let mut sealed = conn.query_row(&select, [id], |row| row.get(0)).unwrap();
                change(&mut sealed);
                assert_eq!(conn.execute(&update, (id, &sealed)).unwrap(), 1);
            }
            Self::Postgres { .. } => on(&self.url(), |client| {
                let mut sealed = client.query_one(&select, &[&id]).unwrap().get(0);
                change(&mut sealed);
                assert_eq!(client.execute(&update, &[&id, &sealed]).unwrap(), 1);
            }),
        }
    }

    /// Every text and every byte string of a PostgreSQL database; the data directory has SQLite's.
    pub(crate) fn dump(&self) -> Vec<u8> {
        match self {
            Self::Sqlite(_) => Vec::new(),
            Self::Postgres { .. } => on(&self.url(), dump),
        }
    }

    /// Removes a database that is not in the data directory.
    pub(crate) fn remove(&self) {
        if let Self::Postgres { admin, name } = self {
            let remove = format!("DROP DATABASE {name} WITH (FORCE)");
            on(admin, |client| client.batch_execute(&remove).unwrap());
        }
    }
}

fn sqlite(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    conn
}

/// On a thread of its own: the driver must not be started inside a runtime.
fn on<T: Send>(url: &str, work: impl FnOnce(&mut Client) -> T + Send) -> T {
    let run = || work(&mut Client::connect(url, NoTls).unwrap());
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn dump(client: &mut Client) -> Vec<u8> {
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns
                   WHERE table_schema = 'public' AND data_type IN ('text', 'character varying', 'bytea')";
    let mut bytes = Vec::new();
    for column in client.query(columns, &[]).unwrap() {
        let [table, name, kind]: [String; 3] = [0, 1, 2].map(|index| column.get(index));
        let value = match kind.as_str() {
            "bytea" => format!("\"{name}\""),
            _ => format!("convert_to(\"{name}\", 'UTF8')"),
        };
        let select = format!("SELECT {value} FROM \"{table}\"");
        for row in client.query(&select, &[]).unwrap() {
            bytes.extend(row.get::<_, Option<Vec<u8>>>(0).unwrap_or_default());
            bytes.push(b'\n');
        }
    }
    assert!(bytes.len() > 100, "the dump of the database has nothing in it");
    bytes
}
