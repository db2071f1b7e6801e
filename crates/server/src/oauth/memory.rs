//! What was read at a URL lately.

use std::{convert::Infallible, sync::Arc, time::Duration};

use keyfob_core::time::Timestamp;
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::Mutex;
use url::Url;

use super::discover::NotDiscovered;
use crate::clock::Clock;

/// So long an answer is believed.
const KEPT: Duration = Duration::from_hours(1);
/// So long nobody is asked again who did not answer as they should.
const FAILURE_KEPT: Duration = Duration::from_secs(5);
/// What is remembered at the most, in bytes: whoever writes configs chooses the URLs, and what is there.
const MOST: u64 = 2 << 20;
/// What a URL costs in memory besides its text and what was found, in bytes.
const OVERHEAD: u64 = 512;
/// URLs that there is room for before it is needed.
const EXPECTED: usize = 16;

type Found<T> = Result<Arc<T>, NotDiscovered>;

/// Something that takes room where it is remembered.
pub(super) trait Size {
    /// About how much, in bytes.
    fn size(&self) -> usize;
}

/// What is known of a URL, and until when. Whoever asks has the lock meanwhile.
struct Place<T> {
    known: Mutex<Option<(Timestamp, Found<T>)>>,
    /// How large what is known was when this was made, in bytes.
    size: usize,
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), size: 0 }
    }
}

#[derive(Clone)]
struct BySize;

impl<T> Weighter<Url, Arc<Place<T>>> for BySize {
    fn weight(&self, url: &Url, place: &Arc<Place<T>>) -> u64 {
        OVERHEAD + (url.as_str().len() + place.size) as u64
    }
}

/// What was read at each of some URLs. One request at a time goes to each.
pub(super) struct Memory<T>(Cache<Url, Arc<Place<T>>, BySize>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, MOST, BySize))
    }
}

impl<T: Size> Memory<T> {
    /// What is known of `url`, or else what `look` finds there.
    pub(super) async fn get(
        &self,
        url: &Url,
        clock: &dyn Clock,
        look: impl Future<Output = Result<T, NotDiscovered>> + Send,
    ) -> Found<T> {
        let made = self.0.get_or_insert_with(url, || Ok::<_, Infallible>(Arc::default()));
        let Ok(place) = made;
        let mut known = place.known.lock().await;
        if let Some((until, found)) = &*known
            && *until > clock.now()
        {
            return found.clone();
        }
        let found = look.await.map(Arc::new);
        let life = if found.is_ok() { KEPT } else { FAILURE_KEPT };
        let news = (clock.now().plus(life), found.clone());
        *known = Some(news.clone());
        // What is in the cache must not change its weight. Those who wait find the news in the old place.
        let size = found.as_ref().map_or(0, |found| found.size());
        self.0.insert(url.clone(), Arc::new(Place { known: Mutex::new(Some(news)), size }));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    impl Size for String {
        fn size(&self) -> usize {
            self.len()
        }
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_by_its_size() {
        let memory = Memory::default();
        for n in 0..100 {
            let url = Url::parse(&format!("https://a.example/{n}")).unwrap();
            let look = async { Ok("x".repeat(64 * 1024)) };
            memory.get(&url, &SystemClock, look).await.unwrap();
        }
        assert!(memory.0.weight() <= MOST && (1..=31).contains(&memory.0.len()));
        let url = Url::parse("https://a.example/99").unwrap();
        let again = memory.get(&url, &SystemClock, async { Ok("other".into()) }).await;
        assert_ne!(*again.unwrap(), "other", "it is remembered");
    }
}
