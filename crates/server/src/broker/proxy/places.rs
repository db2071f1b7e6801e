//! How many requests may be under way at a time. Each holds two connections for as long as both of its bodies take,
//! so one account must not have them all, and all of them together must leave some to other calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use keyfob_core::id::AccountId;

/// The places there are, and who has them. Cheap to clone.
#[derive(Clone)]
pub(in crate::broker) struct Places(Arc<Inner>);

struct Inner {
    taken: Mutex<Taken>,
    /// So many for all together.
    all: usize,
    /// So many for one account.
    each: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<AccountId, usize>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Places,
    account: AccountId,
}

impl Places {
    /// Half of the `connections` that a server bears, and half of these for one account.
    pub(in crate::broker) fn of(connections: usize) -> Self {
        let all = (connections / 2).max(1);
        Self(Arc::new(Inner { taken: Mutex::default(), all, each: all.div_ceil(2) }))
    }

    /// A place for a request of this account, if there is one.
    pub(super) fn take(&self, account: &AccountId) -> Option<Place> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(account).copied().unwrap_or(0);
        if taken.all >= self.0.all || own >= self.0.each {
            return None;
        }
        taken.all += 1;
        taken.by.insert(account.clone(), own + 1);
        drop(taken);
        Some(Place { places: self.clone(), account: account.clone() })
    }

    fn give_back(&self, account: &AccountId) {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by.get_mut(account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by.remove(account);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_has_half_of_the_places_and_each_comes_back() {
        let places = Places::of(16);
        let [one, two, three] = [1, 2, 3].map(|n| AccountId::from_bits([n; 16]));
        let mut held: Vec<_> = (0..4).map(|_| places.take(&one).unwrap()).collect();
        assert!(places.take(&one).is_none());
        held.extend((0..4).map(|_| places.take(&two).unwrap()));
        assert!(places.take(&three).is_none(), "there are no more for anybody");
        held.pop();
        assert!(places.take(&one).is_none());
        let third = places.take(&three).unwrap();
        held.clear();
        assert!(places.take(&one).is_some());
        drop(third);
        assert!(places.0.taken.lock().unwrap().by.is_empty());
    }

    #[test]
    fn there_is_always_one() {
        let account = AccountId::from_bits([1; 16]);
        let places = Places::of(0);
        let place = places.take(&account);
        assert!(place.is_some() && places.take(&account).is_none());
    }
}
