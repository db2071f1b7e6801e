//! `keyfob doctor`

use keyfob_server::{clock::SystemClock, doctor::examine};
use serde::Serialize;

use crate::{
    config::{EgressArgs, VaultArgs},
    failure::Failure,
    output,
};

#[derive(clap::Args)]
#[command(after_help = "Changes nothing, and works while the server runs.")]
pub(crate) struct Args {
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    egress: EgressArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    ok: bool,
    text: String,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let findings = examine(&args.vault.config(), &args.egress.allow(), &SystemClock).await;
    let lines: Vec<_> = findings
        .into_iter()
        .map(|finding| match finding.result {
            Ok(text) => Line { what: finding.what, ok: true, text },
            Err(text) => Line { what: finding.what, ok: false, text },
        })
        .collect();
    if args.json {
        output::print_json(&lines)?;
    } else {
        for Line { what, ok, text } in &lines {
            let mark = if *ok { "ok   " } else { "WRONG" };
            output::print(&format!("{mark}  {what:13}  {text}"))?;
        }
    }
    match lines.iter().filter(|line| !line.ok).count() {
        0 => Ok(()),
        wrong => Err(Failure::Failed(anyhow::anyhow!("{wrong} of {} checks failed", lines.len()))),
    }
}
