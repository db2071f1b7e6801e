//! Where the database is, and how a connection to it is made and set up.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use rusqlite::{ErrorCode, OpenFlags};
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    conn::Conn,
    error::{Cause, Failure, Fault, StoreError},
    postgres::PostgresConn,
};

/// How long SQLite waits for another process that writes.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long each host of PostgreSQL may take to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A TCP connection is given up when what was sent is not acknowledged for so long, and asked for a
/// sign of life when it was silent for so long.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(30);
/// Prepared statements kept by each SQLite connection: all there are.
const STATEMENTS: usize = 64;

/// A database: `sqlite:PATH` or `postgres://…`.
#[derive(Clone)]
pub enum Target {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Arc<Server>),
}

/// A PostgreSQL server and how to reach it.
pub struct Server {
    config: Config,
    tls: MakeRustlsConnect,
}

impl FromStr for Target {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(StoreError::Open("the database URL names no file: sqlite:PATH".into()));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let text = "the database URL must start with sqlite: or postgres://";
            return Err(StoreError::Open(text.into()));
        }
        // The parser's own error may quote the URL, and with it the password.
        let mut config = Config::from_str(url)
            .map_err(|_| StoreError::Open("the postgres:// database URL is malformed".into()))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED);
        }
        config.keepalives_idle(config.get_keepalives_idle().min(IDLE));
        config.application_name("keyfob");
        Ok(Self::Postgres(Arc::new(Server { tls: tls(&config)?, config })))
    }
}

impl Target {
    /// A new connection, set up.
    pub(crate) fn connect(&self) -> Result<Conn, Failure> {
        match self {
            Self::Sqlite(path) => Ok(Conn::Sqlite(open_sqlite(path)?)),
            Self::Postgres(server) => {
                let Server { config, tls } = &**server;
                Ok(Conn::Postgres(Box::new(PostgresConn::connect(config, tls.clone())?)))
            }
        }
    }

    /// A new connection that only reads, of which every thread of callers has one.
    pub(crate) fn connect_reader(&self) -> Result<Conn, Failure> {
        let conn = self.connect()?;
        if let Conn::Sqlite(conn) = &conn {
            // What stays in the processor's own cache is all that pays: of a large file the upper
            // pages do, and the lower ones are read from the kernel's copy as fast as from one here.
            conn.execute_batch("PRAGMA cache_size = -1000;")?;
        }
        Ok(conn)
    }
}

fn tls(config: &Config) -> Result<MakeRustlsConnect, StoreError> {
    let failed = |error: Cause| StoreError::Open(format!("TLS cannot be set up: {error}"));
    let mut roots = rustls::RootCertStore::empty();
    if config.get_ssl_mode() != SslMode::Disable && has_tcp_host(config) {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn has_tcp_host(config: &Config) -> bool {
    config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)))
}

/// Makes the file, readable by its owner only, if there is none.
pub(crate) fn make_file(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Open(format!("{} cannot be made: {error}", path.display()));
    // Only if it is new: closing a file gives up every lock that this process has on it, those of
    // other connections too, and another process would delete the log under them.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Opens the file. It has to be there: one that went away must not be made anew, empty.
fn open_sqlite(path: &Path) -> Result<rusqlite::Connection, Failure> {
    let flags = OpenFlags::default().difference(OpenFlags::SQLITE_OPEN_CREATE);
    let conn = rusqlite::Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    check_is_database(&conn, path)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // The write-ahead log lets readers and the writer work at the same time; `FULL` waits for the
    // disk at each commit; `secure_delete` overwrites what was deleted. The cache is 8 MiB at
    // most: what one commit changes is to fit.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON; PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(conn)
}

/// Reads the beginning of the file: SQLite opens any file, and only then sees what it is. Its own
/// words for one that is no database do not name it.
pub(crate) fn check_is_database(conn: &rusqlite::Connection, path: &Path) -> Result<(), Failure> {
    let read = conn.pragma_query_value(None, "schema_version", |_| Ok(()));
    read.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Failure {
            fault: Fault::Unit,
            error: StoreError::Open(format!(
                "{} is not a database of SQLite, or is damaged: name another file (`sqlite:PATH`, or another data directory), or put a backup in its place. Nothing was changed",
                path.display(),
            )),
        },
        _ => error.into(),
    })
}

/// Held while the database is migrated, so that two processes that start at once do it one by one.
pub(crate) fn lock_file(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = options.open(&name).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|error| StoreError::Open(format!("{} cannot be locked: {error}", name.display())))
}
