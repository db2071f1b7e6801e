//! Refreshes that nothing goes wrong with.

use std::time::Duration;

use super::{
    broker::Broker,
    check::Finding,
    scene::{Scene, Stage, Wrong, ensure},
};
use crate::{
    client::AuthMethod,
    options::{AnswerStyle, Options},
    suite::storm::Storm,
};

/// Expiries that a grant is seen through.
const EXPIRIES: u32 = 3;

/// Has a grant outlive some tokens, each of which is good when it is handed out.
async fn outlive<B: Broker>(scene: &Scene<B>, life: Duration) -> Finding {
    let (holder, grant) = scene.hold(life).await?;
    let refreshed = || scene.provider.ledger().refreshes(grant.family);
    let mut tokens = 0;
    while refreshed() < EXPIRIES {
        scene.until_token(&holder).await?;
        tokens += 1;
        tokio::time::sleep(life / 10).await;
    }
    scene.until_token(&holder).await?;
    scene.ensure_refreshed(grant.family, refreshed())?;
    Ok(format!("{} refreshes, {tokens} tokens, each valid", refreshed()))
}

pub(super) async fn a_rotated_refresh_token_is_kept<B: Broker>(stage: Stage<B>) -> Finding {
    let life = stage.settings.life;
    let scene = stage.scene(|options| options.access_token_life = life).await?;
    outlive(&scene, life).await
}

pub(super) async fn an_answer_without_a_refresh_token_keeps_the_old_one<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    let life = stage.settings.life;
    let habits = |options: &mut Options| {
        options.access_token_life = life;
        options.omit_refresh_token_on_refresh = true;
    };
    outlive(&stage.scene(habits).await?, life).await
}

pub(super) async fn an_answer_without_expires_in_ends_with_its_jwt<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    // A JWT counts whole seconds.
    let life = stage.settings.life + Duration::from_secs(1);
    let habits = |options: &mut Options| {
        options.access_token_life = life;
        options.omit_expires_in = true;
        options.jwt_access_tokens = true;
    };
    outlive(&stage.scene(habits).await?, life).await
}

pub(super) async fn a_token_that_has_expired_is_never_handed_out<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    let storm = Storm {
        holders: 1,
        callers: stage.settings.callers,
        life: stage.settings.life,
        duration: stage.settings.duration,
        pause: Duration::ZERO,
    };
    let report = storm.run(stage.broker).await?;
    ensure(report.is_good(), || report.problems().join("; "))?;
    Ok(report.to_string())
}

/// One refresh with a provider of these habits.
async fn refresh_once<B: Broker>(scene: &Scene<B>) -> Result<(), Wrong> {
    let (holder, grant) = scene.hold(Duration::ZERO).await?;
    scene.until_token(&holder).await?;
    scene.ensure_refreshed(grant.family, 1)
}

pub(super) async fn answers_are_read_in_every_style<B: Broker>(stage: Stage<B>) -> Finding {
    for style in [AnswerStyle::Form, AnswerStyle::TextNumbers, AnswerStyle::SlackUser] {
        let scene = stage.scene(|options| options.answer_style = style).await?;
        let refreshed = refresh_once(&scene).await;
        refreshed.map_err(|wrong| Wrong::Seen(format!("{style:?}: {wrong}")))?;
    }
    Ok("forms, numbers as texts, and nested as Slack's".into())
}

pub(super) async fn a_client_says_who_it_is_as_the_provider_wants<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    for method in [AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic, AuthMethod::None] {
        // Characters that each way of sending them encodes.
        let secrets = if method == AuthMethod::None { vec![] } else { vec!["a:b+c% d".to_owned()] };
        let habits = |options: &mut Options| {
            options.clients[0].auth_method = Some(method);
            options.clients[0].secrets.clone_from(&secrets);
        };
        let scene = stage.scene_of(habits, |definition| {
            definition.auth_method = method;
            definition.client_secrets.clone_from(&secrets);
        });
        let refreshed = refresh_once(&scene.await?).await;
        refreshed.map_err(|wrong| Wrong::Seen(format!("{method:?}: {wrong}")))?;
    }
    Ok("client_secret_post, client_secret_basic and none".into())
}

pub(super) async fn a_client_secret_is_replaced_without_a_gap<B: Broker>(
    stage: Stage<B>,
) -> Finding {
    let habits = |options: &mut Options| options.clients[0].secrets.push("next-secret".to_owned());
    let tell = |definition: &mut super::broker::Definition| {
        definition.client_secrets.push("next-secret".to_owned());
    };
    let scene = stage.scene_of(habits, tell).await?;
    refresh_once(&scene).await?;
    let had = scene.provider.retire_secret("app", "app-secret");
    ensure(had, || "the provider did not know the old secret".into())?;
    refresh_once(&scene).await?;
    Ok("a refresh with the old secret, and one with the new after the old had been retired".into())
}
