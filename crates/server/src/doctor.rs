//! The doctor: checks a vault from outside, and says what is wrong and how to mend it.
//!
//! It changes nothing, makes nothing, and shows no secret.

use keyfob_core::{
    crypto::{DataKey, MasterKey, OpenError, Sealed},
    id::{AccountId, SecretId, TotpId},
    time::Timestamp,
};
use keyfob_store::{
    ReadTx, Store, StoreError, account, data_key,
    secret::{self, Secret},
    totp::{self, SealedTotp},
    vault,
};

use crate::{
    broker::code::reach, clock::Clock, config::VaultConfig, error::Damaged, random::SystemRandom,
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
        let checked = check_values(&store, key, clock.now()).await;
        let values = checked.as_ref().map_err(Clone::clone);
        findings.push(finding("sealed values", values.and_then(Checked::values)));
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

/// Reads every row that holds a sealed value, opens it, and shows none.
async fn check_values(store: &Store, master: MasterKey, now: Timestamp) -> Result<Checked, String> {
    let mut checked = Checked { now, opened: 0, damage: Vec::new(), ahead: Vec::new() };
    let mut after: Option<AccountId> = None;
    loop {
        let page = read(store, move |tx| account::list(tx, after.as_ref(), PAGE)).await?;
        checked.damaged(&page.damaged);
        for account in page.rows {
            check_account(store, &master, &account.id, &mut checked).await?;
        }
        let Some(last) = page.last else {
            return Ok(checked);
        };
        after = Some(last);
    }
}

/// Rows that are named; of more there is only the count.
const SHOWN: usize = 20;

/// What was found in the rows.
struct Checked {
    now: Timestamp,
    opened: u64,
    /// What is wrong with those that do not open.
    damage: Vec<String>,
    /// Entries whose taken time steps are ahead of the clock.
    ahead: Vec<TotpId>,
}

impl Checked {
    fn values(&self) -> Result<String, String> {
        let Self { opened, damage, .. } = self;
        if damage.is_empty() {
            return Ok(format!("{opened} sealed values open"));
        }
        let count = damage.len();
        let shown: String = damage.iter().take(SHOWN).flat_map(|line| ["\n  ", line]).collect();
        Err(format!("{opened} sealed values open, {count} rows or values do not:{shown}"))
    }

    fn steps(&self) -> Result<String, String> {
        if self.ahead.is_empty() {
            return Ok("none is taken that is yet to come".into());
        }
        let count = self.ahead.len();
        let shown = self.ahead.iter().take(SHOWN).map(|id| format!("\n  totp row {id}"));
        Err(format!(
            "of {count} entries steps are taken that are far ahead, as after a clock that was wrong; `unique` waits for them to pass, unless the entry is PATCHed with {{\"policy\":{{\"forget_steps_ahead\":true}}}}:{}",
            shown.collect::<String>(),
        ))
    }

    fn damaged(&mut self, errors: &[StoreError]) {
        self.damage.extend(errors.iter().map(StoreError::to_string));
    }

    fn does_not_open(&mut self, table: &'static str, row: String, column: &'static str) {
        let damaged = Damaged { table, row, column, source: OpenError };
        self.damage.push(damaged.to_string());
    }

    /// Whether a column of a row opens.
    fn sealed(
        &mut self,
        key: &DataKey,
        (table, row, column): (&'static str, &str, &'static str),
        sealed: &Sealed,
    ) -> bool {
        let opens = key.opens(table, row, column, sealed);
        if opens {
            self.opened += 1;
        } else {
            self.does_not_open(table, row.to_owned(), column);
        }
        opens
    }

    fn entry(&mut self, key: &DataKey, id: TotpId, found: &SealedTotp) {
        let opens = self.sealed(key, ("totp", id.as_str(), "secret"), &found.secret);
        if opens && reach(found.parameters, self.now).is_ok_and(|reach| found.last_step > reach) {
            self.ahead.push(id);
        }
    }
}

async fn check_account(
    store: &Store,
    master: &MasterKey,
    account: &AccountId,
    checked: &mut Checked,
) -> Result<(), String> {
    let wanted = account.clone();
    let newest = match store.read(move |tx| data_key::find_newest(tx, &wanted)).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            checked.damaged(&[error]);
            return Ok(());
        }
        newest => newest.map_err(|error| error.to_string())?,
    };
    let key = newest.and_then(|(id, wrapped)| master.unwrap_data_key(account, id, &wrapped).ok());
    let Some(key) = key else {
        checked.does_not_open("data_key", account.to_string(), "wrapped");
        return Ok(());
    };
    check_entries(store, &key, checked).await?;
    check_definitions(store, &key, checked).await
}

/// Opens the values and configs of the account's secrets.
async fn check_definitions(
    store: &Store,
    key: &DataKey,
    checked: &mut Checked,
) -> Result<(), String> {
    let mut after: Option<SecretId> = None;
    loop {
        let (account, from) = (key.account().clone(), after.clone());
        let page = read(store, move |tx| secret::list(tx, &account, from.as_ref(), PAGE)).await?;
        checked.damaged(&page.damaged);
        for Secret { id, value, config, .. } in page.rows {
            for (column, sealed) in [("value", value), ("config", config)] {
                if let Some(sealed) = sealed {
                    checked.sealed(key, ("secret", id.as_str(), column), &sealed);
                }
            }
        }
        let Some(last) = page.last else {
            return Ok(());
        };
        after = Some(last);
    }
}

async fn check_entries(store: &Store, key: &DataKey, checked: &mut Checked) -> Result<(), String> {
    let mut after: Option<TotpId> = None;
    loop {
        let (account, from) = (key.account().clone(), after.clone());
        let page = read(store, move |tx| totp::list(tx, &account, from.as_ref(), PAGE)).await?;
        checked.damaged(&page.damaged);
        let ids = page.rows.into_iter().map(|totp| totp.id).collect();
        check_seeds(store, key, ids, checked).await?;
        let Some(last) = page.last else {
            return Ok(());
        };
        after = Some(last);
    }
}

/// Opens the secrets of these entries.
async fn check_seeds(
    store: &Store,
    key: &DataKey,
    ids: Vec<TotpId>,
    checked: &mut Checked,
) -> Result<(), String> {
    let account = key.account().clone();
    let secrets = read(store, move |tx| {
        let find = |id: &TotpId| (id.clone(), totp::find_sealed(tx, &account, id));
        Ok(ids.iter().map(find).collect::<Vec<_>>())
    });
    for (id, sealed) in secrets.await? {
        match sealed {
            // It was deleted meanwhile.
            Ok(None) => {}
            Ok(Some(found)) => checked.entry(key, id, &found),
            Err(error @ StoreError::Corrupt { .. }) => checked.damaged(&[error]),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut ReadTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    store.read(work).await.map_err(|error| error.to_string())
}
