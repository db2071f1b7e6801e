//! The store's contract: every test runs on SQLite and on PostgreSQL, unless it is about one.
//!
//! PostgreSQL is found in `KEYFOB_TEST_POSTGRES_URL`, which `tests/with-postgres.sh` sets. Without
//! it those cases fail; none is ever skipped.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

/// A test on both databases: `on_both!(it_does_that, async |bench| { … })` is `it_does_that::sqlite`
/// and `it_does_that::postgres`, each with a fresh database.
macro_rules! on_both {
    ($name:ident, $case:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn sqlite() {
                crate::bench::run(crate::database::Database::sqlite(), $case);
            }

            #[test]
            fn postgres() {
                crate::bench::run(crate::database::Database::postgres(), $case);
            }
        }
    };
}

mod bench;
mod database;
mod sample;
mod wire;

mod account;
mod authentication;
mod connection;
mod contact;
mod creation;
mod data_key;
mod deletion;
mod event;
mod key;
mod refresh;
mod registration;
mod removal;
mod request;
mod revocation;
mod revocation_worker;
mod sealed;
mod secret;
mod totp;
mod usage;
mod vault;

mod batch;
mod chain;
mod frozen;
mod later;
mod lock;
mod log;
mod look;
mod lost;
mod lost_commit;
mod migration;
mod queue;
mod schema;
mod sqlite;
mod target;
mod tidy;
mod unit;
