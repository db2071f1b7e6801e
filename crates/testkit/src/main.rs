//! `keyfob-testkit`: the provider as a process, driven over HTTP, and the suite that judges brokers.

mod judge;

use std::{fs, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use keyfob_testkit::{Client, Options, Provider};
use serde_json::json;

/// A scripted OAuth 2 provider for tests.
#[derive(Parser)]
#[command(name = "keyfob-testkit", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the provider until it is ended; prints its address, and what it is like as a line of JSON
    Provider(ProviderArgs),
    /// Judge a broker that speaks Keyfob's API; ends with status 1 if a check fails
    Suite(judge::SuiteArgs),
}

#[derive(Args)]
struct ProviderArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A JSON file of options, as GET /control/options answers them; what is left out is as by default
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// A client with its secret, or without one if it is public; can be given several times
    #[arg(long = "client", value_name = "ID[:SECRET]")]
    clients: Vec<String>,
    /// Approve every authorization and device at once
    #[arg(long)]
    auto_approve: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Provider(args) => run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Suite(args) => judge::run(args).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let _unheard = writeln!(std::io::stderr(), "keyfob-testkit: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: ProviderArgs) -> Result<(), Box<dyn std::error::Error>> {
    let listen = args.listen;
    let provider = Provider::start_at(listen, options(&args)?).await?;
    let mut out = std::io::stdout();
    let mut configured = json!(null);
    provider.change(|options| configured = json!(options));
    writeln!(out, "{}", provider.issuer())?;
    writeln!(out, "{}", json!({ "issuer": provider.issuer(), "options": configured }))?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn options(args: &ProviderArgs) -> Result<Options, String> {
    let mut options = match &args.options {
        None => Options::default(),
        Some(file) => {
            let text = fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            serde_json::from_str(&text)
                .map_err(|error| format!("{} holds no options: {error}", file.display()))?
        }
    };
    options.auto_approve |= args.auto_approve;
    options.clients.extend(args.clients.iter().map(|client| match client.split_once(':') {
        Some((id, secret)) => Client::confidential(id, secret),
        None => Client::public(client),
    }));
    Ok(options)
}
