//! How many names are looked up at a time.
//!
//! The machine's own look-up holds a thread until it has ended, also when nobody waits for it any more, and a name
//! server that does not answer takes its time. There are only so many threads, and whoever writes URLs chooses the
//! names: so an account has some places, and all together have fewer than there are threads.

use std::{
    collections::HashMap,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyfob_core::id::AccountId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::guard::Lookup;

/// All look-ups: a quarter of the threads that the runtime has for what blocks.
const ALL: usize = 128;
/// Those of one account.
const EACH: usize = 16;
/// So long a place is waited for: less than it may take to connect, so that it can be told from that.
const PATIENCE: Duration = Duration::from_secs(5);

/// There was no place for a look-up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many names are being looked up that do not answer")
    }
}

impl std::error::Error for Busy {}

/// The places there are. `None` is whoever asks for no account.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    by: Mutex<HashMap<Option<AccountId>, Arc<Semaphore>>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), by: Mutex::default() }
    }
}

impl Lookups {
    /// What a look-up finds, once there is a place for it, which it has until it has ended.
    pub(super) async fn find(
        &self,
        account: Option<&AccountId>,
        lookup: &dyn Lookup,
        name: &str,
    ) -> Result<io::Result<Vec<IpAddr>>, Busy> {
        let place = timeout(PATIENCE, self.place(account)).await.map_err(|_| Busy)?;
        let looking = lookup.lookup(name);
        // A task of its own: who gives up does not end the thread.
        let looking = tokio::spawn(async move {
            let found = looking.await;
            drop(place);
            found
        });
        Ok(looking.await.unwrap_or_else(|error| Err(io::Error::other(error))))
    }

    async fn place(&self, account: Option<&AccountId>) -> Option<[OwnedSemaphorePermit; 2]> {
        // Its own first: who waits for that holds none of the others'.
        let own = self.of(account).acquire_owned().await.ok()?;
        let one = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some([own, one])
    }

    fn of(&self, account: Option<&AccountId>) -> Arc<Semaphore> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has or awaits a place holds it, too.
        by.retain(|_, places| Arc::strong_count(places) > 1);
        let places = by.entry(account.cloned()).or_insert_with(|| Arc::new(Semaphore::new(EACH)));
        Arc::clone(places)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::egress::Looking;

    /// Only one name is ever found.
    struct Slow;

    impl Lookup for Slow {
        fn lookup(&self, name: &str) -> Looking {
            if name == "fast.example" {
                return Box::pin(std::future::ready(Ok(Vec::new())));
            }
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_of_one_account_that_do_not_answer_hold_nobody_else_up() {
        let lookups = Lookups::default();
        let [one, two] = [1, 2].map(|n| AccountId::from_bits([n; 16]));
        let names = (0..600).map(|_| lookups.find(Some(&one), &Slow, "slow.example"));
        // Also when their callers have given up.
        assert!(timeout(PATIENCE / 2, join_all(names)).await.is_err());
        assert_eq!(lookups.all.available_permits(), ALL - EACH);
        assert!(lookups.find(Some(&two), &Slow, "fast.example").await.is_ok());
        assert!(lookups.find(None, &Slow, "fast.example").await.is_ok());
        assert!(lookups.find(Some(&one), &Slow, "fast.example").await.is_err());
        assert_eq!(lookups.by.lock().unwrap().len(), 1, "who looks nothing up is forgotten");
    }
}
