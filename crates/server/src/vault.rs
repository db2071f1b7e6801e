//! Opening a vault: its database, its master key, and at first start its first account.
//!
//! Every way in which database and key can fail to belong together is an error that says what to
//! do, and nothing is overwritten.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use keyfob_core::{
    audit::Hash,
    crypto::{MasterKey, MasterKeyId},
    random::{self, Random},
    time::Timestamp,
};
use keyfob_store::{Options, Store, StoreError, Target, vault};

use crate::{audit, clock::Clock, config::VaultConfig, key_file, notary::VaultNotary};

/// Why a vault cannot be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something is not as it must be.
    #[error("{0}")]
    Refused(String),
    /// The database's own failure.
    #[error("the database cannot be opened: {0}")]
    Store(#[from] StoreError),
}

/// An open database and the key that opens what is in it.
pub struct Vault {
    /// The database.
    pub store: Store,
    /// The master key.
    pub master: Arc<MasterKey>,
    /// The hash of the first checkpoint of its audit trail, which new data keys are wrapped together with; `None`
    /// where somebody has removed that.
    pub anchor: Option<Hash>,
}

impl VaultConfig {
    /// The database's URL, the default one included.
    #[must_use]
    pub fn url(&self) -> String {
        let file = || format!("sqlite:{}", self.data_dir.join("keyfob.db").display());
        self.database_url.clone().unwrap_or_else(file)
    }

    /// Where the database is, for people; without a server's URL, which may hold a password.
    #[must_use]
    pub fn place(&self) -> String {
        match self.url().parse() {
            Ok(Target::Sqlite(path)) => path.display().to_string(),
            _ => "this PostgreSQL database".into(),
        }
    }

    /// The master key's file, the default one included.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        let file = || self.data_dir.join("master.key");
        self.master_key_file.clone().unwrap_or_else(file)
    }
}

/// Opens the database alone, as it is: makes nothing, upgrades nothing. Blocks.
pub(crate) fn open_as_is(config: &VaultConfig, random: &dyn Random) -> Result<Store, OpenError> {
    let target: Target = config.url().parse()?;
    let options = Options { may_migrate: false, ..Options::new(random::bytes(random)) };
    Ok(Store::open(&target, &options)?)
}

/// Opens the vault. A new one gets a master key. Blocks while it opens the database.
pub async fn open(
    config: &VaultConfig,
    clock: &dyn Clock,
    random: Arc<dyn Random>,
    observe: Arc<dyn Fn(usize) + Send + Sync>,
) -> Result<Vault, OpenError> {
    let target: Target = config.url().parse()?;
    let bound = Store::bound_to(&target)?;
    open_bound(config, &target, bound, clock, random, observe).await
}

/// [`open`], for whom a new vault would be of no use: where there is none it makes nothing.
pub async fn open_existing(
    config: &VaultConfig,
    clock: &dyn Clock,
    random: Arc<dyn Random>,
    observe: Arc<dyn Fn(usize) + Send + Sync>,
) -> Result<Vault, OpenError> {
    let target: Target = config.url().parse()?;
    let Some(bound) = Store::bound_to(&target)? else {
        return Err(OpenError::Refused(none_in(config)));
    };
    open_bound(config, &target, Some(bound), clock, random, observe).await
}

/// What to do where there is no vault.
fn none_in(config: &VaultConfig) -> String {
    let place = config.place();
    format!(
        "there is no vault in {place}: `keyfob serve` makes one. Name another one with --data-dir or --database-url; or, to ask a running server, give neither of them (nor their variables) and set KEYFOB_URL and KEYFOB_TOKEN"
    )
}

/// Compares before it opens: opening brings the database to this version's schema.
async fn open_bound(
    config: &VaultConfig,
    target: &Target,
    bound: Option<MasterKeyId>,
    clock: &dyn Clock,
    random: Arc<dyn Random>,
    observe: Arc<dyn Fn(usize) + Send + Sync>,
) -> Result<Vault, OpenError> {
    let given = master_key(config)?;
    match &bound {
        Some(id) => check_key(given.as_ref(), id, config)?,
        None => make_data_dir(&config.data_dir)?,
    }
    let notary = Arc::new(VaultNotary::default());
    let options = Options {
        observe,
        node: format!("keyfob {}, process {}", env!("CARGO_PKG_VERSION"), std::process::id())
            .into(),
        notary: notary.clone(),
        ..Options::new(random::bytes(&*random))
    };
    let store = Store::open(target, &options)?;
    let master = given.map_or_else(|| key_file::make(&config.key_file(), &*random), Ok)?;
    notary.set(master.audit_key());
    if bound.is_none() {
        bind(&store, &master, clock.now()).await?;
    }
    // Another process may have bound it since the look.
    let bound: Option<_> = store.read(vault::find).await?;
    let lost = || OpenError::Refused("the database does not keep what is written to it".into());
    check_key(Some(&master), &bound.ok_or_else(lost)?, config)?;
    let master = Arc::new(master);
    let anchor = audit::seal(&store, &master, clock.now(), random).await?;
    Ok(Vault { store, master, anchor })
}

/// Refuses a master key that is not the one that the database was sealed with.
fn check_key(
    key: Option<&MasterKey>,
    bound: &MasterKeyId,
    config: &VaultConfig,
) -> Result<(), OpenError> {
    match key {
        Some(key) if key.id() == bound => Ok(()),
        Some(key) => Err(OpenError::Refused(format!(
            "the database was sealed with master key {bound}, and the one given is {}: start with the right master key (KEYFOB_MASTER_KEY_FILE), or with another database. Nothing was changed",
            key.id(),
        ))),
        None => Err(OpenError::Refused(format!(
            "the master key file {} is missing, and the database was sealed with master key {bound}: put that file back, or name it with KEYFOB_MASTER_KEY_FILE. A new key would open nothing",
            config.key_file().display(),
        ))),
    }
}

/// Says in the database which master key it is sealed with, unless it says so already.
async fn bind(store: &Store, key: &MasterKey, now: Timestamp) -> Result<(), StoreError> {
    let id = key.id().clone();
    let bind = store.write(move |tx| {
        vault::insert(tx, &id, now)?;
        Ok::<_, StoreError>(tx.commit_unaudited(()))
    });
    bind.await
}

/// The data directory, made for its owner only.
fn make_data_dir(path: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| {
        OpenError::Refused(format!("the data directory {} cannot be made: {error}", path.display()))
    })
}

/// The master key that was given, or that its file holds; `None` if there is no file.
pub fn master_key(config: &VaultConfig) -> Result<Option<MasterKey>, OpenError> {
    let (text, origin) = match &config.master_key {
        Some(text) => (text.clone(), "KEYFOB_MASTER_KEY".to_owned()),
        None => match key_file::read(&config.key_file())? {
            Some(text) => (text, config.key_file().display().to_string()),
            None => return Ok(None),
        },
    };
    let refused = |error| OpenError::Refused(format!("{origin}: {error}"));
    MasterKey::parse(&text).map(Some).map_err(refused)
}
