//! Fills a vault with contacts and what they have connected, straight in its database: over HTTP a million
//! of them would take longer than all that is measured.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result};
use keyfob_core::{
    crypto::{DataKey, MasterKey},
    id::{AccountId, ConnectionId, ContactId, SecretId},
    policy::connection_row,
    random::Random,
    secret::SecretType,
    time::Timestamp,
};
use keyfob_store::{
    Options, Store, StoreError, Target, WriteTx, account,
    connection::{self, Connection},
    contact::{self, Contact},
    data_key,
};

use crate::{
    clock::unix_ms,
    http::with_progress,
    keyfob::Setup,
    number::{base32_secret, mix},
};

/// Contacts of one unit of work.
const UNIT: usize = 2000;
/// Between two contacts, in milliseconds.
const APART: i64 = 10;

/// Stores `count` contacts of the vault's first account, each with a bearer token for each of `secrets`;
/// their ids, by age. Nobody else may have the vault open.
pub(crate) async fn fill(setup: &Setup, count: usize, secrets: &[String]) -> Result<Vec<String>> {
    let file = setup.data().join("keyfob.db");
    let target: Target = format!("sqlite:{}", file.display()).parse()?;
    let store = Store::open(&target, &Options::new(*b"the bench fills."))?;
    let filler = Arc::new(Filler::new(setup, &store, count, secrets).await?);
    let done = AtomicUsize::new(0);
    let work = async {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let unit: Vec<_> = (ids.len()..count.min(ids.len() + UNIT)).collect();
            ids.extend(write(&store, &filler, unit).await?);
            done.store(ids.len(), Ordering::Relaxed);
        }
        Ok::<_, anyhow::Error>(ids)
    };
    let line = || format!("contacts: {} of {count} are stored", done.load(Ordering::Relaxed));
    let ids = with_progress(work, line).await;
    store.close();
    let ids = ids?;
    // So that the kernel has all of it, whatever it gave up meanwhile.
    io::copy(&mut fs::File::open(&file)?, &mut io::sink())?;
    Ok(ids)
}

async fn write(store: &Store, filler: &Arc<Filler>, numbers: Vec<usize>) -> Result<Vec<String>> {
    let filler = Arc::clone(filler);
    let unit = move |tx: &mut WriteTx<'_>| {
        let ids = numbers.iter().map(|&number| filler.store(tx, number));
        let ids = ids.collect::<Result<Vec<_>, StoreError>>()?;
        Ok::<_, StoreError>(tx.commit_unaudited(ids))
    };
    Ok(store.write(unit).await?)
}

/// What the rows are made with.
pub(crate) struct Filler {
    pub(crate) account: AccountId,
    pub(crate) key: DataKey,
    secrets: Vec<SecretId>,
    pub(crate) random: Numbers,
    /// When the first contact is made, so that the last is made by now.
    first: i64,
}

impl Filler {
    pub(crate) async fn new(
        setup: &Setup,
        store: &Store,
        count: usize,
        secrets: &[String],
    ) -> Result<Self> {
        let find = store.read(|tx| {
            let account = account::find_first(tx)?.map(|account| account.id);
            let key = account.as_ref().map(|account| data_key::find_newest(tx, account));
            Ok::<_, StoreError>((account, key.transpose()?.flatten()))
        });
        let (account, wrapped) = find.await?;
        let (account, (number, wrapped)) =
            account.zip(wrapped).context("the vault has no account with a data key")?;
        let text = fs::read_to_string(setup.data().join("master.key")).context("no master key")?;
        let master = MasterKey::parse(&text.into())?;
        let key = master.unwrap_data_key(&account, number, &wrapped)?;
        let secrets = secrets.iter().map(|id| SecretId::parse(id)).collect::<Result<_, _>>()?;
        let first = i64::try_from(unix_ms())? - APART * i64::try_from(count)?;
        Ok(Self { account, key, secrets, random: Numbers::default(), first })
    }

    /// Stores one contact and its connections; its id.
    fn store(&self, tx: &mut WriteTx<'_>, number: usize) -> Result<String, StoreError> {
        let now = Timestamp::from_millis(
            self.first + APART * i64::try_from(number).unwrap_or(i64::MAX / APART),
        );
        let contact = self.contact(number, now);
        contact::insert(tx, &self.account, &contact)?;
        for secret in &self.secrets {
            connection::upsert(tx, &self.connection(&contact.id, secret, number, now))?;
        }
        Ok(contact.id.to_string())
    }

    pub(crate) fn contact(&self, number: usize, now: Timestamp) -> Contact {
        Contact {
            id: ContactId::generate(now, &self.random),
            name: format!("Contact {number}"),
            description: String::new(),
            fingerprint: format!("customer-{:016x}", mix(number as u64)),
            email: Some(format!("contact.{number}@example.com")),
            phone: None,
            nick: None,
            preferences: None,
            verified_at: Some(now),
            meta: Some(format!(r#"{{"team":"{}"}}"#, number % 100)),
            created_at: now,
            updated_at: now,
        }
    }

    fn connection(
        &self,
        contact: &ContactId,
        secret: &SecretId,
        number: usize,
        now: Timestamp,
    ) -> Connection {
        let (row, token) = (connection_row(contact, secret), base32_secret(number));
        Connection {
            account: self.account.clone(),
            contact: contact.clone(),
            secret: secret.clone(),
            id: ConnectionId::generate(now, &self.random),
            value_type: SecretType::Bearer,
            value: self.key.seal("connection", &row, "value", token.as_bytes(), &self.random),
            terms: None,
            expires_at: None,
            scopes: None,
            broken: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Numbers that anybody can guess: what they seal is made up, and goes with the run.
#[derive(Default)]
pub(crate) struct Numbers(AtomicU64);

impl Random for Numbers {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let number = mix(self.0.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
            part.copy_from_slice(&number[..part.len()]);
        }
    }
}
