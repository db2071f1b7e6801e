//! Renewing grants before anybody waits for it.

use std::time::Duration;

use keyfob_core::id::AccountId;
use keyfob_store::{
    ReadTx, StoreError, connection,
    refresh::{self, Holder, Refresh},
    secret,
};

use super::{
    Broker,
    hosts::{Asking, HOSTS, Heard, SOME},
    renewal::{Need, Renewal},
};
use crate::error::Error;

/// For so long a grant is let be that cannot be renewed as things are.
const PUT_OFF: Duration = Duration::from_hours(1);

impl Broker {
    /// Begins to renew what is due, provider by provider; with how many of them. Does not wait.
    pub async fn renew_due(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let after = self.inner.refreshing.after();
        let hosts = self.read(move |tx| Ok(refresh::due_hosts(tx, &after, now, HOSTS)?)).await?;
        self.inner.refreshing.looked_up(&hosts);
        let mut begun = 0;
        for host in hosts {
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
        let has_others = async |account: AccountId| {
            let (now, host) = (self.now()?, asking.host.clone());
            self.read(move |tx| Ok(refresh::has_others_due(tx, &host, &account, now)?)).await
        };
        asking.work(self, due, has_others, |grant| self.renew_ahead(grant)).await;
    }

    async fn renew_ahead(&self, grant: Refresh) -> Heard {
        if self.is_stopping() {
            return Heard::Nothing;
        }
        match self.keep_alive(&grant.holder, Need::Ahead).await {
            Renewal::Failed(_) => Heard::Silence,
            Renewal::Fresh | Renewal::Refused(_) => Heard::Answer,
            Renewal::Waiting => Heard::Nothing,
            Renewal::Nothing | Renewal::Broken | Renewal::Stuck => {
                self.set_aside(&grant).await;
                Heard::Nothing
            }
        }
    }

    /// Forgets that a grant was to be kept alive that has ended. One that cannot be renewed as things are is put
    /// off: its secret may be changed back, and its row mended.
    async fn set_aside(&self, grant: &Refresh) {
        let (broker, grant) = (self.clone(), grant.clone());
        let set_aside = self.write(move |tx| {
            let (now, holder) = (broker.now()?, &grant.holder);
            let is_over = match broker.held(tx, holder) {
                Ok(Some(held)) => held.place.broken().is_some() || !held.can_renew(now),
                Ok(None) => !is_there(tx, holder)?,
                Err(_) => false,
            };
            if is_over {
                refresh::end_lease(tx, holder, grant.fence)?;
            } else {
                refresh::put_off(tx, &grant, now.plus(PUT_OFF))?;
            }
            Ok(tx.commit_unaudited(()))
        });
        if let Err(error) = set_aside.await {
            tracing::warn!(%error, "a grant that cannot be renewed could not be set aside");
        }
    }
}

/// Whether the row is there that a grant is in.
fn is_there(tx: &mut ReadTx<'_>, holder: &Holder) -> Result<bool, StoreError> {
    let Holder { account, contact, secret } = holder;
    Ok(match contact {
        Some(contact) => connection::find(tx, account, contact, secret)?.is_some(),
        None => secret::find(tx, account, secret)?.is_some(),
    })
}
