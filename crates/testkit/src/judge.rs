//! `keyfob-testkit suite`.

use std::{error::Error, io::Write, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, builder::PossibleValuesParser};
use keyfob_testkit::suite::{self, Checked, HttpBroker, NAMES, Settings, Verdict};
use serde_json::json;

#[derive(Args)]
pub(crate) struct SuiteArgs {
    /// Where a node of the broker is, as `keyfob serve` prints it; can be given several times
    #[arg(long = "base-url", value_name = "URL", required = true)]
    nodes: Vec<String>,
    /// The token of a key that may define secrets, make contacts and mint
    #[arg(long, env = "KEYFOB_TOKEN", hide_env_values = true)]
    token: String,
    /// Callers at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    callers: usize,
    /// How long callers ask without a pause where tokens must not have expired
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// How many seconds access tokens live where they are to expire
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    life: u64,
    /// How many seconds anything may take that is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// A check that is not made; can be given several times
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(NAMES), hide_possible_values = true)]
    without: Vec<String>,
    /// Print what came of each check as JSON
    #[arg(long)]
    json: bool,
}

/// Makes the checks, and says what came of each.
pub(crate) async fn run(args: SuiteArgs) -> Result<ExitCode, Box<dyn Error>> {
    let nodes = args.nodes.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    let broker = Arc::new(HttpBroker::new(nodes, &args.token)?);
    let settings = Settings {
        callers: args.callers,
        duration: Duration::from_secs(args.seconds),
        life: Duration::from_secs(args.life),
        patience: Duration::from_secs(args.patience),
    };
    let without: Vec<_> = args.without.iter().map(String::as_str).collect();
    let checked = suite::run(broker, settings, &without).await;
    print(&checked, args.json)?;
    let has_failed = checked.iter().any(|checked| checked.verdict == Verdict::Failed);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(checked: &[Checked], as_json: bool) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{:#}", json!({ "checks": checked }))?;
        return Ok(());
    }
    for one in checked {
        writeln!(out, "{one}")?;
    }
    let count = |verdict| checked.iter().filter(|checked| checked.verdict == verdict).count();
    let [passed, failed, not_made] =
        [Verdict::Passed, Verdict::Failed, Verdict::NotMade].map(count);
    writeln!(out, "{passed} passed, {failed} failed, {not_made} could not be made")?;
    Ok(())
}
