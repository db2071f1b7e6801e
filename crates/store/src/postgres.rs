//! A connection to PostgreSQL for a thread without a runtime, on which nothing waits for ever.
//!
//! The driver is asynchronous; each call here runs it on this thread until the answer is there. A
//! server that takes no notice any more, whose machine froze or whose disk hangs, neither answers nor
//! breaks the connection: after [`ANSWER_WITHIN`] the connection counts as lost.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use futures_util::TryStreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, Row, Statement, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    conn::Sql,
    error::{Failure, Fault, StoreError},
};

/// How long the server may take to answer one statement. Longer than [`STATEMENT_WITHIN`], so that a
/// server that is only slow can say so itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the server may take to let a connection in, all of its hosts together.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What every session is told: to wait for the disk at each commit; to give up slow statements; and to
/// end a transaction whose client was frozen in it, because it holds locks.
const SESSION: &str = "SET synchronous_commit = on;
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '8s';
    SET idle_in_transaction_session_timeout = '30s'";

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection, set up, with the statements that were prepared on it.
pub(crate) struct PostgresConn {
    wire: Wire,
    client: Client,
    statements: HashMap<usize, Statement>,
    /// The server process behind this connection.
    pub(crate) backend: Backend,
}

/// A server process: numbers are used again, so its start belongs to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    process: i32,
    /// Microseconds since 1970.
    started: i64,
}

/// What moves the connection's bytes.
struct Wire {
    runtime: Runtime,
    connection: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
    /// Whether the connection has ended, or has to be taken for lost.
    is_lost: bool,
    answer_within: Option<Duration>,
}

impl Wire {
    /// Runs the connection until `work` is done.
    fn wait<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let Self { runtime, connection, is_lost, answer_within } = self;
        let mut work = pin!(work);
        let both = std::future::poll_fn(|context| {
            if !*is_lost && let Poll::Ready(ended) = connection.as_mut().poll(context) {
                *is_lost = true;
                if let Err(error) = ended {
                    return Poll::Ready(Err(error));
                }
            }
            work.as_mut().poll(context)
        });
        let done = runtime.block_on(async {
            match answer_within {
                None => Some(both.await),
                Some(limit) => tokio::time::timeout(*limit, both).await.ok(),
            }
        });
        let Some(done) = done else {
            // Its answer may still come, and would be taken for that of the next statement.
            self.is_lost = true;
            return Err(lost("the database does not answer"));
        };
        Ok(done?)
    }
}

fn lost(text: &'static str) -> Failure {
    Failure { fault: Fault::Lost, error: StoreError::Unavailable(text.into()) }
}

impl PostgresConn {
    /// Connects. Not to be called inside a runtime.
    pub(crate) fn connect(config: &Config, tls: MakeRustlsConnect) -> Result<Self, Failure> {
        // Whatever the reason, a server that does not let us in now may do so in a moment.
        let away = |cause: crate::Cause| Failure {
            fault: Fault::Lost,
            error: StoreError::Unavailable(cause),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| away(error.into()))?;
        let connected = runtime
            .block_on(async { tokio::time::timeout(CONNECT_WITHIN, config.connect(tls)).await });
        let connected = connected.map_err(|_| lost("the database does not let us in"))?;
        let (client, connection) = connected.map_err(|error| away(error.into()))?;
        let connection = Box::pin(connection);
        let wire = Wire { runtime, connection, is_lost: false, answer_within: Some(ANSWER_WITHIN) };
        let backend = Backend { process: 0, started: 0 };
        let mut conn = Self { wire, client, statements: HashMap::new(), backend };
        conn.set_up().map_err(|failure| Failure { fault: Fault::Lost, ..failure })?;
        Ok(conn)
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        self.control(SESSION)?;
        let who = "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint
             FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let row = self.wire.wait(self.client.query_one(who, &[]))?;
        self.backend = Backend { process: row.get(0), started: row.get(1) };
        Ok(())
    }

    /// Ends a server process of another connection; `false` if it is gone already.
    pub(crate) fn end(&mut self, Backend { process, started }: Backend) -> Result<bool, Failure> {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2";
        let ended = self.wire.wait(self.client.query(end, &[&process, &started]))?;
        Ok(!ended.is_empty())
    }

    /// Whether it has to be made anew.
    pub(crate) fn is_lost(&self) -> bool {
        self.wire.is_lost || self.client.is_closed()
    }

    /// Gives statements as long as they take: migrations may have to rewrite a table.
    pub(crate) fn without_limits(&mut self) -> Result<(), Failure> {
        self.wire.answer_within = None;
        self.control("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    }

    /// Runs asynchronous work on the client to its end.
    pub(crate) fn drive<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> T,
    ) -> Result<T, Failure> {
        let client = &mut self.client;
        self.wire.wait(async { Ok(work(client).await) })
    }

    /// Runs statements without parameters and without an answer.
    pub(crate) fn control(&mut self, statements: &str) -> Result<(), Failure> {
        self.wire.wait(self.client.batch_execute(statements))
    }

    /// Runs a statement that changes rows; how many it changed.
    pub(crate) fn execute(&mut self, sql: Sql, params: Params<'_>) -> Result<u64, Failure> {
        let statement = self.prepared(sql)?;
        self.wire.wait(self.client.execute(&statement, params))
    }

    /// Runs a statement that answers rows, and hands them on one by one, so that no more than one is
    /// held here. Those that are not wanted any more are taken off the wire all the same: the server would
    /// wait with them, in its transaction.
    pub(crate) fn query(
        &mut self,
        sql: Sql,
        params: Params<'_>,
        each: &mut dyn FnMut(&Row) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let statement = self.prepared(sql)?;
        let client = &self.client;
        self.wire.wait(async {
            let params = params.iter().copied();
            let mut rows = pin!(client.query_raw(&statement, params).await?);
            let mut flow = ControlFlow::Continue(());
            while let Some(row) = rows.try_next().await? {
                if flow.is_continue() {
                    flow = each(&row);
                }
            }
            Ok(())
        })
    }

    fn prepared(&mut self, sql: Sql) -> Result<Statement, Failure> {
        let address = sql.postgres.as_ptr().addr();
        if let Some(statement) = self.statements.get(&address) {
            return Ok(statement.clone());
        }
        let statement = self.wire.wait(self.client.prepare(sql.postgres))?;
        self.statements.insert(address, statement.clone());
        Ok(statement)
    }
}
