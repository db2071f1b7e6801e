//! The operations as a command on the machine itself uses them, in the words of the API. What they write is signed
//! before they end: the process ends with them, and nobody else signs its chain for minutes.

use keyfob_api::key::{CreateKey, CreatedKey, Key};
use keyfob_core::id::KeyId;

use crate::{
    broker::{Broker, Caller, Slice},
    error::Error,
    http::key::{created, plan, shape},
};

/// Makes a key.
pub async fn create_key(
    broker: &Broker,
    caller: &Caller,
    wanted: CreateKey,
) -> Result<CreatedKey, Error> {
    let key = broker.create_key(caller, plan(wanted)?).await?;
    broker.finish_events().await;
    Ok(created(&key))
}

/// Every key of the account, newest first.
pub async fn list_keys(broker: &Broker, caller: &Caller) -> Result<Vec<Key>, Error> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let slice = Slice { after, oldest_first: false, take: 100 };
        let page = broker.list_keys(caller, slice).await?;
        let Some(last) = page.last else {
            return Ok(keys);
        };
        after = Some(last);
        keys.extend(page.rows.into_iter().map(shape));
    }
}

/// Ends a key.
pub async fn revoke_key(broker: &Broker, caller: &Caller, id: &str) -> Result<(), Error> {
    broker.revoke_key(caller, &KeyId::parse(id).map_err(|_| Error::NotFound)?).await?;
    broker.finish_events().await;
    Ok(())
}
