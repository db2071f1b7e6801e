//! Which request fails, and how.

use std::{fmt, sync::Arc};

use crate::{
    endpoint::Endpoint,
    fault::Fault,
    ledger::{Ledger, Request},
};

type Condition = Arc<dyn Fn(&Ledger) -> bool + Send + Sync>;

/// A fault, and the requests that it is for.
pub(crate) struct Rule {
    pub(crate) endpoint: Endpoint,
    pub(crate) fault: Fault,
    /// How many more requests it is for; nothing means all.
    pub(crate) times: Option<u32>,
    pub(crate) grant_type: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) condition: Option<Condition>,
}

impl Rule {
    pub(crate) fn once(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint, fault, times: Some(1), grant_type: None, client: None, condition: None }
    }

    fn is_for(&self, request: &Request, ledger: &Ledger) -> bool {
        let asks = |asked: &Option<String>, is: &Option<String>| asked.is_none() || asked == is;
        self.endpoint == request.endpoint
            && asks(&self.grant_type, &request.grant_type)
            && asks(&self.client, &request.client)
            && self.condition.as_ref().is_none_or(|holds| holds(ledger))
    }
}

/// Names a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleId(pub(crate) u64);

/// The rules, in the order in which they take their turn.
#[derive(Default)]
pub(crate) struct Script {
    rules: Vec<(RuleId, Rule)>,
    made: u64,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(|(_, rule)| &rule.fault)).finish()
    }
}

impl Script {
    pub(crate) fn add(&mut self, rule: Rule) -> RuleId {
        self.made += 1;
        let id = RuleId(self.made);
        self.rules.push((id, rule));
        id
    }

    pub(crate) fn change(&mut self, id: RuleId, change: impl FnOnce(&mut Rule)) {
        if let Some((_, rule)) = self.rules.iter_mut().find(|(other, _)| *other == id) {
            change(rule);
        }
        self.rules.retain(|(_, rule)| rule.times != Some(0));
    }

    pub(crate) fn remove(&mut self, id: RuleId) {
        self.rules.retain(|(other, _)| *other != id);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault whose turn it is: that of the first rule which is for this request.
    pub(crate) fn take(&mut self, request: &Request, ledger: &Ledger) -> Option<Fault> {
        let (id, rule) = self.rules.iter_mut().find(|(_, rule)| rule.is_for(request, ledger))?;
        let (id, fault) = (*id, rule.fault.clone());
        self.change(id, |rule| rule.times = rule.times.map(|times| times - 1));
        Some(fault)
    }
}
