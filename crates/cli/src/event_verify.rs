//! `keyfob event verify`: offline, on the database or on files.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context;
use keyfob_server::audit::{self, Expected, Report, Told, Trust};
use serde_json::json;

use crate::{config::VaultArgs, event::failed, failure::Failure, output};

#[derive(clap::Args)]
#[command(after_help = "\
Without a file it reads the database, also while the server runs, and changes nothing. A file is what
`keyfob event export` has written, which --public-key is needed for; or what `keyfob event list --lines`
has: of that, which is one account's, it checks each event and its neighbours only. Of several files
each is verified by itself.

What nobody can tell from the trail alone is whether its end was cut off: note the newest checkpoint now
and then, somewhere else, and give it with --expect.

With --public-key alone what no checkpoint has signed yet may be anybody's.

Exit status: 0 if all is as it was written, 1 if not, 5 if all that is signed is, and
something is not signed.")]
pub(crate) struct VerifyArgs {
    /// Files of lines of JSON; - is stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The vault's public key; without it that of the vault, whose master key is read
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// A checkpoint that must be there
    #[arg(long, value_name = "NUMBER:HASH", value_parser = Expected::parse)]
    expect: Option<Expected>,
    #[command(flatten)]
    vault: VaultArgs,
    /// Print lines of JSON: one for each finding, and the last one for all that was looked at
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: VerifyArgs) -> Result<(), Failure> {
    let json = args.json;
    let mut unheard = Ok(());
    let mut tell = |told| match told {
        Told::Events(events) => output::say(&format!("{events} events …")),
        Told::Found(finding) => {
            let text = finding.to_string();
            let shown = if json {
                let at = finding.at();
                output::print_json(&json!({
                    "finding": finding.kind(),
                    "text": text,
                    "event": at.map(|at| &at.event),
                    "chain": at.map(|at| &at.chain),
                    "position": at.map(|at| at.position),
                }))
            } else {
                output::print(&output::plain(&text))
            };
            if let Err(error) = shown {
                unheard = Err(error);
            }
        }
    };
    let mut reports = Vec::new();
    if args.files.is_empty() {
        let config = args.vault.config();
        let trust = Trust::find(args.public_key.as_deref(), &config).map_err(failed)?;
        let store = audit::open(&config).map_err(failed)?;
        let report = audit::verify(&store, &trust, args.expect, &mut tell).await;
        reports.push(report.map_err(failed)?);
    } else {
        let trust = args.public_key.as_deref().map(Trust::public).transpose().map_err(failed)?;
        for path in &args.files {
            let mut lines = open(path)?;
            let report = audit::verify_lines(&mut lines, trust.as_ref(), args.expect, &mut tell);
            reports.push(report.map_err(failed)?);
        }
    }
    unheard?;
    reports.iter().try_for_each(|report| summarize(report, json))?;
    match reports.iter().map(|report| report.findings).sum() {
        0 => match reports.iter().map(|report| report.unproved).sum() {
            0 => Ok(()),
            events => Err(Failure::Unproved(events)),
        },
        1 => Err(Failure::Failed(anyhow::anyhow!(
            "the audit trail is not as it was written: 1 finding"
        ))),
        findings => Err(Failure::Failed(anyhow::anyhow!(
            "the audit trail is not as it was written: {findings} findings"
        ))),
    }
}

/// Prints what was looked at.
fn summarize(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        let newest = report.newest.map(|(number, hash, _)| format!("{number}:{hash}"));
        return Ok(output::print_json(&json!({
            "part": report.is_part,
            "events": report.events,
            "chains": report.chains,
            "checkpoints": report.checkpoints,
            "later": report.uncovered,
            "unproved": report.unproved,
            "unchained": report.unchained,
            "expired": report.expired,
            "findings": report.findings,
            "first": report.first.map(|(hash, _)| format!("1:{hash}")),
            "begun": report.first.map(|(_, at)| audit::date(at)),
            "newest": newest,
        }))?);
    }
    audit::summary(report).iter().try_for_each(|line| output::print(line))?;
    match report {
        Report { findings: 1.., .. } | Report { is_part: true, .. } => {}
        Report { unproved: 0, .. } => output::print("all of it is as it was written")?,
        Report { unproved, .. } => output::print(&format!(
            "what is signed is as it was written; {unproved} events are not signed and may be anybody's"
        ))?,
    }
    Ok(())
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(BufReader::new(file)))
}
