//! Renewing grants before anybody waits for it.

use keyfob_store::refresh::{self, Refresh};

use super::{
    Broker,
    hosts::{Asking, HOSTS, Heard, SOME},
    renewal::{Need, Renewal},
};
use crate::error::Error;

impl Broker {
    /// Begins to renew what is due, provider by provider; with how many of them. Does not wait.
    pub async fn renew_due(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let hosts = self.read(move |tx| Ok(refresh::due_hosts(tx, now, HOSTS)?));
        let mut begun = 0;
        for host in hosts.await? {
            if let Some(asking) = self.inner.refreshing.take(&host, now) {
                begun += 1;
                let broker = self.clone();
                tokio::spawn(async move { broker.renew_at(&asking).await });
            }
        }
        Ok(begun)
    }

    async fn renew_at(&self, asking: &Asking) {
        let due = async || {
            let (now, host) = (self.now()?, asking.host.clone());
            self.read(move |tx| Ok(refresh::list_due(tx, &host, now, SOME)?)).await
        };
        asking.work(self, due, |grant| self.renew_ahead(grant)).await;
    }

    async fn renew_ahead(&self, grant: Refresh) -> Heard {
        match self.keep_alive(&grant.holder, Wish::Ahead).await {
            Renewal::Failed(_) => Heard::Silence,
            Renewal::Fresh | Renewal::Broken => Heard::Answer,
            Renewal::Waiting => Heard::Nothing,
            Renewal::Nothing => {
                self.forget_refresh(&grant).await;
                Heard::Nothing
            }
        }
    }

    /// Forgets that a grant was to be kept alive that is gone, or that nothing renews any more.
    async fn forget_refresh(&self, grant: &Refresh) {
        let (broker, holder) = (self.clone(), grant.holder.clone());
        let forgotten = self.write(move |tx| {
            let now = broker.now()?;
            let held = broker.held(tx, &holder)?;
            if held.is_none_or(|held| !held.can_renew(now)) {
                refresh::end(tx, &holder)?;
            }
            Ok(tx.commit_unaudited(()))
        });
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "a grant that is gone could not be forgotten");
        }
    }
}
