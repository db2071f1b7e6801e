//! `keyfob serve`

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
};

use anyhow::Context;
use keyfob_server::{
    app::App,
    broker::{Broker, NewKey, REQUESTS_OUT, Surroundings},
    clock::SystemClock,
    config::{Config, LeakGuard},
    egress::{Egress, KEPT},
    jobs,
    log::is_loggable,
    metrics::Metrics,
    random::SystemRandom,
    serve::{Bounds, bind, serve},
    vault,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use secrecy::ExposeSecret;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};
use url::{Host, Url};

use crate::{
    config::{LogArgs, LogFormat, ServeArgs},
    failure::Failure,
    output,
};

/// File descriptors that are not callers' connections nor those that their requests are passed on by: database, log,
/// listeners, what background jobs ask of providers, and connections that are kept to be used again.
const OTHER_FILES: usize = 64 + REQUESTS_OUT + KEPT;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    start_log(&args.log)?;
    let mut config = args.serve.config();
    config.limits.connections = raise_file_limit(config.limits.connections);
    let bounds = Bounds::of(config.limits.connections);
    // Before the vault is opened: a first start that cannot listen makes none, and its key is still
    // to be shown by the one that can.
    let listener = bind_to(config.listen)?;
    let admin = config.admin_listen.map(bind_to).transpose()?;
    let public_url = public_url(&config, listener.local_addr()?)?;
    let (broker, metrics) = open(&config, public_url).await?;
    if let Some(key) = broker.make_first_account().await? {
        let shown = show_first_key(args.log.log_format, &key);
        shown.map_err(|error| not_shown(&config, &error))?;
    }
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which also means to stop.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let api = App::new(broker.clone(), Arc::clone(&metrics), &SystemRandom);
    let mut servers = tokio::task::JoinSet::new();
    servers.spawn(serve(listener, api, bounds, wait(stopped.clone())));
    if let Some(listener) = admin {
        announce(args.log.log_format, "admin on", listener.local_addr()?);
        let app = App::admin(broker.clone(), metrics, &SystemRandom);
        servers.spawn(serve(listener, app, bounds, wait(stopped)));
    }
    let jobs = tokio::spawn(jobs::run(broker.clone(), config.event_retention));
    // Before anyone is told that it listens: from then on it may be told to stop.
    let signals = Signals::new()?;
    announce(args.log.log_format, "listening on", address);
    signals.first().await;
    tracing::info!("stopping: finishing what was accepted");
    // Nobody listening is as good as everyone having heard.
    let _ = stop.send(true);
    while servers.join_next().await.is_some() {}
    jobs.abort();
    // What a provider has granted must be stored before the database is closed.
    broker.finish_requests().await;
    // And the trail is signed to its end.
    broker.finish_events().await;
    tokio::task::spawn_blocking(move || broker.close()).await.context("closing the database")?;
    Ok(())
}

/// What links begin with.
fn public_url(config: &Config, address: SocketAddr) -> Result<Url, Failure> {
    let url = match &config.public_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{address}")).context("the address as a URL")?,
    };
    if url.scheme() == "http" && !is_local(&url) {
        tracing::warn!(
            "links begin with {url}, where nothing is encrypted: put TLS in front of Keyfob, and set KEYFOB_PUBLIC_URL to what people then open"
        );
    }
    Ok(url)
}

/// Whether only this machine is reached under a URL.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

async fn open(config: &Config, public_url: Url) -> Result<(Broker, Arc<Metrics>), Failure> {
    if config.leak_guard == LeakGuard::Off {
        tracing::warn!(
            "answers are not searched for credentials (KEYFOB_LEAK_GUARD=off): whoever may send requests may read them"
        );
    }
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let metrics = Arc::new(Metrics::default());
    let vault =
        vault::open(&config.vault, &*clock, random.clone(), metrics.observe_batches()).await?;
    let egress = Egress::new(config.egress_allow.clone(), clock.clone())
        .context("setting up the way out to the network")?;
    let metrics_too = Arc::clone(&metrics);
    let surroundings = Surroundings { clock, random, metrics: metrics_too, public_url, egress };
    Ok((
        Broker::new(vault, surroundings, (config.audit, config.leak_guard), config.limits),
        metrics,
    ))
}

fn bind_to(address: SocketAddr) -> Result<tokio::net::TcpListener, Failure> {
    Ok(bind(address).with_context(|| format!("cannot listen on {address}"))?)
}

/// Says where the server is, in a line that scripts can wait for.
fn announce(format: LogFormat, what: &str, address: SocketAddr) {
    say(format, &format!("{what} http://{address}"));
}

/// The target of what is said whatever the log's filter: scripts wait for it.
const SAID: &str = "keyfob::said";

/// Says something to a person, in a way that does not break the log they share stderr with.
fn say(format: LogFormat, line: &str) {
    match format {
        LogFormat::Text => output::say(line),
        LogFormat::Json => tracing::info!(target: SAID, "{line}"),
    }
}

/// The only time this key's secret is shown.
fn show_first_key(format: LogFormat, key: &NewKey) -> io::Result<()> {
    say(format, "This is a new vault. Its first owner key, shown only now:");
    output::print(&format!("id      {}", key.id))?;
    output::print(&format!("secret  {}", key.secret.to_text().expose_secret()))?;
    output::print(&format!("token   {}", key.secret.to_token(&key.id).expose_secret()))
}

/// What to do when the first key was lost on its way. The error is in the text and not its cause:
/// that nobody reads the output must not pass for a quiet end.
fn not_shown(config: &Config, error: &io::Error) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "the new vault in {} is made, but its first owner key could not be written to standard output ({error}) and is lost: `keyfob key create --role owner`, for the same vault, makes another one",
        config.vault.place(),
    ))
}

fn start_log(args: &LogArgs) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| Failure::Usage(format!("KEYFOB_LOG is not a filter: {error}")))?;
    let said = format!("{SAID}=info").parse().context("letting through what is said")?;
    let filter = filter.add_directive(said);
    let log = tracing_subscriber::registry().with(filter).with(filter_fn(is_loggable));
    let lines = fmt::layer().with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => log.with(lines.with_ansi(io::stderr().is_terminal())).init(),
        LogFormat::Json => log.with(lines.json().flatten_event(true)).init(),
    }
    Ok(())
}

/// Makes room for `connections`, half of which may have another one to pass requests on by; for how many there is
/// room.
fn raise_file_limit(connections: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = (connections + connections / 2 + OTHER_FILES) as u64;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| wanted.min(maximum)));
        // If it cannot be raised, what there is has to do.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let files = getrlimit(Resource::Nofile).current;
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    connections.min(files.saturating_sub(OTHER_FILES) / 3 * 2).max(1)
}

/// SIGTERM and SIGINT, which from now on do not end the process by themselves.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ends at the first of them; a second one ends the process at once.
    async fn first(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(1);
        });
    }
}
