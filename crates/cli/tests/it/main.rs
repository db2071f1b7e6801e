//! The binary as people run it: started, killed, restarted, asked over HTTP and on the command line.
//!
//! Needs a PostgreSQL server to make databases in: `bash tests/with-postgres.sh cargo test -p keyfob`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, what must not be is a failure"
)]

mod api;
mod database;
mod hotp;
mod process;
mod vault;

mod at_most_once;
mod cli;
mod connection;
mod contact;
mod crash;
mod egress;
mod event;
mod full_disk;
mod help;
mod keys;
mod ledger;
mod leftovers;
mod limits;
mod load;
mod mcp;
mod oauth;
mod outage;
mod refresh_storm;
mod refresh_suite;
mod sdk;
mod sdk_account;
mod secret;
mod secret_input;
mod start;
mod stop;
mod watch;

/// Each test once on SQLite and once on PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::database::Kind::Sqlite).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::database::Kind::Postgres).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
