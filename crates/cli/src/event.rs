//! `keyfob event`: the audit trail; listed over HTTP, verified and exported straight on the database.

use std::{collections::BTreeMap, time::Duration};

use clap::Subcommand;
use keyfob_api::event::{Event, EventQuery};
use keyfob_client::{Client, Items, Order};
use keyfob_server::audit;

use crate::{
    config::VaultArgs,
    event_verify::{self, VerifyArgs},
    failure::Failure,
    output,
    remote::Where,
};

/// How often it is asked for what is new.
const AGAIN: Duration = Duration::from_secs(1);
/// Events are listed by when they happened, and may be stored a little later than others that happened after
/// them: so far it is looked back, from the newest one of all.
const LATE: i64 = 10_000;

#[derive(clap::Args)]
#[command(after_help = "\
The audit trail tells who did what to which object, when, with what result.
  keyfob event list --action totp.code --take 20      the last codes that were read
  keyfob event verify --data-dir ./keyfob-data        is it all as it was written?")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List events, newest first
    List(ListArgs),
    /// Check that no event was changed, removed, added or reordered
    Verify(VerifyArgs),
    /// Write the whole trail to stdout, with what its verification needs
    #[command(after_help = "\
Straight on the database, also while the server runs. The lines are for `keyfob event verify FILE`.")]
    Export {
        #[command(flatten)]
        vault: VaultArgs,
    },
    /// Print the public key that checks the signatures of the trail
    #[command(after_help = "\
It is made of the master key, and no secret: whoever has it can verify an export, and sign nothing.")]
    PublicKey {
        #[command(flatten)]
        vault: VaultArgs,
    },
}

#[derive(clap::Args)]
struct ListArgs {
    /// Not before this moment: RFC 3339, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<jiff::Timestamp>,
    /// Not after this moment
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// Only what this actor did: the id of a key, for one
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only this action, such as totp.code, or all that begin so, such as totp
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what was done to this object: its id, or its noun, `:` and its id
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
    /// Only what was done for this contact
    #[arg(long, value_name = "ID")]
    contact: Option<String>,
    /// Only what ended so: ok, or another word
    #[arg(long, value_name = "WORD")]
    result: Option<String>,
    /// Begin with the oldest
    #[arg(long)]
    oldest_first: bool,
    /// Print so many at the most
    #[arg(long, value_name = "N", default_value_t = 100)]
    take: usize,
    /// Print all of them as lines of JSON, as `keyfob event verify` reads them
    #[arg(long, conflicts_with_all = ["take", "follow"])]
    lines: bool,
    /// Go on with what happens from now on, until it is interrupted; nodes' clocks must agree within
    /// some seconds
    #[arg(long, conflicts_with_all = ["until", "oldest_first"])]
    follow: bool,
    #[command(flatten)]
    at: Where,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list(args).await,
        Command::Verify(args) => event_verify::run(args).await,
        Command::Export { vault } => {
            let store = audit::open(&vault.config()).map_err(failed)?;
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            let events = audit::export(&store, &mut out).await.map_err(failed)?;
            drop(out);
            output::say(&format!("{events} events"));
            Ok(())
        }
        Command::PublicKey { vault } => {
            let key = audit::public_key(&vault.config()).map_err(failed)?;
            Ok(output::print(&key)?)
        }
    }
}

/// Why a trail could not be looked at.
pub(crate) fn failed(error: audit::AuditError) -> Failure {
    match error {
        audit::AuditError::Open(error) => error.into(),
        audit::AuditError::File(error) => error.into(),
        error => Failure::Failed(error.into()),
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let millis = |at: Option<jiff::Timestamp>| at.map(jiff::Timestamp::as_millisecond);
    let query = EventQuery {
        since: millis(args.since),
        until: millis(args.until),
        actor: args.actor,
        action: args.action,
        object: args.object,
        contact: args.contact,
        result: args.result,
    };
    let (client, json) = (args.at.remote.client()?, args.at.json);
    let order = if args.oldest_first { Order::Asc } else { Order::Desc };
    let list = client.events().list().order(order).of(&query);
    if args.lines {
        return lines(list.stream()).await;
    }
    let since = if args.follow { recent(&client).await? } else { None };
    let mut events = list.items().try_take(args.take).await?;
    if args.follow {
        events.reverse();
        let query = EventQuery { since: query.since.max(since), ..query };
        return follow(&client, query, events, json).await;
    }
    if json {
        return Ok(output::print_json(&events)?);
    }
    let rows: Vec<_> = events.iter().map(row).collect();
    Ok(output::print_table(&["TIME", "ACTOR", "ACTION", "OBJECT", "RESULT", "REASON"], &rows)?)
}

async fn lines(mut events: Items<Event>) -> Result<(), Failure> {
    while let Some(event) = events.try_next().await? {
        output::print_json(&keyfob_api::list::Line::Item(event))?;
    }
    Ok(())
}

/// From when on events may still come.
async fn recent(client: &Client) -> Result<Option<i64>, Failure> {
    let newest = client.events().list().take(1).await?.items;
    Ok(newest.first().map(|event| event.created_at - LATE))
}

/// Prints events, and what comes after them.
async fn follow(
    client: &Client,
    mut query: EventQuery,
    events: Vec<Event>,
    json: bool,
) -> Result<(), Failure> {
    // Those that may be listed once more.
    let mut seen = BTreeMap::new();
    let mut new = events;
    loop {
        for event in new {
            if seen.insert(event.id.clone(), event.created_at).is_none() {
                print(&event, json)?;
            }
        }
        seen.retain(|_, at| Some(*at) >= query.since);
        tokio::time::sleep(AGAIN).await;
        let since = recent(client).await?;
        // Oldest first there would be none of the last seconds.
        new = client.events().list().of(&query).items().try_take(usize::MAX).await?;
        new.reverse();
        // Also where the filter finds nothing: what was looked through is not looked through again.
        query.since = query.since.max(since);
    }
}

fn print(event: &Event, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(event)?);
    }
    Ok(output::print(row(event).join("  ").trim_end())?)
}

fn row(event: &Event) -> Vec<String> {
    let name = if event.actor.name.is_empty() { &event.actor.id } else { &event.actor.name };
    let actor = format!("{} {name}", event.actor.kind);
    let object = format!("{}:{}", event.object.kind, event.object.id);
    let reason = event.reason.as_deref().unwrap_or_default();
    let texts = [&*actor, &*event.action, &*object, &*event.result, reason].map(output::plain);
    [output::time(event.created_at)].into_iter().chain(texts).collect()
}
