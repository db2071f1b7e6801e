//! Providers that fail, in all the ways that must not cost a grant.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    broker::Broker,
    check::Finding,
    scene::{Stage, Wrong, ensure},
};
use crate::{endpoint::Endpoint, family::Cause, fault::Fault};

/// Failures after which the provider has done nothing.
fn outages() -> Vec<(&'static str, Fault)> {
    let second = Duration::from_secs(1);
    vec![
        ("500", Fault::internal_error()),
        ("502", Fault::bad_gateway()),
        ("503", Fault::unavailable(second)),
        ("429", Fault::too_many_requests(second)),
        ("a broken connection", Fault::DropBefore),
        ("malformed JSON", Fault::malformed_json()),
        ("an empty body", Fault::empty()),
        ("204", Fault::no_content()),
        ("a redirect", Fault::redirect("http://127.0.0.1:9/")),
        ("a huge body", Fault::HugeBody { bytes: 8 << 20 }),
        ("400 with a text", Fault::status(400, "text/plain", "Bad Request")),
        ("403 with a page", Fault::status(403, "text/html", "<h1>Blocked</h1>")),
        ("invalid_client", Fault::invalid_client()),
    ]
}

/// The first refreshes fail, the grant is kept, and refreshed when the provider is back.
async fn survive<B: Broker>(stage: &Stage<B>, fault: Fault) -> Result<(), Wrong> {
    let scene = stage.scene(|_| ()).await?;
    let outage = scene.provider.script(Endpoint::Token, fault).always();
    let (holder, grant) = scene.hold(Duration::ZERO).await?;
    let handed_out = scene.broker.token(0, &holder).await;
    ensure(handed_out.is_err(), || "an expired token was handed out".into())?;
    scene.until_asked(1).await?;
    scene.ensure_connected(&holder).await?;
    outage.clear();
    scene.until_token(&holder).await?;
    scene.ensure_refreshed(grant.family, 1)
}

pub(super) async fn an_outage_costs_no_grant<B: Broker>(stage: Stage<B>) -> Finding {
    let outages = outages();
    let names: Vec<_> = outages.iter().map(|(name, _)| *name).collect();
    let survived = outages.into_iter().map(async |(name, fault)| {
        let survived = survive(&stage, fault).await;
        survived.map_err(|wrong| Wrong::Seen(format!("{name}: {wrong}")))
    });
    try_join_all(survived).await?;
    Ok(names.join(", "))
}

pub(super) async fn a_provider_that_hangs_costs_no_grant<B: Broker>(stage: Stage<B>) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    let (holder, grant) = scene.hold(Duration::ZERO).await?;
    let began = scene.provider.now();
    scene.until_token(&holder).await?;
    let family = scene.provider.ledger().family(grant.family).cloned();
    let is_alive = family.is_some_and(|family| family.death.is_none() && family.reuses == 0);
    ensure(is_alive, || "the grant is dead".into())?;
    let waited = scene.provider.now().since(began);
    Ok(format!("asked again, and had a token after {:.0} s", waited.as_secs_f64()))
}

pub(super) async fn a_lost_answer_is_asked_for_once_more<B: Broker>(stage: Stage<B>) -> Finding {
    let scene = stage.scene(|options| options.reuse_grace = Duration::from_mins(5)).await?;
    scene.provider.script(Endpoint::Token, Fault::LostAnswer);
    let (holder, grant) = scene.hold(Duration::ZERO).await?;
    scene.until_token(&holder).await?;
    scene.ensure_refreshed(grant.family, 2)?;
    Ok("the provider tolerates the second use, and the grant is kept".into())
}

pub(super) async fn a_lost_answer_that_cost_the_grant_is_told<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    scene.provider.script(Endpoint::Token, Fault::LostAnswer);
    let (holder, grant) = scene.hold(Duration::ZERO).await?;
    let reason = scene.until_ended(&holder).await?;
    let ledger = scene.provider.ledger();
    let death = ledger.family(grant.family).and_then(|family| family.death);
    let cause = death.map(|death| death.cause);
    ensure(cause == Some(Cause::Reuse), || format!("it was given up although it is {cause:?}"))?;
    scene.ensure_left_alone(&holder, 2).await?;
    ensure(reason.contains("lost"), || format!("it does not say that it was lost: {reason}"))?;
    Ok(format!("asked twice, then: {reason}"))
}

pub(super) async fn a_grant_that_the_provider_has_ended_is_told_and_left_alone<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    let grant = scene.provider.issue_grant("app", Duration::ZERO)?;
    let withdrawn = scene.provider.withdraw(grant.family);
    ensure(withdrawn, || "the provider does not know the grant".into())?;
    let holder = scene.broker.hold(&scene.client, &grant).await?;
    let reason = scene.until_ended(&holder).await?;
    scene.ensure_left_alone(&holder, 1).await?;
    Ok(format!("asked once, then: {reason}"))
}

pub(super) async fn revoking_ends_the_grant_at_the_provider<B: Broker>(stage: Stage<B>) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    let (holder, grant) = scene.hold(Duration::from_hours(2)).await?;
    scene.until_token(&holder).await?;
    scene.broker.revoke(&holder).await?;
    let after = scene.broker.token(0, &holder).await;
    ensure(after.is_err(), || "a token was handed out after it was revoked".into())?;
    let dead = scene.until("the revocation at the provider", async || {
        let ledger = scene.provider.ledger();
        Ok(ledger.family(grant.family).and_then(|family| family.death))
    });
    let cause = dead.await?.cause;
    ensure(cause == Cause::Revoked, || format!("it is dead by {cause:?}"))?;
    Ok("the refresh token was revoked".into())
}
