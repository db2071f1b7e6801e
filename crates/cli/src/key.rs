//! `keyfob key`: straight on the database, also while a server runs; or over HTTP.

use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use keyfob_api::key::{CreateKey, CreatedKey, Key};
use keyfob_client::Client;
use keyfob_server::{
    broker::{Broker, Caller, Surroundings},
    clock::{Clock, SystemClock},
    config::{Audit, LeakGuard, Limits, public_url},
    egress::{Allow, Egress},
    error::Error,
    local,
    metrics::Metrics,
    random::SystemRandom,
    vault,
};
use secrecy::ExposeSecret;

use crate::{
    config::VaultArgs,
    failure::Failure,
    key_limits::{self, EXAMPLES, LimitArgs},
    output,
    remote::RemoteArgs,
};

const WAYS: &str = "\
With a data directory or a database URL this works straight on the database, also while the server
runs; otherwise, with a token, over HTTP; otherwise on ./keyfob-data.";

#[derive(clap::Args)]
#[command(after_help = WAYS)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Where {
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and show its secret, once
    #[command(after_help = format!("{WAYS}\n\n{EXAMPLES}"))]
    Create {
        /// What it may do: agent = use (list, read codes); backend = also manage; owner = also keys
        #[arg(long, value_enum)]
        role: Role,
        /// What people call it
        #[arg(long, default_value = "")]
        name: String,
        /// When it ends by itself: RFC 3339, such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<jiff::Timestamp>,
        #[command(flatten)]
        at: Where,
        #[command(flatten)]
        limits: Box<LimitArgs>,
    },
    /// List keys, newest first
    #[command(after_help = WAYS)]
    List {
        #[command(flatten)]
        at: Where,
    },
    /// End a key, at once here and within a second on other nodes
    #[command(after_help = WAYS)]
    Revoke {
        /// The key's id, `key_…`
        id: String,
        #[command(flatten)]
        at: Where,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Owner,
    Backend,
    Agent,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Backend => "backend",
            Self::Agent => "agent",
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Create { role, name, expires_at, at, limits } => {
            let expires_at = expires_at.map(jiff::Timestamp::as_millisecond);
            let (role, limits) = (role.name().into(), limits.limits());
            let wanted = CreateKey { role, name, expires_at, limits };
            let json = at.json;
            let key = match at.open(Missing::Make).await? {
                Keys::Remote(client) => client.keys().create(&wanted).await?,
                Keys::Local(broker, caller) => local::create_key(&broker, &caller, wanted).await?,
            };
            show(&key, json)
        }
        Command::List { at } => {
            let json = at.json;
            let keys = match at.open(Missing::Refuse).await? {
                Keys::Remote(client) => client.keys().list().items().try_take(usize::MAX).await?,
                Keys::Local(broker, caller) => local::list_keys(&broker, &caller).await?,
            };
            show_list(&keys, json)
        }
        Command::Revoke { id, at } => {
            match at.open(Missing::Refuse).await? {
                Keys::Remote(client) => client.keys().revoke(&id).await.map(drop)?,
                Keys::Local(broker, caller) => local::revoke_key(&broker, &caller, &id).await?,
            }
            output::say(&format!("{id} is revoked"));
            Ok(())
        }
    }
}

/// Where keys are managed.
enum Keys {
    Remote(Client),
    Local(Broker, Caller),
}

/// What becomes of a vault that is not there: with its first key it is made, but what is in it can
/// only be asked where it is.
enum Missing {
    Make,
    Refuse,
}

impl Where {
    async fn open(self, missing: Missing) -> Result<Keys, Failure> {
        if !self.vault.is_given() && self.remote.is_given() {
            return Ok(Keys::Remote(self.remote.client()?));
        }
        self.remote.expect_no_child()?;
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let config = self.vault.config();
        let vault = match missing {
            Missing::Make => {
                vault::open(&config, &*clock, random.clone(), Arc::new(|_| ())).await?
            }
            Missing::Refuse => {
                vault::open_existing(&config, &*clock, random.clone(), Arc::new(|_| ())).await?
            }
        };
        let metrics = Arc::new(Metrics::default());
        // Nothing here makes links.
        let public_url = public_url("http://localhost").map_err(anyhow::Error::msg)?;
        // Nor asks anybody.
        let egress = Egress::new(Allow::default(), clock.clone()).map_err(anyhow::Error::new)?;
        let surroundings = Surroundings { clock, random, metrics, public_url, egress };
        let broker =
            Broker::new(vault, surroundings, (Audit::Durable, LeakGuard::On), Limits::default());
        if matches!(missing, Missing::Make) {
            // A new vault gets its first account here; its first owner key would help nobody now.
            if broker.make_first_account().await?.is_some() {
                output::say(&format!(
                    "There was no vault in {}: this is a new one.",
                    config.place()
                ));
            }
        }
        let caller = broker.operator().await.map_err(no_account)?;
        Ok(Keys::Local(broker, caller))
    }
}

/// What a start that was killed leaves behind.
fn no_account(error: Error) -> Failure {
    match error {
        Error::NotFound => Failure::Failed(anyhow::anyhow!(
            "the vault has no account yet: `keyfob serve` makes its first one"
        )),
        error => error.into(),
    }
}

fn show(key: &CreatedKey, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(key)?);
    }
    output::say(&format!("A new {} key. Its secret is shown only now:", key.role));
    output::print(&format!("id      {}", key.id))?;
    output::print(&format!("secret  {}", key.secret.expose_secret()))?;
    output::print(&format!("token   {}", key.token.expose_secret()))?;
    Ok(())
}

fn show_list(keys: &[Key], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::print_json(&keys)?);
    }
    let now = SystemClock.now().as_millis();
    let rows: Vec<_> = keys.iter().map(|key| row(key, now)).collect();
    Ok(output::print_table(&["ID", "ROLE", "STATE", "CREATED", "LIMITS", "NAME"], &rows)?)
}

fn row(key: &Key, now: i64) -> Vec<String> {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", output::time(at)),
        (None, _) if key.unreadable => "unreadable".into(),
        (None, Some(at)) if at <= now => format!("expired {}", output::time(at)),
        (None, Some(at)) => format!("until {}", output::time(at)),
        (None, None) => "live".into(),
    };
    vec![
        key.id.clone(),
        key.role.clone(),
        state,
        output::time(key.created_at),
        key_limits::in_words(&key.limits),
        output::plain(&key.name),
    ]
}
