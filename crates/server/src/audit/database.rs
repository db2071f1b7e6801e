//! Verifies the trail in a database.

use keyfob_core::{
    audit::{PublicKey, Report, Verifier},
    crypto::MasterKey,
};
use keyfob_store::{Page, ReadTx, Store, StoreError, data_key, event::Stored, trail};

use super::{AuditError, Expected, PAGE, Teller, Told, Trust};

/// So long after retention has signed what it removes it may still be removing it (ms).
const REMOVING: i64 = 3_600_000;

/// Verifies the whole trail.
pub async fn verify(
    store: &Store,
    trust: &Trust,
    expected: Option<Expected>,
    tell: &mut dyn FnMut(Told),
) -> Result<Report, AuditError> {
    let (verifier, teller, key) = (trust.verifier(), Teller::new(tell), trust.public_key());
    let mut reading = Reading { store, key, verifier, teller, next: Some(i64::MIN), rows: 0 };
    if let Some(Expected { number, hash }) = expected {
        reading.verifier.expect(number, hash);
    }
    reading.log().await?;
    let before = read(store, trail::count).await?;
    let mut after: Option<String> = None;
    loop {
        let from = after.clone();
        let next = read(store, move |tx| trail::next_chain(tx, from.as_deref())).await?;
        let Some(chain) = next else { break };
        reading.chain(&chain).await?;
        after = Some(chain);
    }
    reading.outside().await?;
    reading.later().await?;
    reading.count(before).await?;
    if let Trust::Own(own) = trust {
        reading.anchors(&own.master).await?;
    }
    reading.verifier.finish();
    reading.hear().await?;
    Ok(reading.verifier.report().clone())
}

/// How far a trail was read.
struct Reading<'a> {
    store: &'a Store,
    key: PublicKey,
    verifier: Verifier<'a>,
    teller: Teller<'a>,
    /// The number from which on the log has not been read; `None` if there is none.
    next: Option<i64>,
    /// How many events were seen.
    rows: u64,
}

impl Reading<'_> {
    /// Tells what was found, unless it may be because retention has removed something meanwhile. It signs what it
    /// removes before that.
    async fn hear(&mut self) -> Result<(), AuditError> {
        let found = self.verifier.found();
        if !found.is_empty() && self.was_trimmed().await? {
            return Err(trimmed());
        }
        self.teller.found(found);
        self.teller.progress(self.verifier.report().events);
        Ok(())
    }

    /// Whether retention has signed something since the log was read.
    async fn was_trimmed(&self) -> Result<bool, AuditError> {
        let Some(next) = self.next else { return Ok(false) };
        let later = read(self.store, move |tx| trail::checkpoints(tx, next, PAGE)).await?;
        let mut later = later.iter().filter_map(|(_, checkpoint)| checkpoint.as_ref().ok());
        Ok(later.any(|it| {
            it.heads.iter().any(|head| head.edge_of.is_some()) && self.key.has_signed(it)
        }))
    }

    /// Reads the log of checkpoints.
    async fn log(&mut self) -> Result<(), AuditError> {
        while let Some(next) = self.next {
            let page = read(self.store, move |tx| trail::checkpoints(tx, next, PAGE)).await?;
            let is_last = page.is_empty();
            for (number, checkpoint) in page {
                self.next = number.checked_add(1);
                match checkpoint {
                    Ok(checkpoint) => self.verifier.checkpoint(checkpoint),
                    Err(damage) => self.verifier.damaged(damage.to_string()),
                }
            }
            if is_last {
                break;
            }
        }
        self.verifier.end_log();
        self.hear().await
    }

    /// What first checkpoint the data keys tell of. Those that do not open are nothing of the trail: `keyfob doctor`
    /// names them.
    async fn anchors(&mut self, master: &MasterKey) -> Result<(), AuditError> {
        let mut after = None;
        loop {
            let page = read(self.store, move |tx| data_key::list(tx, after.as_ref(), PAGE)).await?;
            for data_key::Stored { account, id, wrapped } in &page.rows {
                if let Ok(Some(anchor)) = master.anchor_of_data_key(account, *id, wrapped) {
                    self.verifier.anchored(&anchor);
                }
            }
            after = page.last;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads what was added to the log since.
    async fn later(&mut self) -> Result<(), AuditError> {
        let Some(next) = self.next else { return Ok(()) };
        let (mut from, mut later) = (Some(next), Vec::new());
        while let Some(next) = from {
            let page = read(self.store, move |tx| trail::checkpoints(tx, next, PAGE)).await?;
            from = page.last().and_then(|(number, _)| number.checked_add(1));
            later.extend(page);
        }
        for (_, checkpoint) in later {
            match checkpoint {
                Ok(checkpoint) => self.verifier.later(checkpoint),
                Err(damage) => self.verifier.damaged(damage.to_string()),
            }
        }
        Ok(())
    }

    async fn chain(&mut self, chain: &str) -> Result<(), AuditError> {
        let wanted = chain.to_owned();
        let birth = match self.store.read(move |tx| trail::find_birth(tx, &wanted)).await {
            Err(StoreError::Corrupt { .. }) => None,
            birth => birth?,
        };
        self.verifier.begin(chain, birth.as_ref());
        let mut from = Some(i64::MIN);
        while let Some(next) = from {
            let wanted = chain.to_owned();
            let page = read(self.store, move |tx| trail::walk(tx, &wanted, next, PAGE)).await?;
            self.damage(&page);
            page.rows.iter().filter_map(Stored::linked).for_each(|it| self.verifier.event(&it));
            from = page.last.and_then(|last| last.checked_add(1));
            self.hear().await?;
        }
        self.verifier.end();
        self.hear().await
    }

    /// What is in no chain.
    async fn outside(&mut self) -> Result<(), AuditError> {
        let (damaged, events) = read(self.store, |tx| trail::mistyped(tx, PAGE)).await?;
        self.rows += events as u64;
        for damage in damaged {
            self.verifier.damaged(damage.to_string());
        }
        let mut from = Some(i64::MIN);
        while let Some(next) = from {
            let page = read(self.store, move |tx| trail::misplaced(tx, next, PAGE)).await?;
            self.damage(&page);
            page.rows.iter().for_each(|event| unchained(&mut self.verifier, event, true));
            // Several have one position here: what one page does not hold is counted.
            from = page.last.and_then(|last| last.checked_add(1));
            self.hear().await?;
        }
        let mut after = None;
        loop {
            let page = read(self.store, move |tx| trail::unchained(tx, after.as_ref(), PAGE));
            let page = page.await?;
            self.damage(&page);
            page.rows.iter().for_each(|event| {
                unchained(&mut self.verifier, event, event.place.is_some());
            });
            self.hear().await?;
            after = page.last;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Counts the rows of a page, and tells of those that cannot be read.
    fn damage<Id>(&mut self, page: &Page<Stored, Id>) {
        self.rows += (page.rows.len() + page.damaged.len()) as u64;
        page.damaged.iter().for_each(|damage| self.verifier.damaged(damage.to_string()));
    }

    /// Compares how many events were seen with how many there are. `before`: how many there were at first.
    async fn count(&mut self, before: u64) -> Result<(), AuditError> {
        let after = read(self.store, trail::count).await?;
        let report = self.verifier.report();
        let (newest, expired) = (report.newest.map(|(_, _, at)| at), report.expired_at);
        let may_remove = newest.zip(expired).is_some_and(|(newest, expired)| {
            newest.as_millis().saturating_sub(expired.as_millis()) < REMOVING
        });
        if self.rows < before.min(after) && may_remove {
            return Err(trimmed());
        }
        self.verifier.counted(before.min(after), before.max(after), self.rows);
        Ok(())
    }
}

fn trimmed() -> AuditError {
    let text = "events were removed by retention while the trail was read: verify it again";
    AuditError::Refused(text.into())
}

/// An event that is in no chain; `is_stray`: although it says that it is in one.
pub(super) fn unchained(verifier: &mut Verifier<'_>, event: &Stored, is_stray: bool) {
    if is_stray {
        verifier.stray(event.account.as_str(), event.id.as_str());
    } else {
        verifier.unchained(&event.record());
    }
}

pub(super) async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut ReadTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    store.read(work).await
}
