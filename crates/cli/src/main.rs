//! `keyfob`: the server and its command line in one binary.

mod account;
mod config;
mod connection;
mod contact;
mod contact_fields;
mod doctor;
mod event;
mod event_verify;
mod failure;
mod input;
mod key;
mod key_limits;
mod list_args;
mod mcp;
mod meta;
mod output;
mod remote;
mod secret;
mod secret_fields;
mod serve;
mod totp;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Small, fast, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A self-hosted credential broker for AI agents: it keeps the credentials agents need, and lets
/// agents use them without seeing them.
#[derive(Parser)]
#[command(name = "keyfob", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Start with:
  keyfob serve                                    run a vault in ./keyfob-data
  keyfob key create --role agent                  make a key for an agent
  keyfob totp add --label GitHub --secret -       store a 2FA secret (reads it from stdin)
  keyfob totp code ID                             print the current code

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not authenticated or not permitted, 4 not found,
5 nothing is wrong with a trail, but not all of it is signed.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Args>),
    /// Make, list and revoke API keys
    Key(key::Args),
    /// Store one-time-password secrets and get their codes
    Totp(totp::Args),
    /// Store contacts, the people for whom agents act
    Contact(contact::Args),
    /// Store secrets, the definitions of the credentials that agents use
    Secret(secret::Args),
    /// Ask what contacts have connected, and have them connect it
    Connection(connection::Args),
    /// Name the account, and say where its contacts may be sent back to
    Account(account::Args),
    /// List, verify and export the audit trail
    Event(event::Args),
    /// Be an MCP server on stdin and stdout, for an agent's client to start
    Mcp(mcp::Args),
    /// Check configuration, key, database, clock and egress; say what is wrong and how to mend it
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_unheard() {
                output::say(&format!("keyfob: {failure}"));
            }
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = match &command {
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.map_err(|error| Failure::Failed(error.into()))?;
    runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(*args).await,
            Command::Key(args) => key::run(args).await,
            Command::Totp(args) => totp::run(args).await,
            Command::Contact(args) => contact::run(args).await,
            Command::Secret(args) => secret::run(args).await,
            Command::Connection(args) => connection::run(args).await,
            Command::Account(args) => account::run(args).await,
            Command::Event(args) => event::run(args).await,
            Command::Mcp(args) => mcp::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
        }
    })
}
