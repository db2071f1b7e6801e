//! Opening a vault: its database, its master key, and at first start its first account.
//!
//! Every way in which database and key can fail to belong together is an error that says what to
//! do, and nothing is overwritten.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use keyfob_core::{
    crypto::{MasterKey, MasterKeyText},
    random::{self, Random},
};
use keyfob_store::{Options, Store, StoreError, Target, vault};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{clock::Clock, config::VaultConfig};

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
    pub master: MasterKey,
    /// Whether this call bound the database to the master key: its very first start.
    pub is_new: bool,
}

impl VaultConfig {
    /// The database's URL, the default one included.
    #[must_use]
    pub fn url(&self) -> String {
        let file = || format!("sqlite:{}", self.data_dir.join("keyfob.db").display());
        self.database_url.clone().unwrap_or_else(file)
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
    random: &dyn Random,
    observe: Arc<dyn Fn(usize) + Send + Sync>,
) -> Result<Vault, OpenError> {
    make_data_dir(&config.data_dir)?;
    let target: Target = config.url().parse()?;
    let options = Options { observe, ..Options::new(random::bytes(random)) };
    let store = Store::open(&target, &options)?;
    let bound: Option<_> = store.read(vault::find).await?;
    let master = match (master_key(config)?, &bound) {
        (Some(key), _) => key,
        (None, None) => make_master_key(&config.key_file(), random)?,
        (None, Some(id)) => {
            return Err(OpenError::Refused(format!(
                "the master key file {} is missing, and the database was sealed with master key {id}: put that file back, or name it with KEYFOB_MASTER_KEY_FILE. A new key would open nothing",
                config.key_file().display(),
            )));
        }
    };
    let (id, now) = (master.id().clone(), clock.now());
    let is_new = bound.is_none()
        && store
            .write(move |tx| {
                let inserted = vault::insert(tx, &id, now)?;
                Ok::<_, StoreError>(tx.commit_unaudited(inserted))
            })
            .await?;
    check_key(&store, &master).await?;
    Ok(Vault { store, master, is_new })
}

async fn check_key(store: &Store, master: &MasterKey) -> Result<(), OpenError> {
    let bound = store.read(vault::find).await?;
    match bound {
        Some(id) if id == *master.id() => Ok(()),
        Some(id) => Err(OpenError::Refused(format!(
            "the database was sealed with master key {id}, and the one given is {}: start with the right master key (KEYFOB_MASTER_KEY_FILE), or with another database. Nothing was changed",
            master.id(),
        ))),
        None => Err(OpenError::Refused("the database does not keep what is written to it".into())),
    }
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
        None => match read_key_file(&config.key_file())? {
            Some(text) => (text, config.key_file().display().to_string()),
            None => return Ok(None),
        },
    };
    let refused = |error| OpenError::Refused(format!("{origin}: {error}"));
    MasterKey::parse(&text).map(Some).map_err(refused)
}

fn read_key_file(path: &Path) -> Result<Option<MasterKeyText>, OpenError> {
    let refused = |text: String| OpenError::Refused(format!("{}: {text}", path.display()));
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error.to_string())),
    };
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(refused(format!(
            "others can read the master key (mode {:o}): run chmod 600 {path}, and consider whether it has been read",
            mode & 0o777,
        )));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| refused(e.to_string()))?);
    Ok(Some(SecretString::from(text.as_str())))
}

/// Writes a new master key; on stable storage before anything is sealed with it.
fn make_master_key(path: &Path, random: &dyn Random) -> Result<MasterKey, OpenError> {
    let refused = |error: std::io::Error| {
        OpenError::Refused(format!("the master key cannot be kept in {}: {error}", path.display()))
    };
    let text = MasterKey::generate(random);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(refused)?;
    file.write_all(text.expose_secret().as_bytes()).map_err(refused)?;
    file.write_all(b"\n").and_then(|()| file.sync_all()).map_err(refused)?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(refused)?;
    }
    MasterKey::parse(&text).map_err(|error| OpenError::Refused(error.to_string()))
}
