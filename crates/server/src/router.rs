//! Every route of the service.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::{
    broker::Broker,
    error::Error,
    http::{account, contact, health, key, totp},
    metrics::Metrics,
};

/// Every route of the API that needs a caller: what metrics tell apart. A test holds it complete.
pub(crate) const ROUTES: &[&str] = &[
    "/api/v2/totp/code/{id}",
    "/api/v2/totp/secrets",
    "/api/v2/totp/secrets/{id}",
    "/api/v1/account/create",
    "/api/v1/contact/create",
    "/api/v1/contact/ensure",
    "/api/v1/contact/list",
    "/api/v1/contact/export",
    "/api/v1/contact/{contact}/fetch",
    "/api/v1/contact/{contact}/update",
    "/api/v1/contact/{contact}/delete",
    "/api/v1/key/create",
    "/api/v1/key/list",
    "/api/v1/key/{id}/fetch",
    "/api/v1/key/{id}/update",
    "/api/v1/key/{id}/revoke",
];

/// The API.
pub(crate) fn api(broker: Broker) -> Router {
    let router = health_routes()
        .route("/api/v2/totp/secrets", get(totp::list).post(totp::create))
        .route(
            "/api/v2/totp/secrets/{id}",
            get(totp::fetch).patch(totp::update).delete(totp::delete),
        )
        .route("/api/v2/totp/code/{id}", get(totp::code))
        .route("/api/v1/account/create", post(account::create))
        .route("/api/v1/contact/create", post(contact::create))
        .route("/api/v1/contact/ensure", post(contact::ensure))
        .route("/api/v1/contact/list", get(contact::list))
        .route("/api/v1/contact/export", get(contact::export))
        .route("/api/v1/contact/{contact}/fetch", get(contact::fetch))
        .route("/api/v1/contact/{contact}/update", post(contact::update))
        .route("/api/v1/contact/{contact}/delete", post(contact::delete))
        .route("/api/v1/key/create", post(key::create))
        .route("/api/v1/key/list", get(key::list).post(key::list))
        .route("/api/v1/key/{id}/fetch", get(key::fetch).post(key::fetch))
        .route("/api/v1/key/{id}/update", post(key::update))
        .route("/api/v1/key/{id}/revoke", post(key::revoke));
    with_fallbacks(router.with_state(broker))
}

/// Metrics and health.
pub(crate) fn admin(broker: Broker, metrics: Arc<Metrics>) -> Router {
    let depth = broker.clone();
    let render = move || std::future::ready(health::metrics(&metrics, &depth));
    with_fallbacks(health_routes().route("/metrics", get(render)).with_state(broker))
}

fn health_routes() -> Router<Broker> {
    Router::new().route("/healthz", get(health::live)).route("/readyz", get(health::ready))
}

fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
}
