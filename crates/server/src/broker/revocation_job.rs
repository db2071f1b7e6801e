//! Working the queue of grants that have to be revoked. A row is first sorted: opened, to learn at which
//! host it is to be revoked. Then each host has a few of them at a time.

use std::time::Duration;

use keyfob_core::{id::AccountId, time::Timestamp};
use keyfob_store::{
    Commit, WriteTx,
    revocation::{self, Leased, Outcome, Waiting},
};

use super::{
    Broker,
    hosts::{Asking, HOSTS, Heard, SOME},
    revocation::{Known, Plan, Verdict},
};
use crate::error::Error;

/// A lease outlives the slowest request. The clocks of nodes may differ by what is left of it.
const LEASE: Duration = Duration::from_secs(30);
/// How revocations went is remembered for so long.
const REMEMBERED_FOR: Duration = Duration::from_hours(7 * 24);
/// The place, among hosts, of rows whose host is not known yet: no host is called so.
const UNSORTED: &str = "";

/// What this node does with a row that it took.
enum Taken {
    /// It asks the provider.
    Ask(Box<Leased>, Box<Plan>),
    /// It was only sorted, or is another one's.
    Not,
    /// It has ended.
    Ended(Outcome),
}

impl Broker {
    /// Ends when grants were queued on this node since it last ended.
    pub async fn revocation_queued(&self) {
        self.inner.revocations.notified().await;
    }

    /// Has the queue looked at now, after something may have been queued.
    pub(super) fn begin_revocations(&self) {
        self.inner.revocations.notify_one();
    }

    /// Begins to revoke what is due, provider by provider; with how many of them. Does not wait.
    pub async fn revoke_due(&self) -> Result<usize, Error> {
        let (now, after) = (self.now()?, self.inner.revoking.after());
        let look = self.read(move |tx| {
            let is_unsorted = !revocation::list_unsorted(tx, now, 1)?.is_empty();
            let hosts = revocation::due_hosts(tx, &after, now, HOSTS)?;
            Ok((is_unsorted, hosts))
        });
        let (is_unsorted, hosts) = look.await?;
        self.inner.revoking.looked_up(&hosts);
        let unsorted = is_unsorted.then(|| UNSORTED.to_owned());
        let mut begun = 0;
        for host in unsorted.into_iter().chain(hosts) {
            if let Some(asking) = self.inner.revoking.take(&host, now) {
                begun += 1;
                let broker = self.clone();
                self.spawn(async move { broker.revoke_at(asking).await });
            }
        }
        Ok(begun)
    }

    async fn revoke_at(&self, asking: Asking) {
        let due = async || {
            let (now, host) = (self.now()?, asking.host.clone());
            let list = self.read(move |tx| {
                Ok(match host.as_str() {
                    UNSORTED => revocation::list_unsorted(tx, now, SOME)?,
                    host => revocation::list_due(tx, host, now, SOME)?,
                })
            });
            list.await
        };
        let has_others = async |account: AccountId| {
            let (now, host) = (self.now()?, asking.host.clone());
            self.read(move |tx| Ok(revocation::has_others_due(tx, &host, &account, now)?)).await
        };
        let revoke = |row| self.work_revocation(row, asking.host != UNSORTED);
        asking.work(self, due, has_others, revoke).await;
        let was_sorting = asking.host == UNSORTED;
        // Before it is told: whoever looks from now on may begin anew.
        drop(asking);
        if was_sorting {
            self.begin_revocations();
        }
    }

    /// Does what is next for a row: sorts it, or revokes it.
    async fn work_revocation(&self, row: Waiting, is_sorted: bool) -> Heard {
        if self.is_stopping() {
            return Heard::Nothing;
        }
        match self.try_revocation(row, is_sorted).await {
            Ok(heard) => heard,
            Err(error) => {
                error.log("revocation");
                Heard::Silence
            }
        }
    }

    async fn try_revocation(&self, row: Waiting, is_sorted: bool) -> Result<Heard, Error> {
        let (now, broker) = (self.now()?, self.clone());
        let take = self.write(move |tx| broker.take_revocation(tx, &row, is_sorted, now));
        let (leased, plan) = match take.await? {
            Taken::Ask(leased, plan) => (leased, plan),
            Taken::Not => return Ok(Heard::Nothing),
            Taken::Ended(outcome) => {
                self.count_revocation(Some(outcome));
                return Ok(Heard::Nothing);
            }
        };
        let verdict = self.ask_to_revoke(&plan).await;
        let heard = match verdict {
            Verdict::Ended(..) => Heard::Answer,
            Verdict::Later { .. } => Heard::Silence,
        };
        let (now, broker) = (self.now()?, self.clone());
        let settle = self
            .write(move |tx| Ok(broker.settle_revocation(tx, &leased, verdict.clone(), now)?));
        self.count_revocation(settle.await?);
        Ok(heard)
    }

    /// Takes a row, and opens it.
    fn take_revocation(
        &self,
        tx: &mut WriteTx<'_>,
        row: &Waiting,
        is_sorted: bool,
        now: Timestamp,
    ) -> Result<Commit<Taken>, Error> {
        let Some(leased) = revocation::lease(tx, row, now, now.plus(LEASE))? else {
            return Ok(tx.commit_unaudited(Taken::Not));
        };
        let verdict = match self.plan_revocation(tx, &leased.revocation) {
            Ok(Known::Plan(plan)) if is_sorted => {
                return Ok(tx.commit_unaudited(Taken::Ask(Box::new(leased), plan)));
            }
            Ok(Known::Plan(plan)) => {
                revocation::sort(tx, &leased, &plan.host())?;
                return Ok(tx.commit_unaudited(Taken::Not));
            }
            Ok(Known::Never(outcome, problem)) => Verdict::Ended(outcome, Some(problem)),
            // Damage may be mended.
            Err(error @ Error::Internal(_)) => {
                error.log("revocation");
                let problem = "it cannot be opened: run `keyfob doctor`".into();
                Verdict::Later { problem, retry_after: None }
            }
            Err(error) => return Err(error),
        };
        let settled = self.settle_revocation(tx, &leased, verdict, now)?;
        Ok(settled.map(|outcome| outcome.map_or(Taken::Not, Taken::Ended)))
    }

    fn count_revocation(&self, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.inner.metrics.revocation(outcome.as_str());
        }
    }

    /// Forgets how revocations went that ended long ago; how many.
    pub async fn forget_revocations(&self) -> Result<u64, Error> {
        let before = self.now()?.minus(REMEMBERED_FOR);
        self.forget(move |tx, limit| revocation::forget(tx, before, limit)).await
    }
}
