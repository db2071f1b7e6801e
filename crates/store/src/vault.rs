//! Table `vault`: one row that says which master key the database was sealed with.

use keyfob_core::{crypto::MasterKeyId, time::Timestamp};

use crate::{ReadTx, StoreError, WriteTx, conn::sql};

/// The id of the master key, or `None` for a database that is new.
pub fn find(tx: &mut ReadTx<'_>) -> Result<Option<MasterKeyId>, StoreError> {
    let find = sql!(vault, "SELECT master_key_id FROM vault WHERE id = 1");
    tx.one(find, &[], |row| Ok(MasterKeyId::from_stored(row.get(0)?)))
}

/// Binds a new database to a master key. `false` if it is bound already.
pub fn insert(tx: &mut WriteTx<'_>, key: &MasterKeyId, now: Timestamp) -> Result<bool, StoreError> {
    let insert = sql!(
        vault,
        "INSERT INTO vault (id, master_key_id, created_at, probed_at) VALUES (1, $1, $2, $2)
         ON CONFLICT (id) DO NOTHING"
    );
    Ok(tx.execute(insert, &[&key.as_str(), &now.as_millis()])? == 1)
}

/// Makes the units of every node that do this run one after the other.
pub fn lock(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    tx.execute(sql!(vault, "UPDATE vault SET master_key_id = master_key_id WHERE id = 1"), &[])
        .map(drop)
}

/// Tries whether the database takes a write. `false` for a database that is not bound. (SQLite leaves
/// out a write that changes nothing, so this one does.)
pub fn probe(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let probe = sql!(vault, "UPDATE vault SET probed_at = $1 WHERE id = 1");
    Ok(tx.execute(probe, &[&now.as_millis()])? == 1)
}
