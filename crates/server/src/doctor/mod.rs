//! The doctor: checks a vault from outside, and says what is wrong and how to mend it.
//!
//! It changes nothing, makes nothing, and shows no secret.

mod checked;
mod columns;
mod values;

use keyfob_core::crypto::MasterKey;
use keyfob_store::{ReadTx, Store, StoreError, vault};

use self::checked::Checked;
use crate::{
    clock::Clock,
    config::VaultConfig,
    egress::{Allow, trusted},
    random::SystemRandom,
    vault as files,
};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// What was found: good, or what is wrong and how to mend it.
    pub result: Result<String, String>,
}

/// Before this Keyfob did not exist: a clock that says so is wrong. 2026-01-01T00:00:00Z.
const EARLIEST: i64 = 1_767_225_600;

/// Looks at everything.
pub async fn examine(config: &VaultConfig, allow: &Allow, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = examine_vault(config, clock).await;
    findings.push(finding("egress", check_egress(allow)));
    findings
}

/// Looks at the vault, in the order in which one thing needs another; stops where it cannot go on.
async fn examine_vault(config: &VaultConfig, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = vec![finding("clock", check_clock(clock))];
    let key = files::master_key(config).map_err(|error| error.to_string()).and_then(|key| {
        key.ok_or_else(|| {
            format!("there is no master key file {}: `keyfob serve` makes one for a new vault; for an old one, put it back", config.key_file().display())
        })
    });
    let described = key.as_ref().map(|key| format!("{} ({})", key.id(), origin(config)));
    findings.push(finding("master key", described.map_err(Clone::clone)));
    let store = open(config);
    let described = store.as_ref().map(|_| describe(config));
    findings.push(finding("database", described.map_err(Clone::clone)));
    let (Ok(key), Ok(store)) = (key, store) else {
        return findings;
    };
    findings.push(finding("their match", check_match(&store, &key).await));
    if findings.iter().all(|finding| finding.result.is_ok()) {
        let checked = values::check(&store, key, clock.now()).await;
        let values = checked.as_ref().map_err(Clone::clone);
        findings.push(finding("sealed values", values.and_then(Checked::values)));
        let revocations = checked.as_ref().map_err(Clone::clone);
        findings.push(finding("revocations", revocations.and_then(Checked::revocations)));
        findings.push(finding("time steps", checked.and_then(|checked| checked.steps())));
    }
    store.close();
    findings
}

fn finding(what: &'static str, result: Result<String, String>) -> Finding {
    Finding { what, result }
}

fn check_clock(clock: &dyn Clock) -> Result<String, String> {
    let now = clock.now();
    let text = jiff::Timestamp::from_millisecond(now.as_millis()).map(|now| now.to_string());
    match text {
        Ok(text) if now.as_seconds() >= EARLIEST => Ok(text),
        _ => Err(format!(
            "the clock says {} s since 1970, which is wrong: set it (timedatectl set-ntp true); one-time codes depend on it",
            now.as_seconds(),
        )),
    }
}

/// What may be reached, and whether https can be trusted there. Asks nobody.
fn check_egress(allow: &Allow) -> Result<String, String> {
    if trusted().is_empty() {
        return Err("this machine trusts no certificate authority, so no https can be: install its ca-certificates, or name a file of them with SSL_CERT_FILE".into());
    }
    if allow.is_empty() {
        return Ok("https to public addresses, and nothing else".into());
    }
    Ok(format!(
        "https to public addresses; https and http to what KEYFOB_EGRESS_ALLOW lets through: {allow}"
    ))
}

fn origin(config: &VaultConfig) -> String {
    match config.master_key {
        Some(_) => "from KEYFOB_MASTER_KEY".into(),
        None => config.key_file().display().to_string(),
    }
}

/// The database without what its URL may hold of a password.
fn describe(config: &VaultConfig) -> String {
    match config.url() {
        url if url.starts_with("sqlite:") => url,
        _ => "PostgreSQL answers".into(),
    }
}

fn open(config: &VaultConfig) -> Result<Store, String> {
    files::open_as_is(config, &SystemRandom).map_err(|error| error.to_string())
}

async fn check_match(store: &Store, key: &MasterKey) -> Result<String, String> {
    let bound = read(store, vault::find).await?;
    match bound {
        Some(id) if id == *key.id() => {
            Ok("the master key is the one that sealed this database".into())
        }
        Some(id) => Err(format!(
            "the database was sealed with master key {id}: name that key's file with KEYFOB_MASTER_KEY_FILE"
        )),
        None => Err("the database is new: `keyfob serve` sets it up".into()),
    }
}

async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut ReadTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    store.read(work).await.map_err(|error| error.to_string())
}
