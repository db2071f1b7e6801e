//! The keyring: the accounts' data keys, unwrapped, for as long as they are in use.

use std::sync::Arc;

use keyfob_core::{
    audit::Hash,
    crypto::{DataKey, MasterKey, OpenError, Sealed},
    id::AccountId,
    policy::Permit,
    random::Random,
    time::Timestamp,
};
use keyfob_store::{ReadTx, StoreError, WriteTx, data_key};
use quick_cache::{UnitWeighter, sync::Cache};
use zeroize::Zeroizing;

use crate::error::{Damaged, Error};

/// Accounts whose keys are kept unwrapped; another one costs a read and an unwrap.
const KEPT: usize = 10_000;
/// Accounts that there is room for before it is needed.
const EXPECTED: usize = 64;

pub(super) struct Keyring {
    master: Arc<MasterKey>,
    /// What new keys are wrapped together with.
    anchor: Option<Hash>,
    keys: Cache<(AccountId, u32), Arc<DataKey>>,
}

impl Keyring {
    pub(super) fn new(master: Arc<MasterKey>, anchor: Option<Hash>) -> Self {
        let keys = Cache::with_weighter(EXPECTED, KEPT as u64, UnitWeighter);
        Self { master, anchor, keys }
    }

    /// Makes the first data key of a new account.
    pub(super) fn make(
        &self,
        tx: &mut WriteTx<'_>,
        account: &AccountId,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(), StoreError> {
        let (key, wrapped) = self.master.make_data_key(account, 1, self.anchor.as_ref(), random);
        data_key::insert(tx, account, key.id(), &wrapped, now)
    }

    /// The key that the account's new values are sealed with.
    pub(super) fn newest(
        &self,
        tx: &mut ReadTx<'_>,
        account: &AccountId,
    ) -> Result<Arc<DataKey>, Error> {
        let newest = data_key::find_newest(tx, account)?;
        let (id, wrapped) = newest.ok_or_else(|| lost(account))?;
        self.unwrap(account, id, |_| Ok(Some(wrapped)), tx)
    }

    /// Opens a column of the row that `permit` was given for.
    pub(super) fn open(
        &self,
        tx: &mut ReadTx<'_>,
        permit: &Permit,
        column: &'static str,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let damaged = |source| Damaged {
            table: permit.table(),
            row: permit.row().to_owned(),
            column,
            source,
        };
        let id = sealed.key_id().map_err(damaged)?;
        let account = permit.account();
        let key = self.unwrap(account, id, |tx| data_key::find(tx, account, id), tx)?;
        Ok(key.open(permit, column, sealed).map_err(damaged)?)
    }

    /// [`Keyring::open`] without a database: `None` if the key is not in use.
    pub(super) fn open_with_known(
        &self,
        permit: &Permit,
        column: &'static str,
        sealed: &Sealed,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.keys.get(&(permit.account().clone(), sealed.key_id().ok()?))?;
        key.open(permit, column, sealed).ok()
    }

    /// Forgets the keys of an account that is gone.
    pub(super) fn forget(&self, account: &AccountId) {
        self.keys.retain(|(of, _), _| of != account);
    }

    fn unwrap(
        &self,
        account: &AccountId,
        id: u32,
        find: impl FnOnce(&mut ReadTx<'_>) -> Result<Option<Sealed>, StoreError>,
        tx: &mut ReadTx<'_>,
    ) -> Result<Arc<DataKey>, Error> {
        if let Some(key) = self.keys.get(&(account.clone(), id)) {
            return Ok(key);
        }
        let wrapped = find(tx)?.ok_or_else(|| lost(account))?;
        let key = self.master.unwrap_data_key(account, id, &wrapped);
        let key = Arc::new(key.map_err(|source| Damaged {
            table: "data_key",
            row: format!("{account} {id}"),
            column: "wrapped",
            source,
        })?);
        self.keys.insert((account.clone(), id), Arc::clone(&key));
        Ok(key)
    }
}

fn lost(account: &AccountId) -> Damaged {
    Damaged { table: "data_key", row: account.to_string(), column: "wrapped", source: OpenError }
}
