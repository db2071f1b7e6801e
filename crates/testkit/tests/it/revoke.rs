//! Revocation and introspection.

use keyfob_testkit::{Cause, Client, Endpoint};
use reqwest::StatusCode;

use crate::app::{App, Told};

#[tokio::test]
async fn revoking_a_refresh_token_kills_its_family() {
    for hint in ["refresh_token", "access_token", ""] {
        let app = App::start().await;
        let grant = app.grant();
        let form = [("token", grant.refresh_token.as_str()), ("token_type_hint", hint)];
        app.ask("/revoke", &form).await.assert_ok();
        assert!(!app.provider.is_valid(&grant.access_token));
        let ledger = app.provider.ledger();
        assert_eq!(ledger.family(grant.family).unwrap().death.unwrap().cause, Cause::Revoked);
        assert_eq!(ledger.at(Endpoint::Revoke).next().unwrap().family, Some(grant.family));
    }
}

#[tokio::test]
async fn revoking_an_access_token_ends_it_alone() {
    for hint in ["refresh_token", "access_token"] {
        let app = App::start().await;
        let grant = app.grant();
        let form = [("token", grant.access_token.as_str()), ("token_type_hint", hint)];
        app.ask("/revoke", &form).await.assert_ok();
        assert!(!app.provider.is_valid(&grant.access_token));
        let known = app.provider.was_issued(&grant.access_token).unwrap();
        assert_eq!(known.revoked_at, Some(app.provider.now()));
        app.refresh(&grant.refresh_token).await.assert_ok();
    }
}

#[tokio::test]
async fn an_unknown_token_is_as_good_as_revoked() {
    let app = App::start().await;
    app.ask("/revoke", &[("token", "unknown")]).await.assert_ok();
}

#[tokio::test]
async fn another_client_revokes_nothing() {
    let app = App::with(|options| options.clients.push(Client::public("other"))).await;
    let grant = app.grant();
    let form = [("token", grant.refresh_token.as_str()), ("client_id", "other")];
    let told = Told::of(app.post("/revoke", &form).await.unwrap()).await;
    told.assert_refused("unauthorized_client");
    assert!(app.provider.is_valid(&grant.access_token));
    let form = [("token", grant.refresh_token.as_str())];
    let told = Told::of(app.post("/revoke", &form).await.unwrap()).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn introspection_tells_valid_tokens_from_others() {
    let app = App::start().await;
    let grant = app.grant();
    for token in [&grant.access_token, &grant.refresh_token] {
        let told = app.ask("/introspect", &[("token", token)]).await;
        assert_eq!((&told.body["active"], &told.body["client_id"]), (&true.into(), &"app".into()));
    }
    let told = app.ask("/introspect", &[("token", &grant.access_token)]).await;
    assert_eq!(told.body["exp"], grant.expires_at.as_seconds());
    app.refresh(&grant.refresh_token).await.assert_ok();
    for token in [&grant.refresh_token, "unknown"] {
        let told = app.ask("/introspect", &[("token", token)]).await;
        assert_eq!(told.body, serde_json::json!({ "active": false }));
    }
}
