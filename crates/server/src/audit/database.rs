//! Verifies the trail in a database.

use keyfob_core::{
    audit::{Report, Verifier},
    id::{AccountId, EventId},
};
use keyfob_store::{ReadTx, Store, StoreError, event::Stored, trail};

use super::{AuditError, Expected, Teller, Told, Trust};

/// Rows that are read at a time.
pub(super) const PAGE: u32 = 500;

/// Verifies the whole trail.
pub async fn verify(
    store: &Store,
    trust: &Trust,
    expected: Option<Expected>,
    tell: &mut dyn FnMut(Told),
) -> Result<Report, AuditError> {
    let (mut verifier, mut teller) = (trust.verifier(), Teller::new(tell));
    if let Some(Expected { number, hash }) = expected {
        verifier.expect(number, hash);
    }
    let last = log(store, &mut verifier, &mut teller).await?;
    let mut after = String::new();
    while let Some(chain) = read(store, move |tx| trail::next_chain(tx, &after)).await? {
        self::chain(store, &chain, &mut verifier, &mut teller).await?;
        after = chain;
    }
    outside(store, &mut verifier, &mut teller).await?;
    verifier.finish();
    let report = verifier.report().clone();
    if report.findings > 0 && was_trimmed(store, last).await? {
        let text = "events were removed by retention while the trail was read: verify it again";
        return Err(AuditError::Refused(text.into()));
    }
    teller.hear(&mut verifier);
    Ok(report)
}

/// Reads the log of checkpoints; the last one's number.
async fn log(
    store: &Store,
    verifier: &mut Verifier<'_>,
    teller: &mut Teller<'_>,
) -> Result<i64, AuditError> {
    let keys = read(store, trail::keys).await?;
    keys.into_iter().for_each(|key| verifier.key(key));
    let mut last = i64::MIN;
    loop {
        let page = read(store, move |tx| trail::checkpoints(tx, last, PAGE)).await?;
        let before = last;
        for checkpoint in page {
            match checkpoint {
                Ok(checkpoint) => {
                    last = checkpoint.number;
                    verifier.checkpoint(checkpoint);
                }
                Err(damage) => verifier.damaged(damage.to_string()),
            }
        }
        teller.hear(verifier);
        if last == before {
            verifier.end_log();
            return Ok(last);
        }
    }
}

async fn chain(
    store: &Store,
    chain: &str,
    verifier: &mut Verifier<'_>,
    teller: &mut Teller<'_>,
) -> Result<(), AuditError> {
    let wanted = chain.to_owned();
    let birth = match store.read(move |tx| trail::find_birth(tx, &wanted)).await {
        Err(StoreError::Corrupt { .. }) => None,
        birth => birth?,
    };
    verifier.begin(chain, birth.as_ref());
    let mut after = i64::MIN;
    loop {
        let wanted = chain.to_owned();
        let page = read(store, move |tx| trail::walk(tx, &wanted, after, PAGE)).await?;
        page.damaged.iter().for_each(|damage| verifier.damaged(damage.to_string()));
        let before = after;
        for event in &page.rows {
            if let Some(event) = event.linked() {
                after = event.position;
                verifier.event(&event);
            }
        }
        teller.hear(verifier);
        if after == before {
            verifier.end();
            return Ok(());
        }
    }
}

/// What is in no chain.
async fn outside(
    store: &Store,
    verifier: &mut Verifier<'_>,
    teller: &mut Teller<'_>,
) -> Result<(), AuditError> {
    let misplaced = read(store, |tx| trail::misplaced(tx, PAGE)).await?;
    misplaced
        .rows
        .iter()
        .for_each(|event| verifier.stray(event.account.as_str(), event.id.as_str()));
    let mut after: Option<(AccountId, EventId)> = None;
    loop {
        let from = after.clone();
        let page = read(store, move |tx| {
            trail::unchained(tx, from.as_ref().map(|(account, id)| (account, id)), PAGE)
        });
        let page = page.await?;
        page.damaged.iter().for_each(|damage| verifier.damaged(damage.to_string()));
        page.rows.iter().for_each(|event| unchained(verifier, event));
        teller.hear(verifier);
        match page.rows.into_iter().next_back() {
            Some(last) => after = Some((last.account, last.id)),
            None => return Ok(()),
        }
    }
}

pub(super) fn unchained(verifier: &mut Verifier<'_>, event: &Stored) {
    let (account, id) = (event.account.as_str(), event.id.as_str());
    if event.place.is_some() {
        verifier.stray(account, id);
    } else {
        verifier.unchained(account, id, event.created_at);
    }
}

/// Whether retention has signed something since that checkpoint.
async fn was_trimmed(store: &Store, after: i64) -> Result<bool, AuditError> {
    let later = read(store, move |tx| trail::checkpoints(tx, after, PAGE)).await?;
    Ok(later.iter().flatten().any(|it| it.heads.iter().any(|head| head.is_edge)))
}

pub(super) async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut ReadTx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    store.read(work).await
}
