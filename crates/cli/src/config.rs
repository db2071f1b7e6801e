//! Configuration: flags, and environment variables of the same names (contract/keyfob).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use keyfob_server::{
    config::{Audit, Config, LeakGuard, Limits, VaultConfig, public_url},
    egress::Allow,
};
use secrecy::SecretString;
use url::Url;

/// Where the vault is.
#[derive(Args, Clone)]
pub(crate) struct VaultArgs {
    /// Directory of the SQLite file and the master key file; made on first start
    #[arg(long, env = "KEYFOB_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://…`; the SQLite file in the data directory if not given
    #[arg(long, env = "KEYFOB_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// File of the master key: 32 random bytes in base64, readable by its owner only
    #[arg(long, env = "KEYFOB_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
}

/// The only value that is not a flag: a command line is visible to everyone on the machine.
const MASTER_KEY: &str = "KEYFOB_MASTER_KEY";

impl VaultArgs {
    pub(crate) fn config(self) -> VaultConfig {
        #[expect(clippy::disallowed_methods, reason = "configuration is read here")]
        let master_key = std::env::var(MASTER_KEY).ok().filter(|key| !key.is_empty());
        VaultConfig {
            data_dir: self.data_dir.unwrap_or_else(|| "./keyfob-data".into()),
            database_url: self.database_url,
            master_key_file: self.master_key_file,
            master_key: master_key.map(SecretString::from),
        }
    }

    /// Whether this names a vault, rather than leaving all to the defaults.
    pub(crate) fn is_given(&self) -> bool {
        self.data_dir.is_some() || self.database_url.is_some()
    }
}

/// What may be reached.
#[derive(Args, Clone)]
pub(crate) struct EgressArgs {
    /// What may be reached although it is not public, over plain http too: comma-separated networks
    /// (`10.0.0.0/8`), addresses, or names with ports (`provider.internal:8443`)
    #[arg(long, env = "KEYFOB_EGRESS_ALLOW", value_name = "LIST", value_parser = Allow::parse)]
    egress_allow: Option<Allow>,
}

impl EgressArgs {
    pub(crate) fn allow(self) -> Allow {
        self.egress_allow.unwrap_or_default()
    }
}

/// How the server is run.
#[derive(Args, Clone)]
pub(crate) struct ServeArgs {
    /// Address of the API and pages; port 0 picks one and prints it
    #[arg(long, env = "KEYFOB_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7117")]
    listen: SocketAddr,
    /// Address of a second listener for /metrics, /healthz and /readyz; none if not given
    #[arg(long, env = "KEYFOB_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Where people reach the pages, such as `https://keyfob.example.com`: what links begin with; the
    /// address it listens on if not given
    #[arg(long, env = "KEYFOB_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    public_url: Option<Url>,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    vault: VaultArgs,
    /// When a credential is released: after its event is on stable storage, or up to a second before
    #[arg(long, env = "KEYFOB_AUDIT", value_name = "MODE", default_value = "durable")]
    audit: AuditMode,
    /// Whether answers of upstreams are searched for the credential that was sent; off only to measure it
    #[arg(long, env = "KEYFOB_LEAK_GUARD", value_name = "MODE", default_value = "on")]
    leak_guard: GuardMode,
    /// How many days events are kept, at least one; for ever if not given
    #[arg(long, env = "KEYFOB_EVENT_RETENTION_DAYS", value_name = "DAYS", value_parser = days)]
    event_retention: Option<Duration>,
    /// One-time-password entries an account may hold
    #[arg(long, env = "KEYFOB_MAX_TOTP", value_name = "N", default_value_t = Limits::default().totp_per_account)]
    max_totp: u32,
    /// Connections served at a time; further ones wait
    #[arg(long, env = "KEYFOB_MAX_CONNECTIONS", value_name = "N", default_value_t = Limits::default().connections)]
    max_connections: usize,
}

fn days(text: &str) -> Result<Duration, String> {
    let days = text.parse().ok().filter(|days: &u64| (1..=36_500).contains(days));
    let days = days.ok_or("it must be a number of days from 1 to 36500")?;
    Ok(Duration::from_hours(24 * days))
}

#[derive(Clone, Copy, ValueEnum)]
enum AuditMode {
    Durable,
    Buffered,
}

#[derive(Clone, Copy, ValueEnum)]
enum GuardMode {
    On,
    Off,
}

impl ServeArgs {
    pub(crate) fn config(self) -> Config {
        Config {
            listen: self.listen,
            admin_listen: self.admin_listen,
            public_url: self.public_url,
            egress_allow: self.egress.allow(),
            vault: self.vault.config(),
            audit: match self.audit {
                AuditMode::Durable => Audit::Durable,
                AuditMode::Buffered => Audit::Buffered,
            },
            leak_guard: match self.leak_guard {
                GuardMode::On => LeakGuard::On,
                GuardMode::Off => LeakGuard::Off,
            },
            limits: Limits {
                totp_per_account: self.max_totp,
                connections: self.max_connections.max(1),
            },
            event_retention: self.event_retention,
        }
    }
}

/// What goes to the log, and how.
#[derive(Args, Clone)]
pub(crate) struct LogArgs {
    /// What is logged: a level, or a filter such as `info,keyfob_server=debug`
    #[arg(long, env = "KEYFOB_LOG", value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// How it is written to stderr
    #[arg(long, env = "KEYFOB_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}
