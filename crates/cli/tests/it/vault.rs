//! A vault of a test's own.

use std::{path::PathBuf, process::Command};

use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    database::{Database, Kind},
    process::{Ended, Server, keyfob, run},
};

/// A vault that does not exist yet: the first command makes it.
pub(crate) struct Vault {
    // Before the directory: SQLite's file is in there.
    pub(crate) database: Database,
    dir: TempDir,
}

/// A key as `keyfob key create --json` prints it.
#[derive(Clone, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) role: String,
    pub(crate) name: String,
}

impl Vault {
    pub(crate) fn new(kind: Kind) -> Self {
        let dir = TempDir::new().unwrap();
        Self { database: Database::new(kind, &dir.path().join("data")), dir }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn master_key_file(&self) -> PathBuf {
        self.data_dir().join("master.key")
    }

    /// The binary on this vault.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = keyfob(args);
        command.current_dir(self.dir.path()).env("KEYFOB_DATA_DIR", self.data_dir());
        if let Some(url) = self.database.url() {
            command.env("KEYFOB_DATABASE_URL", url);
        }
        command
    }

    /// The server on this vault, on whatever port is free.
    pub(crate) fn server(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = self.command(&["serve"]);
        command.env("KEYFOB_LISTEN", "127.0.0.1:0").envs(variables.iter().copied());
        command
    }

    /// A server that listens.
    #[track_caller]
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    #[track_caller]
    pub(crate) fn serve_with(&self, variables: &[(&str, &str)]) -> Server {
        Server::start(self.server(variables)).expect("the server starts")
    }

    /// Runs a command on this vault to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(self.command(args))
    }

    /// A new key, made on the database itself.
    #[track_caller]
    pub(crate) fn key(&self, role: &str) -> Key {
        let made = self.run(&["key", "create", "--role", role, "--name", "a test's", "--json"]);
        serde_json::from_value(made.json()).unwrap()
    }

    /// Fails where the audit trail is not as it was written.
    #[track_caller]
    pub(crate) fn check_trail(&self) {
        let Ended { status, stdout, stderr } = self.run(&["event", "verify"]);
        assert_eq!(status, Some(0), "{stdout}{stderr}");
    }

    /// Fails where `keyfob doctor` finds something.
    #[track_caller]
    pub(crate) fn check_health(&self) {
        let Ended { status, stdout, stderr } = self.run(&["doctor"]);
        assert_eq!(status, Some(0), "{stdout}{stderr}");
    }
}
