//! `keyfob event verify`: offline, on the database or on files.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::Context;
use keyfob_server::audit::{self, Expected, Told, Trust};
use serde_json::json;

use crate::{config::VaultArgs, event::failed, failure::Failure, output};

#[derive(clap::Args)]
#[command(after_help = "\
Without a file it reads the database, also while the server runs, and changes nothing. A file is what
`keyfob event export` has written, which --public-key is needed for; or what `keyfob event list --lines`
has: of that, which is one account's, it checks each event and its neighbours only.

What nobody can tell from the trail alone is whether its end was cut off: note the newest checkpoint now
and then, somewhere else, and give it with --expect.

Exit status: 0 if all is as it was written, 1 if not.")]
pub(crate) struct VerifyArgs {
    /// Files of lines of JSON, in order; - is stdin
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
    let report = if args.files.is_empty() {
        let config = args.vault.config();
        let trust = Trust::find(args.public_key.as_deref(), &config).map_err(failed)?;
        let store = audit::open(&config).map_err(failed)?;
        audit::verify(&store, &trust, args.expect, &mut tell).await
    } else {
        let trust = args.public_key.as_deref().map(Trust::public).transpose().map_err(failed)?;
        let mut lines = open(&args.files)?;
        audit::verify_lines(&mut lines, trust.as_ref(), args.expect, &mut tell)
    };
    let report = report.map_err(failed)?;
    unheard?;
    let summary = audit::summary(&report);
    if json {
        let newest = report.newest.map(|(number, hash, _)| format!("{number}:{hash}"));
        output::print_json(&json!({
            "events": report.events,
            "chains": report.chains,
            "checkpoints": report.checkpoints,
            "later": report.uncovered,
            "unchained": report.unchained,
            "expired": report.expired,
            "findings": report.findings,
            "newest": newest,
        }))?;
    } else {
        summary.iter().try_for_each(|line| output::print(line))?;
    }
    match report.findings {
        0 if json => Ok(()),
        0 => Ok(output::print("all of it is as it was written")?),
        1 => Err(Failure::Failed(anyhow::anyhow!(
            "the audit trail is not as it was written: 1 finding"
        ))),
        findings => Err(Failure::Failed(anyhow::anyhow!(
            "the audit trail is not as it was written: {findings} findings"
        ))),
    }
}

/// The files one after the other.
fn open(files: &[PathBuf]) -> Result<impl BufRead, Failure> {
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for path in files {
        if path.as_os_str() == "-" {
            all = Box::new(all.chain(io::stdin()));
        } else {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            all = Box::new(all.chain(file));
        }
    }
    Ok(BufReader::new(all))
}
