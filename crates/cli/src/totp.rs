//! `keyfob totp`: one-time-password secrets and their codes, over HTTP.

use std::{
    io::{IsTerminal, Write, stdout},
    time::Duration,
};

use clap::Subcommand;
use keyfob_api::totp::{CodeAnswer, CreateTotp, Totp};
use keyfob_client::{Client, Request};
use secrecy::{ExposeSecret, SecretString};

use crate::{failure::Failure, input, output, remote::Where};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Store a secret; without --secret and --uri the server makes one
    Add {
        /// What people call it, such as "GitHub - agent@example.com"; required unless --uri is given
        #[arg(long, required_unless_present = "uri")]
        label: Option<String>,
        /// The secret in base32; `-` reads it from stdin, which keeps it out of the shell's history
        #[arg(long, conflicts_with = "uri")]
        secret: Option<String>,
        /// An `otpauth://totp/…` URI; `-` reads it from stdin
        #[arg(long)]
        uri: Option<String>,
        /// The service it belongs to
        #[arg(long)]
        issuer: Option<String>,
        /// SHA1 (the default), SHA256 or SHA512
        #[arg(long)]
        algorithm: Option<String>,
        /// Characters of a code: 6 (the default) or 8
        #[arg(long)]
        digits: Option<u32>,
        /// Seconds a code is valid: 1 to 3600, 30 by default
        #[arg(long)]
        period: Option<u32>,
        /// The contact it belongs to: deleted with it, and seen by keys of this contact
        #[arg(long, value_name = "ID")]
        contact: Option<String>,
        #[command(flatten)]
        at: Where,
    },
    /// List the entries, oldest first
    List {
        #[command(flatten)]
        at: Where,
    },
    /// Print an entry's current code
    Code {
        /// The entry's id
        id: String,
        /// Wait for a code that is valid for so many seconds more
        #[arg(long, value_name = "SECONDS")]
        min_validity: Option<u32>,
        /// Wait for a code that nobody else is given
        #[arg(long)]
        unique: bool,
        /// Print the next code too, on a second line
        #[arg(long, conflicts_with_all = ["unique", "watch"])]
        next: bool,
        /// Go on showing the code with its countdown, until Ctrl-C; every new code is a release of
        /// its own in the audit trail
        #[arg(long, conflicts_with = "json")]
        watch: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Delete an entry for good
    Remove {
        /// The entry's id
        id: String,
        #[command(flatten)]
        at: Where,
    },
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Add { label, secret, uri, issuer, algorithm, digits, period, contact, at } => {
            // Before anyone is asked to paste a secret.
            let client = at.remote.client()?;
            let (secret, uri) = (given(secret)?, given(uri)?);
            let contact_id = contact;
            let wanted =
                CreateTotp { label, uri, secret, issuer, algorithm, digits, period, contact_id };
            add(&client, &wanted, at.json).await
        }
        Command::List { at } => list(at).await,
        Command::Code { id, min_validity, unique, next, watch, at } => {
            let wanted = Wanted { id, min_validity, unique, next };
            let (client, json) = (at.remote.client()?, at.json);
            if watch {
                return self::watch(&client, &wanted).await;
            }
            show(&wanted.request(&client).await?, json)
        }
        Command::Remove { id, at } => {
            at.remote.client()?.totp().secrets().delete(&id).await?;
            output::say(&format!("{id} is deleted"));
            Ok(())
        }
    }
}

/// Which code is wanted.
struct Wanted {
    id: String,
    min_validity: Option<u32>,
    unique: bool,
    next: bool,
}

impl Wanted {
    fn request(&self, client: &Client) -> Request<CodeAnswer> {
        let mut request = client.totp().get_code(&self.id);
        if let Some(seconds) = self.min_validity {
            request = request.min_validity(seconds);
        }
        if self.unique {
            request = request.unique();
        }
        if self.next {
            request = request.include_next();
        }
        request
    }
}

/// A secret given on the command line, or for `-` on stdin.
fn given(value: Option<String>) -> Result<Option<SecretString>, Failure> {
    match value {
        Some(dash) if dash == "-" => {
            let text = input::stdin_text()?;
            Ok(Some(text.expose_secret().trim().into()))
        }
        value => Ok(value.map(SecretString::from)),
    }
}

async fn add(client: &Client, wanted: &CreateTotp, json: bool) -> Result<(), Failure> {
    let is_generated = wanted.secret.is_none() && wanted.uri.is_none();
    let totp = client.totp().secrets().create(wanted).await?.totp_secret;
    if totp.warnings.iter().any(|warning| warning == "weak_secret") {
        output::say("Note: this secret has fewer than 128 bits (RFC 4226); it works all the same.");
    }
    if json {
        return Ok(output::print_json(&totp)?);
    }
    output::print(&totp.id)?;
    output::say(&format!("stored: {}", output::plain(&totp.label)));
    if is_generated {
        output::say("The server made its secret; --json shows it, this once.");
    }
    Ok(())
}

async fn list(at: Where) -> Result<(), Failure> {
    let entries = at.remote.client()?.totp().secrets().list().await?.totp_secrets;
    if at.json {
        return Ok(output::print_json(&entries)?);
    }
    let rows: Vec<_> = entries.iter().map(row).collect();
    Ok(output::print_table(&["ID", "CODE", "LABEL", "ISSUER"], &rows)?)
}

fn row(totp: &Totp) -> Vec<String> {
    let shape = match totp.kind.as_str() {
        "steam" => "Steam".into(),
        _ => format!("{} digits, {} s, {}", totp.digits, totp.period, totp.algorithm),
    };
    let issuer = totp.issuer.as_deref().unwrap_or_default();
    vec![totp.id.clone(), shape, output::plain(&totp.label), output::plain(issuer)]
}

fn show(code: &CodeAnswer, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(code)?);
    }
    output::print(&code.code)?;
    if let Some(next) = &code.next_code {
        output::print(next)?;
    }
    Ok(())
}

/// Shows the code with its countdown on one line of the terminal, and each new one in its place.
/// Where there is no terminal, each new code is a line.
async fn watch(client: &Client, wanted: &Wanted) -> Result<(), Failure> {
    let is_terminal = stdout().is_terminal();
    // One for the whole loop: a Ctrl-C that comes while nobody listens would be lost.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let code = tokio::select! {
            code = wanted.request(client) => code?,
            _ = &mut interrupted => return finish(is_terminal),
        };
        if !is_terminal {
            output::print(&code.code)?;
        }
        let started = tokio::time::Instant::now();
        let lasts = Duration::from_secs(code.expires_in.into());
        while let Some(left) = lasts.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
            if is_terminal {
                draw(&code, left)?;
            }
            let tick = Duration::from_millis(200).min(left);
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                _ = &mut interrupted => return finish(is_terminal),
            }
        }
    }
}

const BAR: u32 = 20;

fn draw(code: &CodeAnswer, left: Duration) -> Result<(), Failure> {
    let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    let filled = (seconds.saturating_mul(BAR)).div_ceil(code.period.max(1)).min(BAR) as usize;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR as usize - filled));
    let mut out = stdout().lock();
    write!(out, "\r\x1b[K{}  {bar} {seconds:>4} s", code.code)?;
    Ok(out.flush()?)
}

/// Leaves no code on the screen.
fn finish(is_terminal: bool) -> Result<(), Failure> {
    if is_terminal {
        let mut out = stdout().lock();
        write!(out, "\r\x1b[K")?;
        out.flush()?;
    }
    Ok(())
}
