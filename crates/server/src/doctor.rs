//! The doctor: checks a vault from outside, and says what is wrong and how to mend it.
//!
//! It changes nothing, makes nothing, and shows no secret.

use keyfob_core::{
    crypto::{DataKey, MasterKey, Sealed},
    id::{AccountId, TotpId},
};
use keyfob_store::{ReadTx, Store, StoreError, account, data_key, totp, vault};

use crate::{clock::Clock, config::VaultConfig, random::SystemRandom, vault as files};

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
const PAGE: u32 = 500;

/// Looks at everything, in the order in which one thing needs another; stops where it cannot go on.
pub async fn examine(config: &VaultConfig, clock: &dyn Clock) -> Vec<Finding> {
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
        findings.push(finding("sealed values", check_values(&store, key).await));
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
    let url = config.url();
    if let Some(path) = url.strip_prefix("sqlite:")
        && !std::path::Path::new(path.strip_prefix("//").unwrap_or(path)).exists()
    {
        return Err(format!("there is no database {path}: `keyfob serve` makes one"));
    }
    let store = files::open_as_is(config, &SystemRandom);
    store.map_err(|error| error.to_string())
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

/// Opens every sealed value there is, and shows none.
async fn check_values(store: &Store, master: MasterKey) -> Result<String, String> {
    let (mut checked, mut damaged) = (0_u64, Vec::new());
    let mut after: Option<AccountId> = None;
    loop {
        let page = read(store, move |tx| account::list(tx, after.as_ref(), PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for account in page {
            check_account(store, &master, &account.id, &mut checked, &mut damaged).await?;
        }
    }
    if damaged.is_empty() {
        return Ok(format!("{checked} one-time-password secrets open"));
    }
    let shown = damaged.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    Err(format!(
        "{} rows do not open ({shown}): restore them from a backup, or delete them and store them again",
        damaged.len(),
    ))
}

async fn check_account(
    store: &Store,
    master: &MasterKey,
    account: &AccountId,
    checked: &mut u64,
    damaged: &mut Vec<String>,
) -> Result<(), String> {
    let wanted = account.clone();
    let newest = read(store, move |tx| data_key::find_newest(tx, &wanted)).await?;
    let key = newest.and_then(|(id, wrapped)| master.unwrap_data_key(account, id, &wrapped).ok());
    let Some(key) = key else {
        damaged.push(format!("data_key of {account}"));
        return Ok(());
    };
    let mut after: Option<TotpId> = None;
    loop {
        let (account, from) = (account.clone(), after.clone());
        let page = read(store, move |tx| sealed_page(tx, &account, from.as_ref())).await?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        *checked += page.len() as u64;
        let bad = page.iter().filter(|(id, sealed)| !opens(&key, id, sealed.as_ref()));
        damaged.extend(bad.map(|(id, _)| format!("totp {id}")));
    }
}

fn opens(key: &DataKey, id: &TotpId, sealed: Option<&Sealed>) -> bool {
    sealed.is_some_and(|sealed| key.opens("totp", id.as_str(), "secret", sealed))
}

type Values = Vec<(TotpId, Option<Sealed>)>;

fn sealed_page(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&TotpId>,
) -> Result<Values, StoreError> {
    let page = totp::list(tx, account, after, PAGE)?;
    let mut values = Vec::with_capacity(page.len());
    for totp in page {
        let sealed = totp::find_sealed(tx, account, &totp.id)?.map(|sealed| sealed.secret);
        values.push((totp.id, sealed));
    }
    Ok(values)
}

async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut ReadTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    store.read(work).await.map_err(|error| error.to_string())
}
