//! Many who want the same grant refreshed at the same time.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::{join_all, try_join_all};

use super::{
    broker::Broker,
    check::Finding,
    scene::{Scene, Stage, Wrong, ensure},
};
use crate::{endpoint::Endpoint, fault::Fault};

/// So long a refresh takes in which others come for the same.
const WHILE: Duration = Duration::from_millis(500);
/// An access token that is far from its end.
const FAR: Duration = Duration::from_hours(2);

/// `callers` of `nodes` want a token of an expired one at once.
async fn share_one_refresh<B: Broker>(
    scene: &Scene<B>,
    callers: usize,
    nodes: usize,
) -> Result<String, Wrong> {
    scene.provider.script(Endpoint::Token, Fault::DelayBefore { duration: WHILE });
    let (holder, grant) = scene.hold(Duration::ZERO).await?;
    let calls = (0..callers).map(|caller| scene.broker.token(caller % nodes, &holder));
    let tokens: BTreeSet<String> = try_join_all(calls).await?.into_iter().collect();
    scene.ensure_refreshed(grant.family, 1)?;
    ensure(tokens.len() == 1, || format!("{} different tokens", tokens.len()))?;
    let is_valid = tokens.iter().all(|token| scene.provider.is_valid(token));
    ensure(is_valid, || "their token is not valid".into())?;
    Ok(format!("{callers} callers, one refresh, one token"))
}

pub(super) async fn many_callers_share_one_refresh<B: Broker>(stage: Stage<B>) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    share_one_refresh(&scene, stage.settings.callers, 1).await
}

pub(super) async fn callers_of_all_nodes_share_one_refresh<B: Broker>(stage: Stage<B>) -> Finding {
    let nodes = stage.broker.nodes();
    if nodes < 2 {
        return Err(Wrong::OneNode);
    }
    let scene = stage.scene(|_| ()).await?;
    let seen = share_one_refresh(&scene, stage.settings.callers.max(nodes), nodes).await?;
    Ok(format!("{nodes} nodes, {seen}"))
}

pub(super) async fn a_caller_who_hangs_up_ends_no_refresh<B: Broker>(stage: Stage<B>) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    let (holder, grant) = scene.hold(FAR).await?;
    scene.provider.script(Endpoint::Token, Fault::HoldAfter);
    let (broker, theirs) = (scene.broker.clone(), holder.clone());
    let call = tokio::spawn(async move { broker.refresh(0, &theirs).await });
    scene.until_asked(1).await?;
    call.abort();
    let hung_up = call.await.is_err();
    ensure(hung_up, || "the caller had an answer before the provider gave one".into())?;
    scene.provider.release();
    let renewed = scene.until("the new token", async || {
        let token = scene.broker.token(0, &holder).await?;
        Ok((token != grant.access_token).then_some(token))
    });
    let token = renewed.await?;
    ensure(scene.provider.is_valid(&token), || "the new token is not valid".into())?;
    scene.ensure_refreshed(grant.family, 1)?;
    Ok("the new tokens were kept that nobody waited for any more".into())
}

pub(super) async fn a_refusal_of_a_grant_that_was_replaced_meanwhile_breaks_nothing<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    scene.provider.script(Endpoint::Token, Fault::HoldBefore);
    let (holder, old) = scene.hold(Duration::ZERO).await?;
    let (broker, theirs) = (scene.broker.clone(), holder.clone());
    let call = tokio::spawn(async move { broker.token(0, &theirs).await });
    scene.until_asked(1).await?;
    let newer = scene.provider.issue_grant("app", FAR)?;
    scene.broker.replace(&holder, &newer).await?;
    let withdrawn = scene.provider.withdraw(old.family);
    ensure(withdrawn, || "the provider does not know the old grant".into())?;
    scene.provider.release();
    // How this call ends is its own affair: it began with the old grant.
    let _ = call.await;
    scene.ensure_connected(&holder).await?;
    let token = scene.until_token(&holder).await?;
    ensure(token == newer.access_token, || "the newer grant's token is gone".into())?;
    Ok("the old grant was refused while the newer one was there, and the newer one is kept".into())
}

pub(super) async fn forced_refreshes_harm_nothing<B: Broker>(stage: Stage<B>) -> Finding {
    let scene = stage.scene(|_| ()).await?;
    let (holder, grant) = scene.hold(FAR).await?;
    let (callers, nodes) = (stage.settings.callers, stage.broker.nodes());
    let forced = (0..callers).map(|caller| scene.broker.refresh(caller % nodes, &holder));
    let read = (0..callers).map(|caller| scene.broker.token(caller % nodes, &holder));
    let (forced, read) = tokio::join!(join_all(forced), try_join_all(read));
    forced.into_iter().collect::<Result<Vec<()>, _>>()?;
    let all_valid = read?.iter().all(|token| scene.provider.is_valid(token));
    ensure(all_valid, || "a token was handed out that is not valid".into())?;
    let refreshes = scene.provider.ledger().refreshes(grant.family);
    scene.ensure_refreshed(grant.family, refreshes)?;
    // Another grant: of one that was refreshed just now a broker may say what it knows.
    let (holder, _) = scene.hold(FAR).await?;
    let outage = scene.provider.script(Endpoint::Token, Fault::internal_error()).always();
    // Whether it says that it could not is left to it.
    let _ = scene.broker.refresh(0, &holder).await;
    scene.until_token(&holder).await?;
    scene.ensure_connected(&holder).await?;
    outage.clear();
    Ok(format!("{callers} at once made {refreshes} refreshes; one during an outage cost nothing"))
}
