//! What a check works with: the broker that is judged, and a provider of the check's own.

use std::{sync::Arc, time::Duration};

use super::{
    Settings,
    broker::{Broker, Definition, Failed},
};
use crate::{
    client::{AuthMethod, Client},
    endpoint::Endpoint,
    family::FamilyId,
    ledger::Ledger,
    options::Options,
    provider::{GrantError, IssuedGrant, Provider, StartError, TooLate},
};

/// How often it is looked whether something has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So long nothing may come where nothing is to come.
const QUIET: Duration = Duration::from_secs(3);

/// Why a check does not say yes.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// It does not hold.
    #[error("{0}")]
    Seen(String),
    /// It needs a broker of several nodes.
    #[error("give a second --base-url to see")]
    OneNode,
    /// The broker did not do what it was asked for.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// The provider did not see what it waited for.
    #[error("the provider waited in vain: {0}")]
    TooLate(#[from] TooLate),
    /// The provider cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The provider cannot issue a grant.
    #[error(transparent)]
    Grant(#[from] GrantError),
}

/// Says no, with what was seen.
pub(super) fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::Seen(seen())) }
}

/// What every check gets.
pub(super) struct Stage<B> {
    pub(super) broker: Arc<B>,
    pub(super) settings: Settings,
}

/// A provider, and the broker that knows it.
pub(super) struct Scene<B: Broker> {
    pub(super) broker: Arc<B>,
    pub(super) provider: Provider,
    pub(super) client: B::Client,
    patience: Duration,
}

impl<B: Broker> Stage<B> {
    /// A provider whose refreshed tokens live for an hour, and which has these habits otherwise.
    pub(super) async fn scene(&self, change: impl FnOnce(&mut Options)) -> Result<Scene<B>, Wrong> {
        self.scene_of(change, |_| ()).await
    }

    /// The same, with the broker told otherwise about the client.
    pub(super) async fn scene_of(
        &self,
        change: impl FnOnce(&mut Options),
        tell: impl FnOnce(&mut Definition),
    ) -> Result<Scene<B>, Wrong> {
        let mut options = Options::default().with_client(Client::confidential("app", "app-secret"));
        change(&mut options);
        let provider = Provider::start(options).await?;
        let mut definition = Definition {
            authorization_url: provider.url("/authorize"),
            token_url: provider.url("/token"),
            revoke_url: provider.url("/revoke"),
            client_id: "app".to_owned(),
            client_secrets: vec!["app-secret".to_owned()],
            auth_method: AuthMethod::ClientSecretPost,
        };
        tell(&mut definition);
        let broker = Arc::clone(&self.broker);
        let client = broker.define(&definition).await?;
        Ok(Scene { broker, provider, client, patience: self.settings.patience })
    }
}

impl<B: Broker> Scene<B> {
    /// A new holder, whose access token lives so long; a life of nothing is over when it is given.
    pub(super) async fn hold(&self, life: Duration) -> Result<(B::Holder, IssuedGrant), Wrong> {
        let grant = self.provider.issue_grant("app", life)?;
        Ok((self.broker.hold(&self.client, &grant).await?, grant))
    }

    /// Looks until there is what is waited for, and says `what` if that takes too long.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<Option<T>, Wrong>,
    ) -> Result<T, Wrong> {
        let found = async {
            loop {
                if let Some(found) = look().await? {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let found = tokio::time::timeout(self.patience, found).await;
        let late = || Wrong::Seen(format!("{what} did not come within {:?}", self.patience));
        found.map_err(|_| late())?
    }

    /// A token that was good when it was asked for, which is done until the broker has one. A machine that stands
    /// still may bring it after its end.
    pub(super) async fn until_token(&self, holder: &B::Holder) -> Result<String, Wrong> {
        let token = self.until("a token", async || {
            let asked_at = self.provider.now();
            match self.broker.token(0, holder).await {
                Ok(token) => Ok(Some((token, asked_at))),
                Err(Failed::Later(_)) => Ok(None),
                Err(other) => Err(other.into()),
            }
        });
        let (token, asked_at) = token.await?;
        let was_good = self.provider.look(|ledger| ledger.is_valid(&token, asked_at));
        ensure(was_good, || "a token was handed out that was not valid any more".into())?;
        Ok(token)
    }

    /// Asks for tokens until the broker says that the grant has ended, and why.
    pub(super) async fn until_ended(&self, holder: &B::Holder) -> Result<String, Wrong> {
        let ended =
            self.until("the end of the grant", async || match self.broker.token(0, holder).await {
                Err(Failed::Ended(reason)) => Ok(Some(reason)),
                Ok(_) | Err(Failed::Later(_)) => Ok(None),
                Err(other) => Err(other.into()),
            });
        let reason = ended.await?;
        let state = self.broker.state(holder).await?;
        ensure(!state.is_connected, || "it is called connected although it has ended".into())?;
        Ok(reason)
    }

    /// That the broker calls the holder connected.
    pub(super) async fn ensure_connected(&self, holder: &B::Holder) -> Result<(), Wrong> {
        let state = self.broker.state(holder).await?;
        ensure(state.is_connected, || format!("it is called not connected: {}", state.reason))
    }

    /// How often the token endpoint was asked.
    pub(super) fn asked(&self) -> usize {
        self.provider.ledger().at(Endpoint::Token).count()
    }

    /// Waits until the token endpoint was asked so often.
    pub(super) async fn until_asked(&self, times: usize) -> Result<(), Wrong> {
        let asked = |ledger: &Ledger| ledger.at(Endpoint::Token).count() >= times;
        Ok(self.provider.until(asked).await?)
    }

    /// That the token endpoint was asked so often, and is not asked again whoever wants a token.
    pub(super) async fn ensure_left_alone(
        &self,
        holder: &B::Holder,
        asked: usize,
    ) -> Result<(), Wrong> {
        let began = self.provider.now();
        while self.provider.now().since(began) < QUIET {
            let again = self.broker.token(0, holder).await;
            ensure(again.is_err(), || "a token was handed out of a grant that has ended".into())?;
            tokio::time::sleep(LOOK_EVERY * 5).await;
        }
        ensure(self.asked() == asked, || format!("the provider was asked {} times", self.asked()))
    }

    /// That a family was refreshed so often, never twice with the same token, never twice at once, and lives.
    pub(super) fn ensure_refreshed(&self, id: FamilyId, times: u32) -> Result<(), Wrong> {
        let ledger = self.provider.ledger();
        let Some(family) = ledger.family(id) else {
            return Err(Wrong::Seen("the provider does not know the grant".into()));
        };
        let (refreshes, at_once) = (family.refreshes, family.in_flight.highest);
        let seen = || format!("{refreshes} refreshes, {at_once} at once, {} reuses", family.reuses);
        ensure(refreshes == times && at_once <= 1 && family.reuses == 0, seen)?;
        ensure(family.death.is_none(), || format!("the grant is dead: {:?}", family.death))
    }
}
