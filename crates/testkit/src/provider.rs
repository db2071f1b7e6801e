//! A provider that runs, and the handle on it.

use std::{
    collections::HashMap, collections::HashSet, fmt, io, net::SocketAddr, sync::Arc, time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    clock::Moment,
    device,
    endpoint::Endpoint,
    family::{AccessToken, Beginning, Cause, FamilyId},
    fault::Fault,
    ledger::Ledger,
    mint::{MintFailed, Signer},
    options::Options,
    router::router,
    script::{Rule, RuleId, Script},
    serve::serve,
    state::{Shared, State},
};

/// How long [`Provider::until`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A provider that runs. Clones are handles on the same one; it stops when the last of them is dropped.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
    address: SocketAddr,
    _running: Arc<Running>,
}

struct Running {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        // Requests that are held would wait for ever.
        self.shared.release();
    }
}

/// A provider cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// It has no key to sign with.
    #[error(transparent)]
    Mint(#[from] MintFailed),
}

/// A grant cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// No such client.
    #[error("the client {0} is unknown: add it to the options")]
    UnknownClient(String),
    /// No such token.
    #[error(transparent)]
    Mint(#[from] MintFailed),
}

/// What was waited for did not happen.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the condition did not hold within {0:?}, in which there were {1} requests")]
pub struct TooLate(Duration, usize);

/// A grant that was made without a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedGrant {
    /// Its first access token.
    pub access_token: String,
    /// Its first refresh token.
    pub refresh_token: String,
    /// When the access token ends.
    pub expires_at: Moment,
    /// Its family.
    pub family: FamilyId,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Provider {
    /// Starts a provider on a free port of 127.0.0.1.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), options).await
    }

    /// Starts a provider at this address. Its issuer is `http://` and the address.
    pub async fn start_at(address: SocketAddr, options: Options) -> Result<Self, StartError> {
        let refused = |error| StartError::Listen(address, error);
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared::new(State {
            options,
            ledger: Ledger::default(),
            script: Script::default(),
            codes: HashMap::new(),
            devices: Vec::new(),
            assertions: HashSet::new(),
            issuer: format!("http://{address}"),
            signer: Signer::new()?,
        }));
        let task = tokio::spawn(serve(listener, shared.clone(), router(shared.clone())));
        let running = Arc::new(Running { task, shared: shared.clone() });
        Ok(Self { shared, address, _running: running })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its issuer, which is what every URL of it begins with.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a path that begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The time by its clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.shared.look(|state| state.now())
    }

    /// Lets the next request at this endpoint fail. What is returned can make it be for more requests, or for others;
    /// do so before the requests come.
    #[expect(clippy::must_use_candidate, reason = "once is what most tests want")]
    pub fn script(&self, endpoint: Endpoint, fault: Fault) -> Scripted<'_> {
        let id = self.shared.look(|state| state.script.add(Rule::once(endpoint, fault)));
        Scripted { shared: &self.shared, id }
    }

    /// Takes back everything that was scripted.
    pub fn clear_script(&self) {
        self.shared.look(|state| state.script.clear());
    }

    /// Lets every request go on that is held now (`Fault::HoldBefore`, `Fault::HoldAfter`).
    pub fn release(&self) {
        self.shared.release();
    }

    /// Makes a grant without a browser, whose first access token lives for `life`.
    pub fn issue_grant(&self, client: &str, life: Duration) -> Result<IssuedGrant, GrantError> {
        self.shared.with(|state| issue_grant(state, client, "read", life))
    }

    /// Ends a family, as a person does who takes an approval back. Whether there is one.
    #[must_use]
    pub fn withdraw(&self, family: FamilyId) -> bool {
        self.shared.with(|state| {
            let now = state.now();
            state.ledger.families.kill(family, Cause::Withdrawn, now)
        })
    }

    /// Approves a device, as the person `subject`. Whether there was a device that waited.
    #[must_use]
    pub fn approve_device(&self, user_code: &str, subject: &str) -> bool {
        self.shared.with(|state| device::settle(state, user_code, Some(subject)))
    }

    /// Declines a device. Whether there was a device that waited.
    #[must_use]
    pub fn deny_device(&self, user_code: &str) -> bool {
        self.shared.with(|state| device::settle(state, user_code, None))
    }

    /// Changes the options, clients and their secrets among them, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        self.shared.with(|state| change(&mut state.options));
    }

    /// Retires a secret of a client. Whether the client had it.
    #[must_use]
    pub fn retire_secret(&self, client: &str, secret: &str) -> bool {
        self.shared.with(|state| retire_secret(state, client, secret))
    }

    /// What it saw and did until now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.look(|state| state.ledger.clone())
    }

    /// Looks at the ledger as it is, without a copy of it. `look` must not call the provider.
    pub fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        self.shared.look(|state| look(&state.ledger))
    }

    /// Whether it would take this access token now.
    #[must_use]
    pub fn is_valid(&self, access_token: &str) -> bool {
        self.shared.look(|state| state.ledger.is_valid(access_token, state.now()))
    }

    /// What is known of this access token, if it was ever issued.
    #[must_use]
    pub fn was_issued(&self, access_token: &str) -> Option<AccessToken> {
        self.shared.look(|state| state.ledger.was_issued(access_token))
    }

    /// Waits until the ledger is as `holds` says, for ten seconds at most. `holds` must not call the provider.
    pub async fn until(&self, holds: impl Fn(&Ledger) -> bool) -> Result<(), TooLate> {
        let mut changes = self.shared.changes();
        let wait = async {
            while !self.shared.look(|state| holds(&state.ledger)) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .map_err(|_| TooLate(PATIENCE, self.shared.look(|state| state.ledger.requests.len())))
    }

    /// Forgets every request, grant and fault. Options stay; tokens from before are unknown.
    pub fn reset(&self) {
        self.shared.with(State::reset);
        self.shared.release();
    }
}

pub(crate) fn issue_grant(
    state: &mut State,
    client: &str,
    scope: &str,
    life: Duration,
) -> Result<IssuedGrant, GrantError> {
    if state.options.client(client).is_none() {
        return Err(GrantError::UnknownClient(client.to_owned()));
    }
    let (client, subject) = (client.to_owned(), state.options.subject.clone());
    let beginning = Beginning { client, subject, scope: scope.to_owned(), grant_type: "imported" };
    let now = state.now();
    let family = state.ledger.families.begin(beginning, now);
    let issued = state.issue(family, life, true)?;
    let refresh_token = issued.refresh_token.ok_or(MintFailed)?;
    let (access_token, expires_at) = (issued.access_token, issued.expires_at);
    Ok(IssuedGrant { access_token, refresh_token, expires_at, family })
}

pub(crate) fn retire_secret(state: &mut State, client: &str, secret: &str) -> bool {
    let clients = &mut state.options.clients;
    let Some(client) = clients.iter_mut().find(|other| other.id == client) else { return false };
    let before = client.secrets.len();
    client.secrets.retain(|other| other != secret);
    client.secrets.len() < before
}

/// A fault that was scripted, for the next request at its endpoint unless one of these says otherwise.
#[derive(Clone, Copy)]
pub struct Scripted<'a> {
    shared: &'a Shared,
    id: RuleId,
}

#[expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "what they change is the script; what they return is only for the next of them"
)]
impl Scripted<'_> {
    /// For the next `times` requests.
    pub fn times(self, times: u32) -> Self {
        self.change(|rule| rule.times = Some(times))
    }

    /// For every request, until it is cleared.
    pub fn always(self) -> Self {
        self.change(|rule| rule.times = None)
    }

    /// For requests of this `grant_type` only.
    pub fn for_grant_type(self, grant_type: &str) -> Self {
        self.change(|rule| rule.grant_type = Some(grant_type.to_owned()))
    }

    /// For requests of this client only.
    pub fn for_client(self, client: &str) -> Self {
        self.change(|rule| rule.client = Some(client.to_owned()))
    }

    /// For requests that come while `holds` is true of the ledger. `holds` must not call the provider.
    pub fn while_holds(self, holds: impl Fn(&Ledger) -> bool + Send + Sync + 'static) -> Self {
        self.change(|rule| rule.condition = Some(Arc::new(holds)))
    }

    /// Takes the fault back.
    pub fn clear(self) {
        self.shared.look(|state| state.script.remove(self.id));
    }

    fn change(self, change: impl FnOnce(&mut Rule)) -> Self {
        self.shared.look(|state| state.script.change(self.id, change));
        self
    }
}
