//! What the doctor has found in the rows.

use keyfob_core::{
    crypto::{DataKey, OpenError, Sealed},
    id::TotpId,
    time::Timestamp,
};
use keyfob_store::{StoreError, revocation::Progress, totp::SealedTotp};

use crate::{broker::code::reach, error::Damaged};

/// A table, a row and a column.
pub(super) type At<'a> = (&'static str, &'a str, &'static str);

/// Rows that are named; of more there is only the count.
const SHOWN: usize = 20;

/// What was found in the rows.
pub(super) struct Checked {
    now: Timestamp,
    opened: u64,
    /// What is wrong with those that do not open.
    damage: Vec<String>,
    /// Grants that could not be revoked at their provider, and why.
    unrevoked: Vec<String>,
    /// Entries whose taken time steps are ahead of the clock.
    ahead: Vec<TotpId>,
}

impl Checked {
    /// Nothing was found yet.
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { now, opened: 0, damage: Vec::new(), unrevoked: Vec::new(), ahead: Vec::new() }
    }

    /// Whether every sealed value opens.
    pub(super) fn values(&self) -> Result<String, String> {
        let Self { opened, damage, .. } = self;
        if damage.is_empty() {
            return Ok(format!("{opened} sealed values open"));
        }
        let count = damage.len();
        let shown: String = damage.iter().take(SHOWN).flat_map(|line| ["\n  ", line]).collect();
        Err(format!("{opened} sealed values open, {count} rows or values do not:{shown}"))
    }

    /// Whether a time step is taken that is yet to come.
    pub(super) fn steps(&self) -> Result<String, String> {
        if self.ahead.is_empty() {
            return Ok("none is taken that is yet to come".into());
        }
        let count = self.ahead.len();
        let shown = self.ahead.iter().take(SHOWN).map(|id| format!("\n  totp row {id}"));
        Err(format!(
            "of {count} entries steps are taken that are far ahead, as after a clock that was wrong; `unique` waits for them to pass, unless the entry is PATCHed with {{\"policy\":{{\"forget_steps_ahead\":true}}}}:{}",
            shown.collect::<String>(),
        ))
    }

    /// Whether every grant that went was revoked at its provider, as far as that is remembered.
    pub(super) fn revocations(&self) -> Result<String, String> {
        if self.unrevoked.is_empty() {
            return Ok("none has failed in the last 7 days".into());
        }
        let (count, shown) = (self.unrevoked.len(), self.unrevoked.iter().take(SHOWN));
        let grants = if count == 1 { "grant is" } else { "grants are" };
        Err(format!(
            "{count} {grants} gone here and may live on at the provider: take them back there, in its console or as the person who gave them:{}",
            shown.flat_map(|line| ["\n  ", line]).collect::<String>(),
        ))
    }

    /// A grant that could not be revoked at its provider.
    pub(super) fn not_revoked(&mut self, progress: &Progress) {
        let Progress { id, secret, problem, .. } = progress;
        let problem = problem.as_deref().unwrap_or_default();
        self.unrevoked.push(format!("revocation row {id} (secret {secret}): {problem}"));
    }

    /// Rows that cannot be read.
    pub(super) fn damaged(&mut self, errors: &[StoreError]) {
        self.damage.extend(errors.iter().map(StoreError::to_string));
    }

    /// A column that does not open.
    pub(super) fn does_not_open(&mut self, table: &'static str, row: String, column: &'static str) {
        let damaged = Damaged { table, row, column, source: OpenError };
        self.damage.push(damaged.to_string());
    }

    /// Opens a column at the place where it is.
    pub(super) fn sealed(&mut self, key: &DataKey, at: At<'_>, sealed: &Sealed) -> bool {
        self.moved(key, at, at, sealed)
    }

    /// Opens a column that was sealed for the place `from` and moved to `at` as it was.
    pub(super) fn moved(
        &mut self,
        key: &DataKey,
        (table, row, column): At<'_>,
        from: At<'_>,
        sealed: &Sealed,
    ) -> bool {
        // A grant is in the column of values, but never opens as one.
        let is_grant = from.2 == "value" && key.opens(from.0, from.1, "grant", sealed);
        let opens = is_grant || key.opens(from.0, from.1, from.2, sealed);
        if opens {
            self.opened += 1;
        } else {
            self.does_not_open(table, row.to_owned(), column);
        }
        opens
    }

    /// Opens an entry's secret, and looks at its steps.
    pub(super) fn entry(&mut self, key: &DataKey, id: TotpId, found: &SealedTotp) {
        let opens = self.sealed(key, ("totp", id.as_str(), "secret"), &found.secret);
        if opens && reach(found.parameters, self.now).is_ok_and(|reach| found.last_step > reach) {
            self.ahead.push(id);
        }
    }
}
