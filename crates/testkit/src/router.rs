//! Every route of the provider.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::{
    authorize, control, device, metadata, register, resource, revoke, state::Shared, token,
};

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let server = "/.well-known/oauth-authorization-server";
    let protected = "/.well-known/oauth-protected-resource";
    Router::new()
        .route("/authorize", get(authorize::show).post(authorize::decide))
        .route("/token", post(token::token))
        .route("/device_authorization", post(device::begin))
        .route("/device", get(device::show).post(device::decide))
        .route("/revoke", post(revoke::revoke))
        .route("/introspect", post(revoke::introspect))
        .route("/userinfo", get(resource::userinfo).post(resource::userinfo))
        .route("/resource", get(resource::resource).post(resource::resource))
        .route("/register", post(register::register))
        .route(server, get(metadata::authorization_server))
        .route("/.well-known/openid-configuration", get(metadata::openid))
        .route(&format!("{protected}/resource"), get(metadata::protected_resource))
        .route("/jwks", get(metadata::keys))
        .nest("/control", control::router())
        .with_state(shared)
}
