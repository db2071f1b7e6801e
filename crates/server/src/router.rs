//! Every route of the service.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::{
    app::note_route,
    broker::Broker,
    error::Error,
    http::{account, health, key, totp},
    metrics::Metrics,
};

/// The API.
pub(crate) fn api(broker: Broker) -> Router {
    let v2 = Router::new()
        .route("/totp/secrets", get(totp::list).post(totp::create))
        .route(
            "/totp/secrets/{id}",
            get(totp::fetch).patch(totp::update).delete(totp::delete),
        )
        .route("/totp/code/{id}", get(totp::code));
    let v1 = Router::new()
        .route("/account/create", post(account::create))
        .route("/key/create", post(key::create))
        .route("/key/list", get(key::list).post(key::list))
        .route("/key/{id}/fetch", get(key::fetch).post(key::fetch))
        .route("/key/{id}/update", post(key::update))
        .route("/key/{id}/revoke", post(key::revoke));
    let router = Router::new()
        .nest("/api/v2", v2)
        .nest("/api/v1", v1)
        .merge(health_routes())
        .with_state(broker);
    with_fallbacks(router)
}

/// Metrics and health.
pub(crate) fn admin(broker: Broker, metrics: Arc<Metrics>) -> Router {
    let depth = broker.clone();
    let render = move || health::metrics(metrics.clone(), depth.clone());
    with_fallbacks(
        health_routes()
            .route("/metrics", get(render))
            .with_state(broker),
    )
}

fn health_routes() -> Router<Broker> {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
}

fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn(note_route))
}
