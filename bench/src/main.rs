//! Measures Keyfob: codes per second against a bare server and against its peers, requests through it, its SDK, memory, start-up, many contacts, waiting callers, and grants that are refreshed.
//!
//! See `bench/README.md`.

mod args;
mod clock;
mod contacts;
mod context;
mod fill;
mod grants;
mod http;
mod keyfob;
mod memory;
mod number;
mod peers;
mod postgres;
mod process;
mod proxy;
mod refresh_storm;
mod refresh_sweep;
mod report;
mod sample;
mod sdk;
mod totp_code;
mod waiters;
mod wrk;

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{args::Args, context::Context, report::Section};

/// Set in the process that may open many files.
const RAISED: &str = "KEYFOB_BENCH_RAISED";
/// No section takes longer.
const LIMIT: Duration = Duration::from_mins(45);

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) if args.help => {
            eprintln!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(args) => args,
        Err(error) => {
            eprintln!("bench: {error:#}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match raise_limit().and_then(|()| start(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts this program again where it, and all it starts, may open many files: one for each waiting caller.
fn raise_limit() -> Result<()> {
    if std::env::var_os(RAISED).is_some() {
        return Ok(());
    }
    let raise = "ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"";
    let error = Command::new("sh")
        .args(["-c", raise, "sh"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(RAISED, "yes")
        .exec();
    Err(error).context("sh cannot be started")
}

#[tokio::main]
async fn start(args: Args) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever ends first: the servers that still run are killed when the work is dropped.
    tokio::select! {
        result = run(args) => result,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    }
}

async fn run(args: Args) -> Result<()> {
    let context = Context::prepare(args).await?;
    if context.args.runs("peers") || context.args.runs("proxy") {
        peers::install().await?;
    }
    let mut missed = 0;
    for name in context.args.sections.clone() {
        eprintln!("{name}");
        let section = timeout(LIMIT, section(&context, name))
            .await
            .with_context(|| format!("{name} took longer than {} minutes", LIMIT.as_secs() / 60))?
            .context(name)?;
        section.write(&context.out, &context.circumstances)?;
        section.print(&context.circumstances)?;
        missed += section.goals.iter().filter(|goal| !goal.met).count();
    }
    match missed {
        0 => eprintln!("all goals are met"),
        _ => eprintln!("{missed} goals are missed"),
    }
    Ok(())
}

async fn section(context: &Context, name: &str) -> Result<Section> {
    match name {
        "totp_code" => totp_code::run(context).await,
        "peers" => peers::run(context).await,
        "proxy" => proxy::run(context).await,
        "sdk" => sdk::run(context).await,
        "memory" => memory::run(context).await,
        "contacts" => contacts::run(context).await,
        "waiters" => waiters::run(context).await,
        "refresh_storm" => refresh_storm::run(context).await,
        "refresh_sweep" => refresh_sweep::run(context).await,
        other => bail!("no section {other}"),
    }
}
