//! `keyfob account`: what contacts read and where they may be sent back to, over HTTP.

use clap::Subcommand;
use keyfob_api::account::{Account, UpdateAccount};

use crate::{failure::Failure, output, remote::Where};

#[derive(clap::Args)]
#[command(after_help = "\
Contacts read the account's name where they hand over a credential:
  keyfob account update --name 'Acme Travel' --allow-origin https://app.acme.example")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print what the account holds
    Fetch {
        #[command(flatten)]
        at: Where,
    },
    /// Change what is given of the account; needs an owner key
    Update {
        /// What contacts read
        #[arg(long)]
        name: Option<String>,
        /// An origin that contacts may be sent back to; repeatable; all others are taken away
        #[arg(long, value_name = "ORIGIN")]
        allow_origin: Vec<String>,
        /// Allow no origin at all
        #[arg(long, conflicts_with = "allow_origin")]
        no_origins: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Delete a child account for good; needs an owner key of its parent
    #[command(after_help = "\
Its keys, contacts, secrets, connections and one-time passwords are gone at once. Its grants are revoked at
their providers, which may take a day where one does not answer; then its data key is destroyed. Backups that
were made before still hold it.")]
    Delete {
        /// The child account's id
        id: String,
        /// Confirm that all of it is to be gone
        #[arg(long, required = true)]
        yes: bool,
        #[command(flatten)]
        at: Where,
    },
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Fetch { at } => show(&at.remote.client()?.account().fetch().await?, at.json),
        Command::Update { name, allow_origin, no_origins, at } => {
            let is_given = no_origins || !allow_origin.is_empty();
            let allowed_origins = is_given.then_some(allow_origin);
            let change = UpdateAccount { name, allowed_origins };
            show(&at.remote.client()?.account().update(&change).await?, at.json)
        }
        Command::Delete { id, yes: _, at } => {
            let id = at.remote.client()?.account().delete(&id).await?.id;
            Ok(output::print_changed(&id, "deleted", at.json)?)
        }
    }
}

fn show(account: &Account, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(account)?);
    }
    let origins = account.allowed_origins.join(" ");
    let fields = [
        ("id", Some(&*account.id)),
        ("name", Some(&*account.name)),
        ("email", account.email.as_deref()),
        ("origins", Some(&*origins)),
        ("created", Some(&*output::time(account.created_at))),
    ];
    Ok(output::print_fields(&fields)?)
}
