//! Fills a vault with contacts whose OAuth grants are to be refreshed, straight in its database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use keyfob_core::{
    id::{ConnectionId, SecretId},
    oauth::Grant,
    policy::connection_row,
    secret::SecretType,
    time::Timestamp,
};
use keyfob_store::{
    Options, Store, StoreError, Target, WriteTx,
    connection::{self, Connection},
    contact,
    refresh::{self, Holder},
};
use keyfob_testkit::{IssuedGrant, Provider};

use crate::{clock::unix_ms, fill::Filler, http::with_progress, keyfob::Setup, number::mix};

/// Grants of one unit of work.
const UNIT: usize = 2000;

/// A provider, its host with its port, and the secret whose grants are from there.
pub(crate) struct Source {
    pub(crate) secret: String,
    pub(crate) host: String,
    /// Issues the grants.
    pub(crate) provider: Provider,
}

/// Stores `count` contacts, each with a grant of one of `sources` in turn, which is due now. Nobody else may have
/// the vault open.
pub(crate) async fn fill(setup: &Setup, count: usize, sources: &[Source]) -> Result<()> {
    let file = setup.data().join("keyfob.db");
    let sqlite = || format!("sqlite:{}", file.display());
    let target: Target = setup.database_url.clone().unwrap_or_else(sqlite).parse()?;
    let store = Store::open(&target, &Options::new(*b"the bench fills."))?;
    let filler = Arc::new(Filler::new(setup, &store, count, &[]).await?);
    let done = AtomicUsize::new(0);
    let work = async {
        while done.load(Ordering::Relaxed) < count {
            let first = done.load(Ordering::Relaxed);
            let unit = (first..count.min(first + UNIT)).map(|number| {
                let source = &sources[number % sources.len()];
                let grant = source.provider.issue_grant("app", Duration::ZERO)?;
                let secret = SecretId::parse(&source.secret)?;
                Ok(New { number, secret, host: source.host.clone(), grant })
            });
            let unit = unit.collect::<Result<Vec<_>>>()?;
            done.fetch_add(unit.len(), Ordering::Relaxed);
            let filler = Arc::clone(&filler);
            let write = move |tx: &mut WriteTx<'_>| {
                unit.iter().try_for_each(|new| store_one(tx, &filler, new))?;
                Ok::<_, StoreError>(tx.commit_unaudited(()))
            };
            store.write(write).await?;
        }
        Ok(())
    };
    let line = || format!("refresh_sweep: {} of {count} are stored", done.load(Ordering::Relaxed));
    let ended = with_progress(work, line).await;
    store.close();
    ended
}

struct New {
    number: usize,
    secret: SecretId,
    host: String,
    grant: IssuedGrant,
}

fn store_one(tx: &mut WriteTx<'_>, filler: &Filler, new: &New) -> Result<(), StoreError> {
    let now = Timestamp::from_millis(unix_ms().cast_signed());
    let contact = filler.contact(new.number, now);
    contact::insert(tx, &filler.account, &contact)?;
    let row = connection_row(&contact.id, &new.secret);
    let IssuedGrant { access_token, refresh_token, .. } = &new.grant;
    let bytes = obtained(access_token, refresh_token, now.minus(HOUR)).to_bytes();
    let value = filler.key.seal("connection", &row, "grant", &bytes, &filler.random);
    let holder = Holder {
        account: filler.account.clone(),
        contact: Some(contact.id.clone()),
        secret: new.secret.clone(),
    };
    connection::upsert(
        tx,
        &Connection {
            account: filler.account.clone(),
            contact: contact.id,
            secret: new.secret.clone(),
            id: ConnectionId::generate(now, &filler.random),
            value_type: SecretType::OAuth,
            value,
            terms: None,
            expires_at: None,
            scopes: None,
            broken: None,
            created_at: now,
            updated_at: now,
        },
    )?;
    refresh::plan(tx, &holder, &new.host, Some(now))
}

/// An hour, which most access tokens live.
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A grant that was obtained then, and whose access token lives for an hour.
fn obtained(access: &str, refresh: &str, then: Timestamp) -> Grant {
    Grant {
        access_token: access.into(),
        access_token_expires_at: Some(then.plus(HOUR)),
        refresh_token: Some(refresh.into()),
        refresh_token_expires_at: None,
        obtained_at: Some(then),
        renewed_at: None,
        scope: None,
        token_url: None,
        revoke_url: None,
        client: None,
        method: None,
        resource: None,
        source: None,
        imported: None,
        began_as: None,
    }
}

/// In how many of `count` grants that are obtained at the same moment, and live for an hour, each minute of it has
/// the background renewal fall: by the server's own rule.
pub(crate) fn minutes(count: usize) -> Vec<usize> {
    let mut minutes = vec![0; 60];
    let grant = obtained("a", "r", Timestamp::from_millis(0));
    for number in 0..count {
        let chance = mix(number as u64).to_le_bytes();
        let chance = u32::from_le_bytes([chance[0], chance[1], chance[2], chance[3]]);
        let due = grant.renew_at(chance).map_or(0, |due| due.as_millis() / 60_000);
        if let Some(minute) = usize::try_from(due).ok().and_then(|minute| minutes.get_mut(minute)) {
            *minute += 1;
        }
    }
    minutes
}
