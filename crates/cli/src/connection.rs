//! `keyfob connection`: what contacts have connected, over HTTP.

use clap::Subcommand;
use keyfob_api::{
    connection::{Authentication, Connect, ContactSecret, Minted, Verified},
    revocation::Revocation,
};
use keyfob_client::Request;
use secrecy::ExposeSecret;

use crate::{failure::Failure, input, output, remote::Where};

#[derive(clap::Args)]
#[command(after_help = "\
A connection is a contact's own value of a personal secret. The contact hands it over at a page:
  keyfob connection verify CONTACT SECRET           is it connected, and if not, where can it be?
  keyfob connection authenticate CONTACT SECRET     print a new link

CONTACT is a contact's id; SECRET is a secret's id, its @alias, or its '(name)'.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Which connection.
#[derive(clap::Args)]
struct Of {
    /// The contact's id
    contact: String,
    /// The secret: its id, @alias or '(name)'
    secret: String,
}

/// What a link leads back to.
#[derive(clap::Args)]
pub(crate) struct LinkArgs {
    /// Where the person goes at the end; its origin is one that the account allows
    #[arg(long, value_name = "URL")]
    return_url: Option<String>,
}

impl LinkArgs {
    pub(crate) fn back(self, asked: Request<Authentication>) -> Request<Authentication> {
        match &self.return_url {
            Some(url) => asked.return_url(url),
            None => asked,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// List what a contact has connected, newest first
    List {
        /// The contact's id
        contact: String,
        /// Also what it could connect
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Print whether a contact's value of a secret can be used: authenticated or unauthenticated
    #[command(after_help = "\
Why not, and a link at which the contact can connect it, are said on stderr; --json has all.")]
    Verify {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        at: Where,
    },
    /// Print a link at which a contact connects a secret
    #[command(after_help = "\
Whoever has the link can use it, once, for 15 minutes: send it to the contact, and to nobody else.")]
    Authenticate {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        link: LinkArgs,
        #[command(flatten)]
        at: Where,
    },
    /// Store a value that you have already, in place of what the contact connected
    #[command(after_help = "\
The value is never an argument, as others can see those, and the shell keeps them:
  keyfob connection connect CONTACT @ci --value-stdin < token.txt
  keyfob connection connect CONTACT @mail --username ann --value-stdin      asks for the password

An OAuth grant that another program has obtained is JSON, of which only the access token is required:
  keyfob connection connect CONTACT @mail --grant-stdin < grant.json
where grant.json is {\"accessToken\":\"…\",\"refreshToken\":\"…\",\"expiresAt\":1775394000000,\"scopes\":[\"read\"]}.
Keyfob renews it from then on: that program must not use the refresh token any more.")]
    Connect {
        #[command(flatten)]
        of: Of,
        /// The user name, for a secret of type basic; the value is the password then
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
        /// Read the value from stdin, without the line break at its end
        #[arg(long, required_unless_present = "grant_stdin")]
        value_stdin: bool,
        /// Read a grant from stdin, for a secret of type oauth
        #[arg(long, conflicts_with_all = ["value_stdin", "username"])]
        grant_stdin: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Have a contact's tokens renewed at the provider now, and print how it stands after that
    #[command(after_help = "\
Tokens are renewed by themselves before they end: this is for those that were seen to be refused. A
connection that works goes on to work if the provider does not answer.")]
    Refresh {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        at: Where,
    },
    /// Print a token of what a contact has connected
    #[command(after_help = "\
It is a fresh access token, or, of a secret of type jwt, a token that is signed just now. If the contact has
to connect it first, a link is said on stderr. Whoever has the token can use it: pipe it to where it is needed.")]
    Mint {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        at: Where,
    },
    /// Take a contact's value of a secret away
    Revoke {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        at: Where,
    },
    /// List how grants are revoked at their providers, newest first: those that wait, and of the last 7 days
    #[command(after_help = "\
What was connected is gone at once. Its provider is told then, and again for a day if it does not answer.
One that failed is to be taken back at the provider, by the person or in its console.")]
    Revocations {
        /// Only those of this status
        #[arg(long, value_parser = ["pending", "revoked", "unsupported", "failed"])]
        status: Option<String>,
        #[command(flatten)]
        at: Where,
    },
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List { contact, all, at } => {
            let list = at.remote.client()?.contact(contact).secrets().list();
            let list = if all { list.with_unconnected() } else { list };
            show_list(&list.items().try_take(usize::MAX).await?, at.json)
        }
        Command::Verify { of, at } => {
            let client = at.remote.client()?;
            show_verified(&client.contact(of.contact).secrets().verify(&of.secret).await?, at.json)
        }
        Command::Authenticate { of, link, at } => {
            let client = at.remote.client()?;
            let asked = client.contact(of.contact).secrets().authenticate(&of.secret);
            show_link(&link.back(asked).await?, at.json)
        }
        Command::Connect { of, username, value_stdin: _, grant_stdin, at } => {
            // Before anyone is asked to paste a value.
            let client = at.remote.client()?;
            let handed = if grant_stdin { grant()? } else { handed(username)? };
            let id = client.contact(of.contact).secrets().connect(&of.secret, &handed).await?.id;
            Ok(output::print_changed(&id, "connected", at.json)?)
        }
        Command::Refresh { of, at } => {
            let client = at.remote.client()?;
            show_verified(&client.contact(of.contact).secrets().refresh(&of.secret).await?, at.json)
        }
        Command::Mint { of, at } => {
            let client = at.remote.client()?;
            show_minted(&client.contact(of.contact).secrets().mint(&of.secret).await?, at.json)
        }
        Command::Revoke { of, at } => {
            let secrets = at.remote.client()?.contact(of.contact).secrets();
            let id = secrets.revoke(&of.secret).await?.id;
            Ok(output::print_changed(&id, "revoked", at.json)?)
        }
        Command::Revocations { status, at } => {
            let list = at.remote.client()?.revocations().list();
            let list = match &status {
                Some(status) => list.status(status),
                None => list,
            };
            show_revocations(&list.items().try_take(usize::MAX).await?, at.json)
        }
    }
}

fn handed(username: Option<String>) -> Result<Connect, Failure> {
    let value = Some(input::stdin_value()?);
    Ok(match username {
        None => Connect { value, ..Connect::default() },
        Some(username) => {
            Connect { username: Some(username.into()), password: value, ..Connect::default() }
        }
    })
}

/// The grant that comes on stdin. What is wrong with it is not said in the reader's words, which repeat what
/// they read.
fn grant() -> Result<Connect, Failure> {
    let text = input::stdin_value()?;
    let wrong = |line: usize, column: usize| {
        Failure::Usage(format!(
            "no grant came on stdin: it is a JSON object with \"accessToken\" and, if there are any, \"refreshToken\", \"expiresAt\" (unix milliseconds) and \"scopes\" (line {line}, column {column} is something else)"
        ))
    };
    let grant: Connect = serde_json::from_str(text.expose_secret())
        .map_err(|error| wrong(error.line(), error.column()))?;
    let is_other = grant.value.is_some() || grant.username.is_some() || grant.password.is_some();
    if grant.access_token.is_none() || is_other { Err(wrong(1, 1)) } else { Ok(grant) }
}

fn show_list(secrets: &[ContactSecret], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(&secrets)?);
    }
    let row = |secret: &ContactSecret| {
        let texts = [&*secret.secret_type, &*secret.status, &*secret.name];
        [secret.id.clone()].into_iter().chain(texts.map(output::plain)).collect()
    };
    let rows: Vec<_> = secrets.iter().map(row).collect();
    Ok(output::print_table(&["SECRET", "TYPE", "STATUS", "NAME"], &rows)?)
}

fn show_revocations(revocations: &[Revocation], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(&revocations)?);
    }
    let row = |it: &Revocation| {
        let contact = it.contact_id.clone().unwrap_or_default();
        let (created, problem) = (output::time(it.created_at), it.problem.as_deref());
        let texts = [&*it.status, problem.unwrap_or_default()].map(output::plain);
        [it.secret_id.clone(), contact, created].into_iter().chain(texts).collect()
    };
    let rows: Vec<_> = revocations.iter().map(row).collect();
    let head = ["SECRET", "CONTACT", "SINCE", "STATUS", "PROBLEM"];
    Ok(output::print_table(&head, &rows)?)
}

/// Prints whether a credential can be used, and says what can be done if not.
pub(crate) fn show_verified(verified: &Verified, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(verified)?);
    }
    output::print(&output::plain(&verified.status))?;
    if let Some(reason) = &verified.reason {
        output::say(&output::plain(reason));
    }
    if let Some(action) = &verified.action {
        output::say(&format!("to connect it: {}", output::plain(action.url.expose_secret())));
    }
    Ok(())
}

/// Prints a link.
pub(crate) fn show_link(link: &Authentication, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(link)?);
    }
    Ok(output::print(&output::plain(link.url.expose_secret()))?)
}

/// Prints a token.
pub(crate) fn show_minted(minted: &Minted, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(minted)?);
    }
    Ok(output::print(&output::plain(minted.token.expose_secret()))?)
}
