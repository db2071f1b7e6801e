//! A throwaway PostgreSQL cluster.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::{context::HOME, process};

const VARIABLE: &str = "KEYFOB_TEST_POSTGRES_URL";

/// A PostgreSQL cluster to make databases in.
#[derive(Debug)]
pub(crate) struct Cluster {
    url: String,
    /// The first process of the cluster.
    pub(crate) pid: u32,
    /// Its version and what its files lie on.
    pub(crate) about: String,
    keeper: Option<Keeper>,
}

/// The script that holds the cluster. It stops it when its input ends, however this process ends.
#[derive(Debug)]
struct Keeper {
    child: Child,
    input: ChildStdin,
}

impl Cluster {
    /// Takes the cluster that the environment names, or starts one.
    pub(crate) async fn start() -> Result<Self> {
        let (url, keeper) = if let Some(url) = std::env::var_os(VARIABLE) {
            (url.to_string_lossy().into_owned(), None)
        } else {
            let (keeper, url) = Keeper::start().await?;
            (url, Some(keeper))
        };
        ensure!(
            url.contains("%2F") || url.contains("%2f") || url.contains("host=/"),
            "{VARIABLE} does not name a unix socket"
        );
        let mut cluster = Self { url, pid: 0, about: String::new(), keeper };
        let version = cluster.sql("SHOW server_version").await?;
        let version = version.split_whitespace().next().unwrap_or_default();
        let folder = cluster.sql("SHOW data_directory").await?;
        let files = process::file_system(Path::new(&folder)).await?;
        cluster.about = format!("PostgreSQL {version}, files on {files}");
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = cluster.sql(&format!("SHOW {setting}")).await?;
            ensure!(value == "on", "{setting} is {value}: durable figures would be untrue");
        }
        // Any lasting process of the cluster knows its parent.
        let pid = cluster
            .sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
            .await?;
        cluster.pid = process::usage(&pid)?.parent;
        Ok(cluster)
    }

    /// Makes an empty database and returns its address.
    pub(crate) async fn database(&self, name: &str) -> Result<String> {
        self.remove(name).await?;
        self.sql(&format!("CREATE DATABASE {name}")).await?;
        with_database(&self.url, name)
    }

    /// Removes a database.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.sql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        Ok(())
    }

    /// Stops what was started here.
    pub(crate) async fn stop(self) -> Result<()> {
        if let Some(mut keeper) = self.keeper {
            drop(keeper.input);
            timeout(Duration::from_mins(1), keeper.child.wait())
                .await
                .context("PostgreSQL did not stop within 60 s")??;
        }
        Ok(())
    }

    async fn sql(&self, statement: &str) -> Result<String> {
        let mut psql = Command::new("psql");
        psql.args([&self.url, "-XAtqc", statement, "-v", "ON_ERROR_STOP=1"]);
        Ok(process::output(psql).await?.trim().to_owned())
    }
}

impl Keeper {
    async fn start() -> Result<(Self, String)> {
        let script = Path::new(HOME).join("..").join("tests").join("with-postgres.sh");
        if !script.is_file() {
            bail!("tests/with-postgres.sh is missing and {VARIABLE} is not set");
        }
        let mut child = Command::new("bash")
            .arg(script)
            .args(["sh", "-c", &format!("echo \"${VARIABLE}\"; cat >/dev/null")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("bash cannot be started")?;
        let input = child.stdin.take().context("no input")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let url = timeout(Duration::from_mins(2), lines.next_line())
            .await
            .context("PostgreSQL did not start within 120 s")??
            .context("tests/with-postgres.sh failed; what it says stands above")?;
        Ok((Self { child, input }, url))
    }
}

/// The same address with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (address, options) = url.split_once('?').map_or((url, ""), |(url, options)| (url, options));
    let (scheme, rest) = address.split_once("://").context("not an address of a database")?;
    let host = rest.split('/').next().unwrap_or_default();
    let mark = if options.is_empty() { "" } else { "?" };
    Ok(format!("{scheme}://{host}/{name}{mark}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_exchanged() -> Result<()> {
        for (url, expected) in [
            ("postgres://u@%2Ftmp%2Fx:1/postgres", "postgres://u@%2Ftmp%2Fx:1/new"),
            ("postgres://u@%2Ftmp", "postgres://u@%2Ftmp/new"),
            ("postgresql:///old?host=/run/x&user=u", "postgresql:///new?host=/run/x&user=u"),
        ] {
            assert_eq!(with_database(url, "new")?, expected);
        }
        assert!(with_database("nonsense", "new").is_err());
        Ok(())
    }
}
