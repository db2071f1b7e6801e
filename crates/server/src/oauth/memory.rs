//! What was read at a URL lately.

use std::{convert::Infallible, sync::Arc, time::Duration};

use keyfob_core::time::Timestamp;
use quick_cache::{UnitWeighter, sync::Cache};
use tokio::sync::Mutex;
use url::Url;

use super::discover::NotDiscovered;
use crate::clock::Clock;

/// So long an answer is believed.
const KEPT: Duration = Duration::from_hours(1);
/// So long nobody is asked again who did not answer as they should.
const FAILURE_KEPT: Duration = Duration::from_secs(5);
/// URLs that are remembered; whoever writes configs chooses them.
const MOST: u64 = 512;
/// URLs that there is room for before it is needed.
const EXPECTED: usize = 16;

type Found<T> = Result<Arc<T>, NotDiscovered>;

/// What is known of a URL, and until when. Whoever asks has the lock meanwhile.
type Place<T> = Mutex<Option<(Timestamp, Found<T>)>>;

/// What was read at each of some URLs. One request at a time goes to each.
pub(super) struct Memory<T>(Cache<Url, Arc<Place<T>>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, MOST, UnitWeighter))
    }
}

impl<T> Memory<T> {
    /// What is known of `url`, or else what `look` finds there.
    pub(super) async fn get(
        &self,
        url: &Url,
        clock: &dyn Clock,
        look: impl Future<Output = Result<T, NotDiscovered>> + Send,
    ) -> Found<T> {
        let made = self.0.get_or_insert_with(url, || Ok::<_, Infallible>(Arc::default()));
        let Ok(place) = made;
        let mut known = place.lock().await;
        if let Some((until, found)) = &*known
            && *until > clock.now()
        {
            return found.clone();
        }
        let found = look.await.map(Arc::new);
        let life = if found.is_ok() { KEPT } else { FAILURE_KEPT };
        *known = Some((clock.now().plus(life), found.clone()));
        found
    }
}
