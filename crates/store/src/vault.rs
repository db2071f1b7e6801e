//! Table `vault`: one row that says which master key the database was sealed with.

use keyfob_core::{crypto::MasterKeyId, time::Timestamp};

use crate::{
    ReadTx, StoreError, WriteTx,
    conn::{Sql, sql},
};

pub(crate) const FIND: Sql = sql!("SELECT master_key_id FROM vault WHERE id = 1");

/// The id of the master key, or `None` for a database that is new.
pub fn find(tx: &mut ReadTx<'_>) -> Result<Option<MasterKeyId>, StoreError> {
    tx.one(FIND, &[], |row| Ok(MasterKeyId::from_stored(row.get(0)?)))
}

/// Binds a new database to a master key. `false` if it is bound already.
pub fn insert(tx: &mut WriteTx<'_>, key: &MasterKeyId, now: Timestamp) -> Result<bool, StoreError> {
    let insert = sql!(
        "INSERT INTO vault (id, master_key_id, created_at) VALUES (1, $1, $2)
         ON CONFLICT (id) DO NOTHING"
    );
    Ok(tx.execute(insert, &[&key.as_str(), &now.as_millis()])? == 1)
}

/// Makes the units of every node that do this run one after the other.
pub fn lock(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    tx.execute(sql!("UPDATE vault SET master_key_id = master_key_id WHERE id = 1"), &[]).map(drop)
}
