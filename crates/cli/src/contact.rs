//! `keyfob contact`: the end users for whom agents act, over HTTP.

use clap::Subcommand;
use keyfob_api::{contact::Contact, list::Page};
use keyfob_client::Request;
use serde_json::json;

use crate::{
    contact_fields::{FieldArgs, When},
    failure::Failure,
    list_args::{ListArgs, Which},
    output,
    remote::Where,
};

#[derive(clap::Args)]
#[command(after_help = "\
A contact is somebody for whom agents act. Your application knows it by a fingerprint of its own
choice, such as its user id:
  keyfob contact ensure --fingerprint customer:00000042 --name Ann     print its id, old or new
  keyfob contact list --meta team=sales                                find contacts by their meta")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Store a new contact and print its id
    Create {
        #[command(flatten)]
        fields: FieldArgs,
        /// Since when you vouch for it: RFC 3339, such as 2027-01-31T00:00:00Z, or `now`
        #[arg(long, value_name = "TIME")]
        verified_at: Option<When>,
        #[command(flatten)]
        at: Where,
    },
    /// Print the id of the contact with a fingerprint; store the contact if there is none
    #[command(after_help = "\
May be repeated: all calls with one fingerprint have one contact and print one id. A contact that is
there already keeps what it holds. With --fingerprint you vouch for the contact: it is verified.
Without, it is known by its name, e-mail address, phone number and nickname, and is not verified.")]
    Ensure {
        #[command(flatten)]
        fields: FieldArgs,
        #[command(flatten)]
        at: Where,
    },
    /// List contacts, newest first
    List {
        #[command(flatten)]
        list: ListArgs,
        #[command(flatten)]
        at: Where,
    },
    /// Print all that a contact holds
    Fetch {
        /// The contact's id
        id: String,
        #[command(flatten)]
        at: Where,
    },
    /// Change what is given of a contact, and nothing else
    #[command(after_help = "\
An empty text takes a field away:
  keyfob contact update ID --phone \"\" --meta team=support --meta trial=")]
    Update {
        /// The contact's id
        id: String,
        #[command(flatten)]
        fields: FieldArgs,
        /// Since when you vouch for it: RFC 3339, such as 2027-01-31T00:00:00Z, `now` or `never`
        #[arg(long, value_name = "TIME")]
        verified_at: Option<When>,
        #[command(flatten)]
        at: Where,
    },
    /// Delete a contact for good
    Delete {
        /// The contact's id
        id: String,
        #[command(flatten)]
        at: Where,
    },
    /// Print all contacts as JSON lines, newest first; wants an owner key
    #[command(after_help = "\
One contact a line, as fast as the output takes them; --json prints one JSON list instead. Where the
list breaks off, the exit status is 1, and what was printed is not all of it:
  keyfob contact export > contacts.jsonl || echo incomplete")]
    Export {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        at: Where,
    },
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Create { fields, verified_at, at } => {
            let wanted = fields.create(verified_at);
            let id = at.remote.client()?.contacts().create(&wanted).await?.id;
            Ok(output::print_id(&id, at.json)?)
        }
        Command::Ensure { fields, at } => {
            let wanted = fields.create(None);
            let id = at.remote.client()?.contacts().ensure(&wanted).await?.id;
            if wanted.fingerprint.is_none() {
                output::say("Note: without --fingerprint nobody vouches for it: not verified.");
            }
            Ok(output::print_id(&id, at.json)?)
        }
        Command::List { list: ListArgs { which, take }, at } => {
            let list = which.of(at.remote.client()?.contacts().list());
            show_list(&list.items().try_take(take).await?, at.json)
        }
        Command::Fetch { id, at } => {
            show(&at.remote.client()?.contacts().fetch(&id).await?, at.json)
        }
        Command::Update { id, fields, verified_at, at } => {
            let change = fields.update(verified_at)?;
            at.remote.client()?.contacts().update(&id, &change).await?;
            Ok(output::print_changed(&id, "changed", at.json)?)
        }
        Command::Delete { id, at } => {
            at.remote.client()?.contacts().delete(&id).await?;
            Ok(output::print_changed(&id, "deleted", at.json)?)
        }
        Command::Export { which, at } => {
            export(which.of(at.remote.client()?.contacts().export()), at.json).await
        }
    }
}

fn show_list(contacts: &[Contact], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(&contacts)?);
    }
    let rows: Vec<_> = contacts.iter().map(row).collect();
    Ok(output::print_table(&["ID", "VERIFIED", "NAME", "EMAIL", "FINGERPRINT"], &rows)?)
}

fn row(contact: &Contact) -> Vec<String> {
    let verified = if contact.verified_at.is_some() { "yes" } else { "no" };
    let email = contact.email.as_deref().unwrap_or_default();
    let texts = [&*contact.name, email, &*contact.fingerprint].map(output::plain);
    [contact.id.clone(), verified.into()].into_iter().chain(texts).collect()
}

/// What a contact holds, a line for each field that is not empty.
fn show(contact: &Contact, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(contact)?);
    }
    let meta = contact.meta.as_ref().map(|meta| json!(meta).to_string());
    let verified = contact.verified_at.map(output::time);
    let fields = [
        ("id", Some(&*contact.id)),
        ("name", Some(&*contact.name)),
        ("description", Some(&*contact.description)),
        ("fingerprint", Some(&*contact.fingerprint)),
        ("email", contact.email.as_deref()),
        ("phone", contact.phone.as_deref()),
        ("nick", contact.nick.as_deref()),
        ("preferences", contact.preferences.as_deref()),
        ("verified", Some(verified.as_deref().unwrap_or("no"))),
        ("meta", meta.as_deref()),
        ("created", Some(&*output::time(contact.created_at))),
        ("updated", Some(&*output::time(contact.updated_at))),
    ];
    Ok(output::print_fields(&fields)?)
}

async fn export(all: Request<Page<Contact>>, json: bool) -> Result<(), Failure> {
    let mut contacts = all.stream();
    let mut count = 0_u64;
    while let Some(contact) = contacts.try_next().await? {
        if json {
            output::print_part(if count == 0 { "[" } else { "," })?;
        }
        output::print_json(&contact)?;
        count += 1;
    }
    if json {
        output::print(if count == 0 { "[]" } else { "]" })?;
    }
    Ok(())
}
