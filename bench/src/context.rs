//! What every section needs: paths, options, and a folder of its own that disappears.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    args::Args,
    process::{Server, file_system, output},
    report,
};

/// The folder `bench/` of the repository.
pub(crate) const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// What every section needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) keyfob: PathBuf,
    pub(crate) hello: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) circumstances: Value,
    /// On the disk of the repository: what is to be durable must not lie in memory.
    scratch: Scratch,
}

impl Context {
    /// Checks that all is there that the run will need, before it takes long.
    pub(crate) async fn prepare(args: Args) -> Result<Self> {
        let beside = std::env::current_exe()?;
        let beside = beside.parent().context("this binary lies nowhere")?;
        let keyfob = args.keyfob.clone().unwrap_or_else(|| beside.join("keyfob"));
        let hello = beside.join("hello");
        for binary in [&keyfob, &hello] {
            if !binary.is_file() {
                bail!("{} is missing: build it with cargo build --release", binary.display());
            }
        }
        let mut version = Command::new(&keyfob);
        version.arg("--version");
        let version = output(version).await?;
        let mut date = Command::new("date");
        date.args(["-u", "+%Y-%m-%d %H:%M UTC"]);
        let date = output(date).await?;
        // It prints its version and leaves with status 1.
        Command::new("wrk")
            .arg("--version")
            .output()
            .await
            .context("wrk is missing: bash tests/install.sh bench")?;
        let scratch = Scratch::new()?;
        if file_system(&scratch.0).await? == "tmpfs" {
            bail!("bench/.cache lies in memory: nothing would be durable there");
        }
        let out = args.out.clone().unwrap_or_else(|| Path::new(HOME).join("results"));
        let circumstances = report::circumstances(date.trim(), version.trim());
        Ok(Self { args, keyfob, hello, out, circumstances, scratch })
    }

    /// A new folder for one server's data.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scratch.0.join(name);
        fs::create_dir(&folder).with_context(|| format!("the folder {name} cannot be made"))?;
        Ok(folder)
    }

    /// A program that is built with this one.
    pub(crate) fn beside(&self, name: &str) -> Result<PathBuf> {
        let program = self.hello.with_file_name(name);
        ensure!(
            program.is_file(),
            "{} is missing: build it with cargo build --release",
            program.display()
        );
        Ok(program)
    }

    /// Starts the bare server.
    pub(crate) async fn hello(&self) -> Result<(Server, u16)> {
        Server::listening("hello", clean(&self.hello)).await
    }
}

/// A command that inherits nothing but where programs lie.
pub(crate) fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = Path::new(HOME).join(".cache").join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&folder).context("bench/.cache cannot be written")?;
        Ok(Self(folder.canonicalize()?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} cannot be removed: {error}", self.0.display());
        }
    }
}
