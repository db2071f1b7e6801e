//! What all requests that are under way share: one account must not have all of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use keyfob_core::id::AccountId;

/// So much of something, such as places or bytes, and who has it. Cheap to clone.
#[derive(Clone)]
pub(in crate::broker) struct Budget(Arc<Inner>);

struct Inner {
    taken: Mutex<Taken>,
    /// So much for all together.
    all: usize,
    /// So much for one account.
    each: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<AccountId, usize>,
}

/// A part of it, until it is dropped.
pub(super) struct Share {
    budget: Budget,
    account: AccountId,
    amount: usize,
}

impl Budget {
    /// So much for all, and half of it for one account.
    pub(in crate::broker) fn of(all: usize) -> Self {
        Self(Arc::new(Inner { taken: Mutex::default(), all, each: all.div_ceil(2) }))
    }

    /// So much for this account, if there is as much.
    pub(super) fn take(&self, account: &AccountId, amount: usize) -> Option<Share> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.all.checked_add(amount).filter(|all| *all <= self.0.all)?;
        let own = taken.by.get(account).copied().unwrap_or(0) + amount;
        if own > self.0.each {
            return None;
        }
        taken.all = all;
        taken.by.insert(account.clone(), own);
        drop(taken);
        Some(Share { budget: self.clone(), account: account.clone(), amount })
    }

    fn give_back(&self, account: &AccountId, amount: usize) {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(amount);
        if let Some(own) = taken.by.get_mut(account) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                taken.by.remove(account);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(&self.account, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_has_half_of_it_and_each_part_comes_back() {
        let budget = Budget::of(8);
        let [one, two, three] = [1, 2, 3].map(|n| AccountId::from_bits([n; 16]));
        let mut held: Vec<_> = (0..4).map(|_| budget.take(&one, 1).unwrap()).collect();
        assert!(budget.take(&one, 1).is_none());
        assert!(budget.take(&two, 5).is_none(), "that is more than a half");
        held.push(budget.take(&two, 3).unwrap());
        assert!(budget.take(&three, 2).is_none(), "there is less than that for anybody");
        let third = budget.take(&three, 1).unwrap();
        assert!(budget.take(&three, 1).is_none());
        held.pop();
        assert!(budget.take(&one, 1).is_none());
        held.clear();
        assert!(budget.take(&one, 4).is_some());
        assert!(budget.take(&one, usize::MAX).is_none());
        drop(third);
        assert!(budget.0.taken.lock().unwrap().by.is_empty());
    }

    #[test]
    fn of_one_there_is_one() {
        let account = AccountId::from_bits([1; 16]);
        let budget = Budget::of(1);
        let share = budget.take(&account, 1);
        assert!(share.is_some() && budget.take(&account, 1).is_none());
    }
}
