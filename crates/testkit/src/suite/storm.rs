//! A storm: many callers on all nodes who want tokens without a pause, of grants whose tokens hardly live.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    broker::{Broker, Failed},
    scene::{Stage, Wrong},
    storm_report::{Loss, Seen, StormReport},
};
use crate::{
    clock::{Clock, Moment, SystemClock},
    provider::{IssuedGrant, Provider},
};

/// How long a caller waits who was told to come again, or whose node is away.
const AGAIN: Duration = Duration::from_millis(50);
/// How long refreshes may take to come to an end after the storm: longer than any lease or pause.
const AFTERMATH: Duration = Duration::from_secs(90);

/// What a storm is like.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Grants; callers take them in turn.
    pub holders: usize,
    /// Callers on each node.
    pub callers: usize,
    /// How long each access token lives; whole seconds.
    pub life: Duration,
    /// How long it lasts.
    pub duration: Duration,
    /// How long each caller keeps still between two calls; nothing for as many calls as there can be.
    pub pause: Duration,
}

/// When nodes were killed, during a storm.
#[derive(Clone, Debug, Default)]
pub struct Kills(Arc<Mutex<Vec<Moment>>>);

impl Kills {
    /// Notes that a node has just been killed.
    pub fn note(&self) {
        self.all().push(SystemClock.now());
    }

    pub(super) fn moments(&self) -> Vec<Moment> {
        self.all().clone()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A holder, and the grant it has now.
struct Held<H> {
    holder: H,
    grant: Mutex<IssuedGrant>,
    /// Taken by the one caller who connects it anew.
    mending: tokio::sync::Mutex<()>,
}

impl<H> Held<H> {
    fn grant(&self) -> IssuedGrant {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Shared<B: Broker> {
    broker: Arc<B>,
    provider: Provider,
    held: Vec<Held<B::Holder>>,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

impl Storm {
    /// Runs it against a broker whose nodes all stay up; what was seen.
    pub async fn run<B: Broker>(&self, broker: Arc<B>) -> Result<StormReport, Wrong> {
        self.run_with(broker, &Kills::default(), async || ()).await
    }

    /// Runs it while `trouble` kills nodes, notes that in `kills`, and starts them again. It should last about as
    /// long as the storm, and leave every node up: what it has interrupted is waited for then.
    pub async fn run_with<B: Broker>(
        &self,
        broker: Arc<B>,
        kills: &Kills,
        trouble: impl AsyncFnOnce(),
    ) -> Result<StormReport, Wrong> {
        let shared = Arc::new(self.prepare(broker).await?);
        let began = shared.provider.now();
        let mut callers = JoinSet::new();
        for number in 0..self.callers * shared.broker.nodes() {
            callers.spawn(call(Arc::clone(&shared), number, self.pause));
        }
        let timer = async {
            tokio::time::sleep(self.duration).await;
            shared.over.store(true, Ordering::Relaxed);
        };
        tokio::join!(timer, trouble());
        callers.join_all().await;
        let lasted = shared.provider.now().since(began);
        settle(&shared).await?;
        let seen = std::mem::take(&mut *shared.seen());
        let ledger = shared.provider.ledger();
        Ok(StormReport::new(self, shared.broker.nodes(), lasted, &seen, &kills.moments(), &ledger))
    }

    async fn prepare<B: Broker>(&self, broker: Arc<B>) -> Result<Shared<B>, Wrong> {
        let settings = super::Settings::default();
        let stage = Stage { broker: Arc::clone(&broker), settings };
        let scene = stage.scene(|options| options.access_token_life = self.life).await?;
        let mut held = Vec::with_capacity(self.holders);
        for _ in 0..self.holders.max(1) {
            let (holder, grant) = scene.hold(self.life).await?;
            held.push(Held {
                holder,
                grant: Mutex::new(grant),
                mending: tokio::sync::Mutex::new(()),
            });
        }
        let (seen, over) = (Mutex::new(Seen::default()), AtomicBool::new(false));
        Ok(Shared { broker, provider: scene.provider, held, seen, over })
    }
}

impl<B: Broker> Shared<B> {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// One call; whether there was a token.
    async fn take(&self, node: usize, index: usize) -> Result<bool, Wrong> {
        let held = &self.held[index];
        let (grant, start) = (held.grant(), self.provider.now());
        let answer = self.broker.token(node, &held.holder).await;
        let end = self.provider.now();
        match answer {
            Ok(token) => {
                let known = self.provider.was_issued(&token);
                self.seen().token(start, end, known);
                return Ok(true);
            }
            Err(Failed::Ended(reason)) => self.mend(index, &grant, reason).await?,
            Err(other) => {
                self.seen().failed(&other);
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(false)
    }

    /// Notes that a grant was lost, and connects its holder anew, unless somebody else has done so.
    async fn mend(&self, index: usize, lost: &IssuedGrant, reason: String) -> Result<(), Wrong> {
        let held = &self.held[index];
        let _mending = held.mending.lock().await;
        if held.grant() != *lost {
            return Ok(());
        }
        let grant = self.provider.issue_grant("app", Duration::from_secs(1))?;
        // Nodes may be away; the holder's grant is the new one from when the broker has it.
        while let Err(error) = self.broker.replace(&held.holder, &grant).await {
            if !matches!(error, Failed::Unreachable(_) | Failed::Later(_)) {
                return Err(error.into());
            }
            tokio::time::sleep(AGAIN).await;
        }
        *held.grant.lock().unwrap_or_else(PoisonError::into_inner) = grant;
        self.seen().losses.push(Loss { family: lost.family, reason });
        Ok(())
    }
}

async fn call<B: Broker>(shared: Arc<Shared<B>>, number: usize, pause: Duration) {
    let node = number % shared.broker.nodes();
    let mut index = number;
    while !shared.is_over() {
        index = (index + 1) % shared.held.len();
        if let Err(wrong) = shared.take(node, index).await {
            shared.seen().unexpected(wrong.to_string());
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Waits until every holder has a token again, so that nothing of the storm is still to come.
async fn settle<B: Broker>(shared: &Shared<B>) -> Result<(), Wrong> {
    let mut left: HashSet<usize> = (0..shared.held.len()).collect();
    let settled = async {
        while let Some(&index) = left.iter().next() {
            if shared.take(index % shared.broker.nodes(), index).await? {
                left.remove(&index);
            }
        }
        Ok(())
    };
    let late = |_| Wrong::Seen(format!("after {AFTERMATH:?} a holder still has no token"));
    tokio::time::timeout(AFTERMATH, settled).await.map_err(late)?
}
