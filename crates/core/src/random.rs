//! Where randomness comes from: always from outside.

/// A source of unpredictable bytes. The service passes the operating system's, tests a seeded one.
pub trait Random: Send + Sync {
    /// Fills `bytes` with random bytes. A source that cannot must not return.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// The same in an order of chance.
pub fn shuffled<T>(mut all: Vec<T>, random: &dyn Random) -> Vec<T> {
    for last in (1..all.len()).rev() {
        let chance = usize::from_be_bytes(bytes(random));
        all.swap(last, chance % (last + 1));
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::{Random, shuffled};

    /// Not random at all: 0, 1, 2, … so that a test can tell the draws apart.
    #[derive(Default)]
    pub(crate) struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn what_is_shuffled_is_all_there() {
        let mut all = shuffled((0..100).collect(), &Counting::default());
        assert_ne!(all, (0..100).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
