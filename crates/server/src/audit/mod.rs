//! Verifies and exports the whole audit trail of a vault, past the service: straight on the database, also while
//! a server runs, or on what was exported. Changes nothing. (`seal` is for whoever opens the vault: it begins the
//! log.)

mod database;
mod export;
mod lines;
mod seal;

pub(crate) use self::seal::seal;
pub use self::{database::verify, export::export, lines::verify_lines};

use std::io;

pub use keyfob_core::audit::Report;
use keyfob_core::{
    audit::{AuditKey, Finding, Hash, PublicKey, Verifier},
    crypto::MasterKey,
    time::Timestamp,
};
use keyfob_store::{Store, StoreError};

use crate::{
    config::VaultConfig,
    random::SystemRandom,
    vault::{self, OpenError},
};

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Why a trail could not be looked at. What is wrong with one is no error but a [`Finding`].
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The vault cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read, or the output not be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// Something that the text says.
    #[error("{0}")]
    Refused(String),
}

/// Whose signatures count.
pub enum Trust {
    /// Those of the vault's own key, which also knows what it has tagged.
    Own(Box<Own>),
    /// Those that a public key checks.
    Public(PublicKey),
}

/// A vault's own keys.
pub struct Own {
    key: AuditKey,
    master: MasterKey,
}

impl Trust {
    /// The public key that was given; else that of the vault, whose master key is read.
    pub fn find(public_key: Option<&str>, config: &VaultConfig) -> Result<Self, AuditError> {
        if let Some(text) = public_key {
            return Self::public(text);
        }
        let master = master_key(config)?;
        Ok(Self::Own(Box::new(Own { key: master.audit_key(), master })))
    }

    /// A public key.
    pub fn public(text: &str) -> Result<Self, AuditError> {
        let refused = |error: keyfob_core::audit::MalformedPublicKey| {
            AuditError::Refused(format!("--public-key: {error}"))
        };
        Ok(Self::Public(PublicKey::parse(text).map_err(refused)?))
    }

    fn public_key(&self) -> PublicKey {
        match self {
            Self::Own(own) => own.key.public(),
            Self::Public(key) => key.clone(),
        }
    }

    fn verifier(&self) -> Verifier<'_> {
        match self {
            Self::Own(own) => Verifier::with_key(&own.key),
            Self::Public(key) => Verifier::with_public_key(key.clone()),
        }
    }
}

/// A checkpoint that was noted elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    number: i64,
    hash: Hash,
}

impl Expected {
    /// Reads `NUMBER:HASH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':');
        let read = |(number, hash): (&str, &str)| {
            Some(Self { number: number.parse().ok()?, hash: Hash::parse(hash)? })
        };
        parts.and_then(read).ok_or_else(|| {
            "it must be a checkpoint's number, `:` and its hash, as a verification prints them"
                .into()
        })
    }
}

/// What is told while a trail is looked at.
pub enum Told {
    /// Something is not as it was written.
    Found(Finding),
    /// So many events were looked at.
    Events(u64),
}

/// So often it is told how far it has come.
const EVERY: u64 = 100_000;

/// Tells of a verification as it goes on.
struct Teller<'a> {
    tell: &'a mut dyn FnMut(Told),
    told: u64,
}

impl<'a> Teller<'a> {
    fn new(tell: &'a mut dyn FnMut(Told)) -> Self {
        Self { tell, told: 0 }
    }

    fn found(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| (self.tell)(Told::Found(finding)));
    }

    fn progress(&mut self, events: u64) {
        if events / EVERY > self.told / EVERY {
            (self.tell)(Told::Events(events));
        }
        self.told = events;
    }

    fn hear(&mut self, verifier: &mut Verifier<'_>) {
        self.found(verifier.found());
        self.progress(verifier.report().events);
    }
}

/// The key that checks the signatures of a vault, in hexadecimal digits.
pub fn public_key(config: &VaultConfig) -> Result<String, AuditError> {
    Ok(master_key(config)?.audit_key().public().to_string())
}

fn master_key(config: &VaultConfig) -> Result<MasterKey, AuditError> {
    let none = || {
        let file = config.key_file().display().to_string();
        AuditError::Refused(format!(
            "there is no master key in {file}: name the vault with --data-dir, --database-url and --master-key-file, or give its --public-key"
        ))
    };
    vault::master_key(config)?.ok_or_else(none)
}

/// Opens the database of a vault as it is.
pub fn open(config: &VaultConfig) -> Result<Store, AuditError> {
    Ok(vault::open_as_is(config, &SystemRandom)?)
}

/// What was looked at, in words.
#[must_use]
pub fn summary(report: &Report) -> Vec<String> {
    let Report { events, chains, checkpoints, .. } = report;
    if report.is_part {
        return vec![format!(
            "{events} events of a list: each has its hash, and follows its neighbour where both are there, as far as nothing else is said. That they are genuine, and that none is missing, a list cannot show: `keyfob event export` can"
        )];
    }
    let mut lines = vec![format!("{events} events in {chains} chains, {checkpoints} checkpoints")];
    if report.uncovered > 0 {
        lines.push(format!(
            "{} events are later than the last checkpoint of their chain",
            report.uncovered
        ));
    }
    if report.unchained > 0 {
        lines.push(format!(
            "{} events are from before there were chains: they are proved since the log began, as they were then",
            report.unchained
        ));
    }
    if let Some(at) = report.expired_at {
        let at = date(at);
        lines.push(format!("{} events were removed by retention up to {at}", report.expired));
    }
    if let Some((hash, at)) = &report.first {
        lines.push(format!("the log began at {} with checkpoint 1:{hash}", date(*at)));
    }
    if let Some((number, hash, _)) = &report.newest {
        lines.push(format!("the newest checkpoint is {number}:{hash}"));
    }
    lines
}

/// A moment, for people.
#[must_use]
pub fn date(at: Timestamp) -> String {
    let date = jiff::Timestamp::from_millisecond(at.as_millis());
    date.map(|date| date.to_string()).unwrap_or_default()
}
