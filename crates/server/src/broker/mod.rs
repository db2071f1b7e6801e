//! The broker: the operations, and the only place with rules.
//!
//! Every operation has the same shape: find, decide, open, act, commit. HTTP, MCP and
//! the pages call these functions and cannot differ in what they allow.

mod account;
mod asked;
mod attempt;
mod authentication;
mod authorization;
mod begin;
mod caller;
pub(crate) mod code;
mod config;
mod config_rule;
mod connection;
mod connection_list;
mod consent;
mod contact;
mod creation;
mod credential;
mod deletion;
mod device;
mod entries;
mod event_job;
mod event_list;
mod event_log;
mod event_retention;
mod flight;
mod given;
mod grant;
mod hosts;
mod key;
mod key_limits;
mod keyring;
mod link;
mod link_state;
mod meta;
mod mint;
mod pause;
mod person;
mod placeholder;
mod provider;
mod proxy;
mod recent;
mod refresh;
mod refresh_job;
mod registration;
mod removal;
mod renewal;
mod reservation;
mod returned;
mod revocation;
mod revocation_job;
mod revocation_list;
mod secret;
mod secret_change;
mod secret_ref;
mod settle;
mod shared;
mod shown;
mod slice;
mod source;
mod syntax;
mod template;
mod template_list;
mod totp;
mod trial;
mod usable;
mod usage;
mod verify;
mod waiting;

use std::{sync::Arc, time::Duration};

use keyfob_core::{audit::AuditKey, id::AccountId, random::Random, time::Timestamp};
use keyfob_store::{Commit, ReadTx, Store, StoreError, WriteTx, creation as creations, vault};
use url::Url;

use self::{
    attempt::Attempts,
    authentication::RecentLinks,
    caller::Callers,
    entries::Entries,
    event_job::Signed,
    flight::{Flights, UnderWay},
    hosts::Hosts,
    keyring::Keyring,
    proxy::{Budget, Routes},
};
pub use self::{
    authentication::Link,
    authorization::Return,
    begin::Begun,
    caller::{Caller, Credentials, Origin, RunAs},
    code::{Released, Wish},
    config::Config,
    connection_list::ContactSecret,
    contact::ContactChange,
    creation::Repeat,
    credential::{Handed, Imported},
    event_list::EventFilter,
    given::Given,
    hosts::REQUESTS_OUT,
    key::{KeyChange, NewKey, Plan as KeyPlan},
    key_limits::LimitsChange,
    link::Visit,
    link_state::LinkState,
    meta::{MetaChange, MetaFilter},
    mint::Minted,
    proxy::{Explained, Outgoing, Payload, Relayed, Through, Upgrade},
    returned::{Ended, Returned, Trouble},
    revocation_list::RevocationStatus,
    secret::{Described, SecretFilter},
    secret_change::SecretChange,
    secret_ref::SecretRef,
    shown::Shown,
    slice::Slice,
    template_list::Match,
    totp::{Change, Content, CreatedTotp, Draft},
    verify::{Status, Verified},
    waiting::{Sight, Waiting},
};
pub(crate) use self::{config::Signs, creation::Pending};
use crate::{
    clock::Clock,
    config::{Audit, LeakGuard, Limits},
    egress::Egress,
    error::Error,
    metrics::Metrics,
    oauth::Discovery,
    vault::Vault,
};

/// Old rows that one unit of work forgets.
const FORGOTTEN_AT_ONCE: u32 = 500;
/// The most that decoders of answers hold, all together, in bytes; half of it for those of one account.
const MEMORY_OF_DECODERS: usize = 256 * 1024 * 1024;
/// A create is known again for so long.
pub(crate) const CREATES_KEPT: Duration = Duration::from_mins(10);

/// The operations on one vault. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    keyring: Keyring,
    audit_key: AuditKey,
    signed: Signed,
    callers: Callers,
    entries: Entries,
    recent_links: RecentLinks,
    routes: Routes,
    /// Of requests that are sent with a credential: each holds two connections for as long as both of its bodies
    /// take, and other calls need some too.
    places: Budget,
    /// What decoders of answers may hold, in bytes.
    decoders: Budget,
    flights: Flights,
    under_way: UnderWay,
    refreshing: Hosts,
    revoking: Hosts,
    revocations: tokio::sync::Notify,
    public_url: Url,
    egress: Egress,
    discovery: Discovery,
    attempts: Arc<Attempts>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    audit: Audit,
    leak_guard: LeakGuard,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// What the broker gets from outside.
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where people reach the pages: what links begin with.
    pub public_url: Url,
    /// The way out to the network.
    pub egress: Egress,
}

impl Broker {
    /// A broker for an open vault.
    #[must_use]
    pub fn new(
        vault: Vault,
        surroundings: Surroundings,
        (audit, leak_guard): (Audit, LeakGuard),
        limits: Limits,
    ) -> Self {
        let Surroundings { clock, random, metrics, public_url, egress } = surroundings;
        let slots = Arc::new(tokio::sync::Semaphore::new(REQUESTS_OUT));
        let inner = Inner {
            store: vault.store,
            audit_key: vault.master.audit_key(),
            signed: Signed::default(),
            keyring: Keyring::new(vault.master, vault.anchor),
            callers: Callers::default(),
            entries: Entries::default(),
            recent_links: RecentLinks::default(),
            routes: Routes::default(),
            places: Budget::of((limits.connections / 2).max(1)),
            decoders: Budget::of(MEMORY_OF_DECODERS),
            flights: Flights::default(),
            under_way: UnderWay::default(),
            refreshing: Hosts::new(Arc::clone(&slots)),
            revoking: Hosts::new(slots),
            revocations: tokio::sync::Notify::new(),
            public_url,
            egress,
            discovery: Discovery::default(),
            attempts: Arc::default(),
            clock,
            random,
            audit,
            leak_guard,
            limits,
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The time. An error before 1970: nothing can be dated then, and no code be right.
    pub(crate) fn now(&self) -> Result<Timestamp, Error> {
        let now = self.inner.clock.now();
        if now.as_millis() < 0 {
            return Err(keyfob_core::totp::TimeBeforeEpoch.into());
        }
        Ok(now)
    }

    /// Whether the server could do its work now: the clock, and the database, which has to take a
    /// write: one whose disk is full, or that may only be read, is of no use.
    pub async fn check(&self) -> Result<(), Error> {
        let now = self.now()?;
        let probe = self.write(move |tx| {
            let is_bound = vault::probe(tx, now)?;
            Ok(tx.commit_unaudited(is_bound))
        });
        let lost = || Error::internal("the database has lost its vault row");
        probe.await?.then_some(()).ok_or_else(lost)
    }

    /// Forgets creates that are too old to be repeated; how many.
    pub async fn forget_creations(&self) -> Result<u64, Error> {
        let before = self.now()?.minus(CREATES_KEPT);
        self.forget(move |tx, limit| creations::forget(tx, before, limit)).await
    }

    /// Forgets rows until there are no more, a few at a time, so that nobody waits behind a million of
    /// them; how many. `some` forgets up to so many.
    async fn forget(
        &self,
        some: impl FnMut(&mut WriteTx<'_>, u32) -> Result<u64, StoreError> + Clone + Send + 'static,
    ) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let mut some = some.clone();
            let now = self.write(move |tx| {
                let forgotten = some(tx, FORGOTTEN_AT_ONCE)?;
                Ok(tx.commit_unaudited(forgotten))
            });
            let now = now.await?;
            forgotten += now;
            if now < u64::from(FORGOTTEN_AT_ONCE) {
                return Ok(forgotten);
            }
        }
    }

    /// Runs a unit of reads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut ReadTx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.store.read(work).await
    }

    /// Runs a unit that may write; answers when it is on stable storage.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<Commit<T>, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.store.write(work).await
    }

    /// The same for a unit that changes what somebody's credential comes to: requests from now on are sent with
    /// what is there after it.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<Commit<T>, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let changed = self.write(work).await;
        self.inner.routes.forget();
        changed
    }

    /// The way out to the network.
    #[must_use]
    pub fn egress(&self) -> &Egress {
        &self.inner.egress
    }

    /// The way out for requests of an account.
    fn egress_of(&self, account: &AccountId) -> Egress {
        self.inner.egress.of(account)
    }

    /// How many units of work wait for the writer.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.inner.store.depth()
    }

    /// Finishes what was taken on and closes the database. Blocks.
    pub fn close(&self) {
        self.inner.store.close();
    }
}
